"""The tables of the pages as data frames, in full precision: what a reader downloads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from exobench.metrics.score import Score
from exobench.report.cache import Cache
from exobench.report.entries import Entry, Problem
from exobench.report.plots.robustness import shift_records
from exobench.report.regions import region_fields
from exobench.report.sections import Section
from exobench.report.tables import Leaderboard
from exobench.report.wording import leaves, plain

_SCORE = ("metric", "parameter", "value", "standard_error", "n_obs", "status", "reason")
_REGION = ("group", "region", *_SCORE)
_PROVENANCE = ("config", "config_hash", "versions", "packages", "hardware", "cost", "capabilities", "diagnostics")


def leaderboard_frame(board: Leaderboard) -> pd.DataFrame:
    """One line a row of a leaderboard, with the scores of all parameters side by side."""
    lines = []
    for row, found in zip(board.rows, board.found, strict=True):
        energy, nltp = found.score("energy_score"), found.score("nltp")
        line = {
            "place": row.place,
            "rank": row.rank.text,
            **_name(row.entry),
            "settings": row.apart,
            "n_obs": found.n_obs,
            "energy_score": energy.value,
            "energy_score_standard_error": energy.standard_error,
            "behind_the_first": row.behind.value,
            "behind_as_shown": row.behind.text,
            "nltp": nltp.value,
            "nltp_standard_error": nltp.standard_error,
            "calibration": row.badge,
            "calibration_reason": found.badge_reason,
            "track": row.track,
            "training_seconds": row.entry.number("cost", "training_seconds"),
            "seconds_per_posterior": row.entry.number("cost", "seconds_per_posterior"),
            "simulations": row.entry.number("cost", "simulations"),
        }
        lines.append(line)
    return pd.DataFrame(lines)


def board_scores_frame(board: Leaderboard) -> pd.DataFrame:
    """The scores behind a leaderboard and its heat tables, one line each."""
    return _scores([(found.entry, found.scores.values()) for found in board.found])


def all_scores_frame(section: Section) -> pd.DataFrame:
    """Every score that the runs of a section wrote, over all of their own spectra."""
    return _scores([(entry, entry.stored_scores) for entry in section.scored])


def regions_frame(section: Section, caches: Mapping[str, Cache]) -> pd.DataFrame:
    """Scores by region of all runs that have them."""
    columns: dict[str, list[Any]] = {key: [] for key in (*_NAME, *_REGION)}
    for entry in section.scored:
        own = region_fields(entry, caches[entry.anchor])
        for key, value in _name(entry).items():
            columns[key] += [value] * len(own)
        columns["group"] += [group for group, _, _ in own]
        columns["region"] += [label for _, label, _ in own]
        for place, key in enumerate(_SCORE):
            columns[key] += [fields[place] for _, _, fields in own]
    return pd.DataFrame(columns)


def shift_rows(entries: Sequence[Entry]) -> list[dict[str, Any]]:
    """One line a run and shift, with joint scores; None for what there is not."""
    rows = []
    for entry in entries:
        for shift, content in shift_records(entry).items():
            change, noticed = content.get("energy_score_change"), content.get("auroc")
            row: dict[str, Any] = {**_name(entry), "shift": shift, "what_changes": content.get("summary")}
            row |= {"status": content.get("status"), "reason": content.get("reason")}
            row |= _number("energy_score", _joint(content, "energy_score"))
            row |= _number("energy_score_change", change) | _number("auroc", noticed)
            badge = content.get("calibration")
            row["calibration"] = badge.get("status") if isinstance(badge, Mapping) else None
            row["n_obs"] = content.get("n_test")
            rows.append(row)
    return rows


def failures_frame(section: Section) -> pd.DataFrame:
    """Runs without scores, with their reasons."""
    rows = [
        {**_name(entry), "status": entry.record["status"], "reason": str(entry.get("reason") or "")}
        for entry in section.without_scores
    ]
    return pd.DataFrame(rows)


def problems_frame(problems: Sequence[Problem]) -> pd.DataFrame:
    """Records that could not be read."""
    return pd.DataFrame([(p.folder, p.reason) for p in problems], columns=["run", "what_is_wrong"])


def task_frame(section: Section) -> pd.DataFrame:
    """What defines a task, one line a field."""
    return pd.DataFrame([(key, plain(value)) for key, value in section.description.items()], columns=["field", "value"])


def parameters_frame(section: Section) -> pd.DataFrame:
    """The parameters and their prior."""
    return pd.DataFrame([(p.name, p.unit, p.low, p.high) for p in section.parameters], columns=_PARAMETER)


def provenance_frame(section: Section) -> pd.DataFrame:
    """Configuration, versions, hardware, cost and diagnostics of all runs, one line a field."""
    rows = []
    for entry in section.entries:
        for group in _PROVENANCE:
            content = {group: entry.get(group)} if entry.get(group) is not None else {}
            rows += [{**_name(entry), "field": key, "value": plain(value)} for key, value in leaves(content)]
    return pd.DataFrame(rows, columns=[*_NAME, "field", "value"])


_NAME = ("method", "budget", "seed", "run")
_PARAMETER = ["parameter", "unit", "low", "high"]


def _name(entry: Entry) -> dict[str, Any]:
    values = (entry.method, entry.record["budget"], entry.record["seed"], entry.relative)
    return dict(zip(_NAME, values, strict=True))


def _scores(found: Sequence[tuple[Entry, Any]]) -> pd.DataFrame:
    columns: dict[str, list[Any]] = {key: [] for key in (*_NAME, *_SCORE)}
    for entry, scores in found:
        name, own = _name(entry), list(scores)
        for key, value in name.items():
            columns[key] += [value] * len(own)
        for key in _SCORE:
            columns[key] += [getattr(score, key) for score in own]
    return pd.DataFrame(columns)


def _joint(content: Mapping[str, Any], metric: str) -> Score | Mapping[str, Any] | None:
    scores = content.get("scores")
    return next((s for s in scores if isinstance(s, Mapping) and s.get("metric") == metric), None) if scores else None


def _number(name: str, found: Any) -> dict[str, Any]:
    known = found if isinstance(found, Mapping) else {}
    value = known.get("value", known.get("difference"))
    return {name: value, f"{name}_standard_error": known.get("standard_error")}
