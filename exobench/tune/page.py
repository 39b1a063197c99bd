"""The part of a page that tells of a search: facts, tables and figures as plain data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from exobench.errors import MissingDependencyError
from exobench.report.wording import count, duration, plus_minus
from exobench.tune import figures
from exobench.tune.history import COMPLETE, FAILED, PRUNED, TRIED_BEFORE, History, Trial
from exobench.tune.importance import FEWEST, Importance, importance


@dataclass(frozen=True)
class FigurePart:
    """A figure with its words.

    Attributes:
        name: for anchors, of letters, digits and hyphens.
        title: heading.
        caption: what it shows and how to read it.
        figure: ``data`` and ``layout`` of plotly.js.
    """

    name: str
    title: str
    caption: str
    figure: dict[str, Any]


@dataclass(frozen=True, eq=False)
class TablePart:
    """A table with its words.

    Attributes:
        name: for anchors and its CSV file, of letters, digits and hyphens.
        title: heading.
        caption: what it holds.
        table: its rows, as they go into the CSV file.
    """

    name: str
    title: str
    caption: str
    table: pd.DataFrame


@dataclass(frozen=True, eq=False)
class SearchPart:
    """All that a page shows of one search.

    Attributes:
        name: for anchors and folders.
        title: heading.
        facts: label and text of each.
        notes: sentences on what is not shown and why.
        figures: the larger ones, in their order.
        slices: one small figure a setting.
        tables: in their order.
    """

    name: str
    title: str
    facts: Sequence[tuple[str, str]]
    notes: Sequence[str]
    figures: Sequence[FigurePart]
    slices: Sequence[FigurePart]
    tables: Sequence[TablePart]


def search_part(history: History) -> SearchPart:
    """What a page shows of a search, at whatever point it stands."""
    found, lacking = _importances(history)
    notes = [lacking] if lacking else []
    if history.complete and not any(trial.curve for trial in history.complete):
        notes.append(
            "No learning curves, and no trial was ended early by its own: validation losses are kept where there is "
            "one objective, some methods report none, and a short training may reach no validation before its end."
        )
    _, beyond = figures.frame_of(history)
    if beyond:
        notes.append(f"{_trials(beyond)} of {len(history.complete)} lie beyond the frames of the figures.")
    return SearchPart(
        name=f"{history.task}-{history.method}-{history.name}",
        title=f"{history.method} on {history.task}",
        facts=_facts(history),
        notes=notes,
        figures=_figures(history, found),
        slices=[
            FigurePart(f"slice-{n}", key, "", made) for n, (key, made) in enumerate(figures.slices(history).items())
        ],
        tables=_tables(history, found),
    )


def _importances(history: History) -> tuple[list[tuple[str, list[Importance]]], str]:
    """Label and importance, of each objective and of the better half; or the reason why there is none."""
    if len(history.complete) < FEWEST:
        return (
            [],
            f"No importance of the settings: it takes {FEWEST} complete trials, there are {len(history.complete)}.",
        )
    wanted = [(name, k, False) for k, name in enumerate(history.objectives)]
    wanted.append((f"{history.objectives[0]}, better half", 0, True))
    try:
        made = [(label, importance(history, k, better_half=half)) for label, k, half in wanted]
    except MissingDependencyError:
        return [], "No importance of the settings: this page was made without the package optuna."
    return [(label, entries) for label, entries in made if entries], ""


def _facts(history: History) -> list[tuple[str, str]]:
    in_state = {state: history.n_in(state) for state in (COMPLETE, PRUNED, FAILED, "running")}
    words = {COMPLETE: "complete", PRUNED: "ended early", FAILED: "failed", "running": "running"}
    counts = ", ".join(f"{number} {words[state]}" for state, number in in_state.items() if number)
    limits = [f"{history.steps:,} steps"] if history.steps is not None else []
    limits += [duration(history.seconds)] if history.seconds is not None else []
    facts = [
        ("Trials", f"{counts or 'none yet'}, of {history.n_trials} asked for"),
        ("Each trial", f"{count(history.budget)} simulations, at most {' and '.join(limits) or 'as long as it takes'}"),
        ("Scored on", f"{history.n_scored} validation spectra that no fit saw; never on test spectra"),
        (
            "Objective",
            " and ".join(_objective(*pair) for pair in zip(history.objectives, history.directions, strict=True)),
        ),
    ]
    if history.best:
        best = history.best[0]
        facts.append(("Best", f"{_value(best)}, trial {best.number}"))
        first = next((trial for trial in history.complete if trial.number == 0), None)
        if first is not None and first is not best:
            facts.append(("Started from", f"{_value(first)}, the settings of trial 0"))
    if history.started is not None:
        facts.append(("Begun", f"{history.started:%Y-%m-%d %H:%M}"))
    spent = sum(trial.seconds or 0.0 for trial in history.trials)
    return [*facts, ("Time of all trials", duration(spent)), ("Study", f"{history.name}, task_id {history.task_id}")]


def _objective(name: str, direction: str) -> str:
    return f"{name} ({'more' if direction == 'maximize' else 'less'} is better)"


def _value(trial: Trial) -> str:
    return plus_minus(trial.values[0], trial.standard_error)


def _trials(number: int) -> str:
    return f"{number} trial{'' if number == 1 else 's'}"


def _figures(history: History, found: Sequence[tuple[str, list[Importance]]]) -> list[FigurePart]:
    parts = [
        (
            "by-trial",
            "Progress by trial",
            "Score of each trial that came to its end, with its standard error over spectra, and the best so far. The "
            "best of many looks better here than it will be on other spectra.",
            figures.by_trial(history),
        ),
        (
            "by-time",
            "Progress by wall time",
            "The same at the time at which each trial ended; pauses of the search are included.",
            figures.by_time(history),
        ),
        (
            "pareto",
            "Score against cost",
            "Every trial, and those that no other one beats in both.",
            figures.pareto(history),
        ),
        (
            "curves",
            "Learning curves of the best trials",
            "Validation loss over the training; a curve that still falls at its end was cut short by the limits.",
            figures.learning_curves(history),
        ),
    ]
    made = [FigurePart(name, title, caption, drawn) for name, title, caption, drawn in parts if drawn is not None]
    for number, (label, entries) in enumerate(found):
        caption = (
            "Share of the score's variance over the search space that each setting explains by itself and with others "
            "(functional analysis of variance of a random forest); bars are the spread over forests."
        )
        made.append(
            FigurePart(f"importance-{number}", f"What mattered: {label}", caption, figures.importance_bars(entries))
        )
    return made


def _tables(history: History, found: Sequence[tuple[str, list[Importance]]]) -> list[TablePart]:
    parts = [
        (
            "best",
            "Best settings",
            "Where the search may go, where it started (trial 0) and the best trial.",
            _best_table(history),
        ),
        (
            "importance",
            "Importance of the settings",
            "Shares by functional analysis of variance, their spread over forests, and by mean decrease in impurity.",
            _importance_table(found),
        ),
        (
            "front",
            "Pareto front",
            "Trials that no other one beats in both objectives.",
            trial_table(history, history.front) if len(history.objectives) > 1 else pd.DataFrame(),
        ),
        (
            "ended",
            "Ended early or failed",
            "Trials without a score and why; those begun again do not count.",
            _ended_table(history),
        ),
        (
            "trials",
            "All trials",
            "Every trial that was begun, with its settings.",
            trial_table(history, [trial for trial in history.trials if trial.reason != TRIED_BEFORE]),
        ),
    ]
    return [TablePart(name, title, caption, table) for name, title, caption, table in parts if len(table)]


def _best_table(history: History) -> pd.DataFrame:
    if not history.best:
        return pd.DataFrame()
    best = history.best[0]
    start = next((trial.params for trial in history.trials if trial.number == 0), {})
    return pd.DataFrame(
        [
            {"setting": key, "range": _range(*entry), "start": start.get(key), f"trial {best.number}": best.params[key]}
            for key, entry in history.space.items()
        ],
        dtype=object,
    )


def _range(kind: str, low: float, high: float, log: bool, values: Sequence[Any]) -> str:
    if kind == "choice":
        return ", ".join(map(str, values))
    return f"{low:g} to {high:g}{', logarithmic' if log else ''}"


def _importance_table(found: Sequence[tuple[str, list[Importance]]]) -> pd.DataFrame:
    return pd.DataFrame(
        [
            {"of": label, "setting": e.setting, "share": e.share, "spread": e.spread, "impurity": e.decrease}
            for label, entries in found
            for e in entries
        ]
    )


def _ended_table(history: History) -> pd.DataFrame:
    words = {PRUNED: "ended early", FAILED: "failed"}
    return pd.DataFrame(
        [
            {
                "trial": trial.number,
                "state": words[trial.state] if trial.counted else "begun again",
                "why": why,
                "seconds": trial.seconds,
                **trial.params,
            }
            for trial, why in history.ended_without_value
        ]
    )


def trial_table(history: History, trials: Sequence[Trial]) -> pd.DataFrame:
    """One row a trial: its state, objectives, cost and settings."""
    rows = []
    for trial in trials:
        values = dict(zip(history.objectives, trial.values, strict=False))
        costs = {name: getattr(trial, name) for name in ("training_seconds", "seconds_per_posterior", "n_parameters")}
        facts = {"trial": trial.number, "state": trial.state, history.objectives[0]: None}
        error = {"standard_error": trial.standard_error}
        rows.append({**facts, **values, **error, **costs, **{key: trial.params.get(key) for key in history.space}})
    return pd.DataFrame(rows)
