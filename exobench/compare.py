"""``python -m exobench.compare RUN RUN ...``: which of several finished runs is better, and at what."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from exobench.show import JSON, run_names
from exobench.small_commands import command_arguments, failing_in_one_line, with_output_help

if TYPE_CHECKING:
    from exobench.paired_runs import Difference, RunComparison

HELP = """usage: python -m exobench.compare RUN RUN [RUN ...] [--json]

Compares finished runs of one task_id on the test spectra that all of them have: paired differences with standard
errors, score by score and parameter by parameter, and which of them are real after Holm's correction over all. Says
how the runs' settings differ. RUN is a run's folder, or a folder above it or the beginning of its path, such as
runs/hotjupiter/npe, where exactly one finished run is meant. Of three runs and more, differences of single parameters
are shown with -v. --json prints all of it for programs.
"""
_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_LOWEST_P = 1e-3


def main(arguments: Sequence[str] | None = None) -> None:
    """Prints; wrong input ends with one line on stderr and exit status 2."""
    given = command_arguments(arguments)
    if not given or any(argument in ("-h", "--help") for argument in given):
        print(with_output_help(HELP), end="")
        return
    with failing_in_one_line():
        names = run_names(given, 2, len(_LETTERS))
        from exobench.find_runs import one_record
        from exobench.paired_runs import compare_runs

        found = compare_runs([one_record(name) for name in names])
        if JSON in given:
            print(json.dumps(found.to_dict(), indent=1, allow_nan=False))
        else:
            print(as_text(found, details=logging.getLogger("exobench").isEnabledFor(logging.DEBUG)))


def as_text(found: RunComparison, *, details: bool = False) -> str:
    """A comparison for people.

    Args:
        found: the comparison.
        details: show differences of single parameters even of three runs and more.
    """
    lines = [*_heading(found), "", *_settings(found, details), "", *_means(found), ""]
    pairs = sorted({(each.first, each.second) for each in found.differences})
    for pair in pairs:
        own = [each for each in found.differences if (each.first, each.second) == pair]
        shown = own if details or len(pairs) == 1 else [each for each in own if each.parameter is None]
        lines += [*_differences(shown), *_statement(own), ""]
    lines += [*_legend(found), *(f"Not compared: {gap}." for gap in found.gaps)]
    return "\n".join(lines)


def _heading(found: RunComparison) -> Iterator[str]:
    first = found.records[0]
    yield f"{first['task']} (task {first['task_id']}), {found.n_obs:,} test spectra in common"
    for letter, record in zip(_LETTERS, found.records, strict=False):
        yield (
            f"  {letter}  {record['method']}, budget {record['budget']:,}, seed {record['seed']}, "
            f"{record['n_draws']:,} draws of {record['n_test']:,} spectra: {record.folder}"
        )


def _settings(found: RunComparison, details: bool) -> list[str]:
    """Settings that are not the same in all runs, a column each; those that only some methods have are details."""
    from exobench.report.wording import ABSENT, differing, leaves, plain
    from exobench.text_table import aligned

    configs: list[Mapping[str, Any]] = [{**record["config"], "seed": record["seed"]} for record in found.records]
    flat = [dict(leaves(config)) for config in configs]
    keys = differing(configs)
    if not keys:
        return ["The settings are the same."]
    shown = [key for key in keys if details or all(key in leaf for leaf in flat)]
    rows = [["setting that differs", *_LETTERS[: len(configs)]]]
    rows += [[key, *(plain(leaf[key]) if key in leaf else ABSENT for leaf in flat)] for key in shown]
    hidden = len(keys) - len(shown)
    return [*aligned(rows), *([f"and {hidden} settings that not all of these methods have (-v)"] if hidden else [])]


def _means(found: RunComparison) -> list[str]:
    """Each run as a whole: rank, calibration, cost."""
    from exobench.report.wording import count, duration
    from exobench.text_table import aligned

    titles = ["run", "rank by energy score", "calibration", "simulations", "likelihood calls", "training"]
    rows = [[*titles, "a posterior"]]
    for place, record in enumerate(found.records):
        cost, badge = record.content.get("cost") or {}, record.content.get("calibration") or {}
        rank = "undefined" if found.ranking is None else str(found.ranking.ranks[place])
        own = [count(cost.get("simulations")), count(cost.get("likelihood_calls"))]
        own += [duration(cost.get("training_seconds")), duration(cost.get("seconds_per_posterior"))]
        rows.append([_LETTERS[place], rank, f"{badge.get('status')} ({badge.get('n_obs')} spectra)", *own])
    return aligned(rows)


def _differences(own: Sequence[Difference]) -> list[str]:
    from exobench.metrics.catalogue import find_metric
    from exobench.report.wording import plus_minus
    from exobench.text_table import aligned

    if not own:
        return []
    a, b = _LETTERS[own[0].first], _LETTERS[own[0].second]
    rows = [["score", "parameter", "best is", a, b, f"{a} \N{MINUS SIGN} {b}", "p", "better"]]
    for each in own:
        direction = "high" if find_metric(each.metric).higher_is_better else "low"
        values = [f"{value:.4g}" for value in each.values]
        p = f"{each.p_value:.2g}" if each.p_value >= _LOWEST_P else f"<{_LOWEST_P:g}"
        better = "" if each.better is None else _LETTERS[each.better]
        difference = plus_minus(each.difference, each.standard_error, decimals=9)
        rows.append([each.metric, each.parameter or "all", direction, *values, difference, p, better])
    return aligned(rows)


def _statement(own: Sequence[Difference]) -> Iterator[str]:
    """Which differences of one pair are real."""
    if not own:
        return
    for place in (own[0].first, own[0].second):
        other = own[0].second if place == own[0].first else own[0].first
        won = [_what(each) for each in own if each.better == place]
        if won:
            yield f"{_LETTERS[place]} is better than {_LETTERS[other]} in {len(won)} of {len(own)}: {', '.join(won)}"
    open_ = sum(each.better is None for each in own)
    if open_:
        a, b = _LETTERS[own[0].first], _LETTERS[own[0].second]
        yield f"{a} and {b}: no difference is shown in {open_} of {len(own)}."


def _what(each: Difference) -> str:
    return each.metric if each.parameter is None else f"{each.metric} of {each.parameter}"


def _legend(found: RunComparison) -> Iterator[str]:
    from exobench.metrics.ranking import LEVEL

    yield (
        f"± one standard error over spectra of the paired difference; p after Holm's correction over all "
        f"{len(found.differences)} differences, which count as real below {LEVEL:g}."
    )
    if found.ranking is not None:
        yield found.ranking.claim


if __name__ == "__main__":
    main()
