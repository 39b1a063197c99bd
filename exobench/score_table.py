"""Scores as lines of text for a terminal."""

from __future__ import annotations

from collections.abc import Sequence

from exobench.draw_files import DrawSet
from exobench.metrics.calibration import Verdict
from exobench.metrics.catalogue import find_metric
from exobench.metrics.rank_metrics import what_the_badge_covers
from exobench.metrics.score import Score
from exobench.report.wording import plus_minus
from exobench.text_table import aligned

_WIDTH = 120


def score_table(draws: DrawSet, scores: Sequence[Score], verdict: Verdict) -> str:
    """All scores with their standard errors; a gap names its reason below.

    Args:
        draws: what was scored.
        scores: of all spectra.
        verdict: the calibration badge.
    """
    inputs = draws.inputs
    lines = [
        f"{inputs.n_obs:,} spectra, {inputs.n_draws:,} draws each, {len(inputs.names)} parameters; "
        "± one standard error over spectra.",
        "",
        *score_lines(scores, inputs.names, f"Calibration: {verdict.status} ({verdict.reason})"),
        *(f"Note: {note}." for note in draws.notes),
    ]
    return "\n".join(lines)


def score_lines(scores: Sequence[Score], names: Sequence[str], calibration: str) -> list[str]:
    """Tables of joint scores and of those of each parameter, the line on calibration, and the reasons of gaps.

    Args:
        scores: of all spectra.
        names: of the parameters.
        calibration: what the badge says.
    """
    reasons: list[str] = []
    joint = [["all parameters together", "", "better", "ideal"]]
    joint += [[score.metric, _cell(score, reasons), *_aim(score.metric)] for score in scores if score.parameter is None]
    return [
        *aligned(joint),
        "",
        *_parameter_tables(scores, names, reasons),
        calibration,
        what_the_badge_covers(scores),
        *(f"[{number}] {reason}" for number, reason in enumerate(reasons, start=1)),
    ]


def _parameter_tables(scores: Sequence[Score], names: Sequence[str], reasons: list[str]) -> list[str]:
    """One row for each score, one column for each parameter; broken into blocks that fit a wide terminal."""
    by_metric: dict[str, dict[str, Score]] = {}
    for score in scores:
        if score.parameter is not None:
            by_metric.setdefault(score.metric, {})[score.parameter] = score
    cells = [[_cell(found[name], reasons) for name in names] for found in by_metric.values()]
    lines: list[str] = []
    first = 0
    while first < len(names):
        last = first + 1
        while last < len(names) and len(_block(by_metric, cells, names, first, last + 1)[0]) <= _WIDTH:
            last += 1
        lines += [*_block(by_metric, cells, names, first, last), ""]
        first = last
    return lines


def _block(
    metrics: Sequence[str] | dict[str, dict[str, Score]],
    cells: Sequence[Sequence[str]],
    names: Sequence[str],
    first: int,
    last: int,
) -> list[str]:
    rows = [["each parameter", *names[first:last], "ideal"]]
    rows += [[metric, *row[first:last], _aim(metric)[1]] for metric, row in zip(metrics, cells, strict=True)]
    return aligned(rows)


def _cell(score: Score, reasons: list[str]) -> str:
    """The number, or why there is none; either with the number of its remark."""
    text = score.status if score.value is None else plus_minus(score.value, score.standard_error)
    if not score.reason:
        return text
    if score.reason not in reasons:
        reasons.append(score.reason)
    return f"{text} [{reasons.index(score.reason) + 1}]"


def _aim(name: str) -> tuple[str, str]:
    metric = find_metric(name)
    better = {True: "higher", False: "lower", None: ""}[metric.higher_is_better]
    return better, "" if metric.ideal is None else f"{metric.ideal:g}"
