"""What a person reads in the terminal at the end of a run."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from exobench.metrics.aggregate import aggregate
from exobench.metrics.score import Score
from exobench.results import RunRecord

PER_PARAMETER = (
    ("hit_rate_10", "within 10 %\nof range", ".2f"),
    ("skill", "skill", ".2f"),
    ("crps", "CRPS", ".3g"),
    ("coverage_68", "68 %\ninterval", ".2f"),
    ("coverage_95", "95 %\ninterval", ".2f"),
)


def print_summary(record: RunRecord, floor: RunRecord, console: Console | None = None) -> None:
    """Prints one run beside the prior on the same spectra."""
    console = console or Console()
    if record["status"] != "ok":
        line = f"{record['method']} on {record['task']}: {record['status']}: {record['reason']}"
        console.print(escape(line))
        return
    n_obs = min(record["n_test"], floor["n_test"])
    scores, floor_scores = scores_on(record, n_obs), scores_on(floor, n_obs)
    console.print(_heading(record, n_obs))
    console.print(_parameter_table(record, scores, floor_scores))
    console.print(_joint_lines(record, scores, floor_scores))
    console.print(f"Record: {record.folder}", soft_wrap=True, highlight=False)


def print_page(page: Path, console: Console | None = None) -> None:
    """Says where the first page of the report is."""
    (console or Console()).print(f"Page:   {page}", soft_wrap=True, highlight=False)


def print_result_line(record: RunRecord) -> None:
    """Prints one run as one line: all that is said with ``-q``."""
    print(f"{record['method']} on {record['task']}: {_result(record)}: {record.folder}")


def print_sweep(records: Sequence[RunRecord], console: Console | None = None) -> None:
    """Prints the runs of a sweep as one table, those of one task together; rows are not ranked."""
    table = Table(box=box.SIMPLE_HEAD, padding=0, pad_edge=False)
    for title in ("task", "method", "budget", "seed", "spectra", "result"):
        table.add_column(title, no_wrap=title != "result")
    for record in sorted(records, key=lambda each: (each["task"], each["task_id"])):
        shown = [record["task"], record["method"], f"{record['budget']:,}", record["seed"], f"{record['n_test']:,}"]
        table.add_row(*(escape(str(value)) for value in (*shown, _result(record))))
    (console or Console()).print(table)


def _result(record: RunRecord) -> str:
    if record["status"] != "ok":
        return f"{record['status']} ({record['reason']})"
    energy = find_score([Score(**score) for score in record["scores"]], "energy_score")
    return f"energy score {format_score(energy, '.4f')}, calibration {record['calibration']['status']}"


def scores_on(record: RunRecord, n_obs: int) -> list[Score]:
    """A record's scores on the first n_obs test spectra; those it holds, or computed from its per-spectrum arrays."""
    if n_obs == record["n_test"]:
        return [Score(**score) for score in record["scores"]]
    parameters = record["parameters"]
    names = [parameter["name"] for parameter in parameters]
    low, high = (np.array([parameter[end] for parameter in parameters]) for end in ("low", "high"))
    return aggregate(record.per_spectrum(), names, low, high, n_obs=n_obs)


def find_score(scores: Sequence[Score], metric: str, parameter: str | None = None) -> Score:
    """One score of a list."""
    return next(score for score in scores if score.metric == metric and score.parameter == parameter)


def format_score(score: Score, digits: str) -> str:
    """Value and standard error, or why there is none.

    The error has one digit, at most two places behind those of the value: a smaller one is said to be below that. It
    has an exponent where the value has one.
    """
    if score.value is None:
        return score.status
    if score.standard_error is None:
        return f"{score.value:{digits}}"
    value, error = f"{score.value:{digits}}", score.standard_error
    least = 10.0 ** -(_places(score.value, digits) + 2)
    if 0.0 < error < least:
        return f"{value} ±<{least:.0e}" if "e" in value else f"{value} ±<{_one_digit(least)}"
    return f"{value} ±{error:.0e}" if "e" in value and error else f"{value} ±{_one_digit(error)}"


def _places(value: float, digits: str) -> int:
    """Decimals that a value is rounded to by a format such as ``.2f`` or ``.3g``."""
    number = int(digits[1:-1])
    if digits.endswith("f") or value == 0.0:
        return number
    return max(number - 1 - math.floor(math.log10(abs(value))), 0)


def _one_digit(error: float) -> str:
    text = np.format_float_positional(float(f"{error:.1g}"), trim="-")
    return text.removeprefix("0") or text


def _heading(record: RunRecord, n_obs: int) -> str:
    seconds = record["cost"]["training_seconds"]
    return (
        f"\n[bold]{record['method']}[/bold] on [bold]{record['task']}[/bold] (task {record['task_id']}): "
        f"{n_obs} test spectra, budget {record['budget']:,} spectra, seed {record['seed']}, "
        f"trained {seconds:.0f} s on {record['hardware']['device']}"
    )


def _parameter_table(record: RunRecord, scores: Sequence[Score], floor: Sequence[Score]) -> Table:
    caption = "± one standard error over spectra; in brackets the prior, which never looks"
    table = Table(caption=caption, box=box.SIMPLE_HEAD, padding=0, pad_edge=False)
    table.add_column("parameter", no_wrap=True)
    for _, title, _ in PER_PARAMETER:
        table.add_column(title, justify="right", overflow="fold")  # of a narrow terminal; no digit is ever cut
    for parameter in record["parameters"]:
        name = parameter["name"]
        cells = []
        for metric, _, digits in PER_PARAMETER:
            base = find_score(floor, metric, name)
            beside = f"[dim]({base.value:{digits}})[/dim]" if base.value is not None else f"[dim]({base.status})[/dim]"
            cells.append(f"{format_score(find_score(scores, metric, name), digits)}\n{beside}")
        table.add_row(name, *cells)
    return table


def _joint_lines(record: RunRecord, scores: Sequence[Score], floor: Sequence[Score]) -> str:
    energy, base = find_score(scores, "energy_score"), find_score(floor, "energy_score")
    calibration = record["calibration"]
    return (
        f"Energy score {format_score(energy, '.4f')} (the prior {format_score(base, '.4f')}; lower is better). "
        f"Calibration: {calibration['status']} ({calibration['reason'].rstrip('.')}).\n"
        f"{record['cost']['seconds_per_posterior']:.3g} s a posterior, "
        f"{record['cost']['n_parameters']:,} trained numbers, "
        f"peak memory {record['cost']['peak_memory_bytes'] / 2**30:.1f} GiB."
    )
