"""``python -m exobench.show RUN``: one run as text, from its record and the arrays beside it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from exobench.errors import ExobenchError, unknown_name
from exobench.small_commands import command_arguments, failing_in_one_line, with_output_help

if TYPE_CHECKING:
    from exobench.results import RunRecord

HELP = """usage: python -m exobench.show RUN [--json]

Prints one run: what it is, settings that are not the defaults, what it was made with, scores with standard errors,
calibration, cost, and its worst spectra. RUN is a run's folder, or a folder above it or the beginning of its path, such
as runs/hotjupiter/npe, where exactly one finished run is meant. --json prints the same for programs.
"""
N_WORST = 5
"""Spectra with the largest energy scores that are listed."""
JSON = "--json"


def main(arguments: Sequence[str] | None = None) -> None:
    """Prints; wrong input ends with one line on stderr and exit status 2."""
    given = command_arguments(arguments)
    if not given or any(argument in ("-h", "--help") for argument in given):
        print(with_output_help(HELP), end="")
        return
    with failing_in_one_line():
        (name,) = run_names(given, 1, 1)
        from exobench.find_runs import one_record

        content = describe_run(one_record(name))
        print(json.dumps(content, indent=1, allow_nan=False) if JSON in given else as_text(content))


def run_names(given: Sequence[str], least: int, most: int | None) -> list[str]:
    """Names of runs among the arguments of a command.

    Raises:
        ExobenchError: for an unknown option, or too few or too many runs.
    """
    for argument in given:
        if argument.startswith("-") and argument != JSON:
            raise unknown_name("option", argument, [JSON, "-q", "-v", "--help"])
    names = [argument for argument in given if argument != JSON]
    if len(names) < least or (most is not None and len(names) > most):
        wanted = "one run" if most == 1 else f"{least} runs or more"
        raise ExobenchError(f"name {wanted}, such as runs/hotjupiter/npe; {len(names)} given (--help shows all).")
    return names


def describe_run(record: RunRecord) -> dict[str, Any]:
    """All that is printed of a run, in plain types.

    Raises:
        ExobenchError: the arrays beside the record are missing or damaged.
    """
    keys = ("status", "task", "task_id", "method", "track", "seed", "budget", "n_test", "n_draws", "capabilities")
    content: dict[str, Any] = {"run": str(record.folder)} | {key: record.content.get(key) for key in keys}
    content |= {key: record.content.get(key) for key in ("reason", "versions", "packages", "hardware", "fits_used")}
    content["settings"], content["settings_note"] = changed_settings(record.content.get("config") or {})
    if record["status"] != "ok":
        return content
    content["parameters"] = [parameter["name"] for parameter in record["parameters"]]
    content |= {key: record.content.get(key) for key in ("scores", "calibration", "cost", "diagnostics")}
    return content | {"worst_spectra": worst_spectra(record)}


def changed_settings(config: Mapping[str, Any]) -> tuple[dict[str, dict[str, Any]], str | None]:
    """Settings of a record that differ from today's defaults, and why there are none to compare with.

    Numbers of test spectra and draws are left out: their defaults are the method's and shown anyway.
    """
    from exobench.command_line import compose_settings
    from exobench.report.wording import leaves

    names = [f"{group}={(config.get(group) or {}).get('name')}" for group in ("task", "method", "data")]
    try:
        defaults = dict(leaves(compose_settings("config", names)))
    except ExobenchError as error:
        return {}, str(error)
    changed = {}
    for key, value in leaves(config):
        if key in ("n_test", "n_draws"):
            continue
        if key not in defaults or defaults[key] != value:
            changed[key] = {"value": value, "default": defaults.get(key)}
    return changed, None


def worst_spectra(record: RunRecord, n_worst: int = N_WORST) -> list[dict[str, Any]]:
    """The spectra with the largest energy scores: number, score, truth, estimate, what the method noted of each."""
    import numpy as np

    from exobench.results import DIAGNOSTICS, read_arrays

    arrays = record.per_spectrum()
    notes = read_arrays(record.folder / DIAGNOSTICS) if (record.folder / DIAGNOSTICS).exists() else {}
    names = [parameter["name"] for parameter in record["parameters"]]
    energy = np.where(np.isfinite(arrays["energy_score"]), arrays["energy_score"], np.inf)
    return [
        {
            "spectrum": int(row),
            "energy_score": _number(arrays["energy_score"][row]),
            "truth": {name: _number(arrays["theta_true"][row, k]) for k, name in enumerate(names)},
            "median": {name: _number(arrays["median"][row, k]) for k, name in enumerate(names)},
            "diagnostics": {name: _number(values[row]) for name, values in notes.items() if values.ndim == 1},
        }
        for row in np.argsort(-energy, kind="stable")[:n_worst]
    ]


def _number(value: Any) -> float | None:
    """For JSON, which knows no NaN."""
    number = float(value)
    return number if abs(number) < float("inf") else None


def as_text(content: Mapping[str, Any]) -> str:
    """What ``describe_run`` found, for people."""
    lines = [*_heading(content), "", *_settings_lines(content), "", *_made_with(content)]
    if content["status"] == "ok":
        lines += ["", *_scores(content), "", *_cost(content), "", *_worst(content)]
    return "\n".join(lines)


def _heading(content: Mapping[str, Any]) -> list[str]:
    from exobench.report.wording import count

    lines = [f"{content['method']} on {content['task']} (task {content['task_id']}): {content['status']}"]
    if content["status"] != "ok":
        lines.append(f"Reason: {content['reason'] or 'the record gives none'}")
    lines.append(
        f"budget {count(content['budget'])} spectra, seed {content['seed']}, {count(content['n_test'])} test spectra, "
        f"{count(content['n_draws'])} draws each, track {content['track']}"
    )
    return [*lines, f"Record: {content['run']}"]


def _settings_lines(content: Mapping[str, Any]) -> list[str]:
    from exobench.report.wording import plain

    if content["settings_note"]:
        return [f"Settings: no defaults to compare with ({content['settings_note']})"]
    if not content["settings"]:
        return ["Settings: all as by default."]
    changed = content["settings"].items()
    return [
        "Settings that are not the defaults:",
        *(f"  {key}={plain(each['value'])}  (default {plain(each['default'])})" for key, each in changed),
    ]


def _made_with(content: Mapping[str, Any]) -> list[str]:
    from exobench.report.wording import plain

    versions, hardware = dict(content["versions"] or {}), content["hardware"] or {}
    own, commit = versions.pop("exobench", "unknown"), versions.pop("commit", None)
    modified = " with changes" if versions.pop("modified", False) else ""
    code = f"exobench {own}" + (f", commit {commit[:12]}{modified}" if commit else "")
    machine = ", ".join(f"{key} {plain(value)}" for key, value in hardware.items() if value is not None)
    lines = [f"Made with: {code}", f"  packages: {', '.join(f'{key} {value}' for key, value in versions.items())}"]
    lines += [f"  on: {machine}"]
    if content["fits_used"]:
        lines.append(f"  fits of other runs: {plain(content['fits_used'])}")
    return lines


def _scores(content: Mapping[str, Any]) -> list[str]:
    from exobench.metrics.catalogue import METRICS
    from exobench.metrics.score import Score
    from exobench.score_table import score_lines

    known = {metric.name for metric in METRICS}
    scores = [Score(**score) for score in content["scores"] if score["metric"] in known]
    unknown = sorted({score["metric"] for score in content["scores"]} - known)
    badge = content["calibration"]
    verdict = f"Calibration: {badge['status']} ({badge['reason']})"
    lines = score_lines(scores, content["parameters"], verdict)
    return [*lines, f"Of another version, not shown: {', '.join(unknown)}"] if unknown else lines


def _cost(content: Mapping[str, Any]) -> list[str]:
    from exobench.report.wording import count, duration, gibibytes

    cost = content["cost"] or {}
    parts = (
        f"{count(cost.get('simulations'))} simulations",
        f"{count(cost.get('likelihood_calls'))} likelihood calls",
        f"training {duration(cost.get('training_seconds'))}",
        f"{duration(cost.get('seconds_per_posterior'))} a posterior",
        f"{count(cost.get('n_parameters'))} trained numbers",
        f"peak memory {gibibytes(cost.get('peak_memory_bytes'))}",
    )
    lines = [f"Cost: {', '.join(parts)}"]
    if content["diagnostics"]:
        means = ", ".join(f"{name} {value:.4g}" for name, value in content["diagnostics"].items())
        lines.append(f"Diagnostics, means over spectra: {means}")
    return lines


def _worst(content: Mapping[str, Any]) -> list[str]:
    from exobench.text_table import aligned

    worst = content["worst_spectra"]
    if not worst:
        return []
    rows = [["spectrum", *(str(each["spectrum"]) for each in worst)]]
    rows += [["energy score", *(_short(each["energy_score"]) for each in worst)]]
    for name in content["parameters"]:
        rows.append([name, *(f"{_short(each['median'][name])} ({_short(each['truth'][name])})" for each in worst)])
    for name in worst[0]["diagnostics"]:
        rows.append([name, *(_short(each["diagnostics"][name]) for each in worst)])
    return ["Worst spectra by energy score: posterior medians, truths in brackets", *aligned(rows)]


def _short(value: float | None) -> str:
    return "undefined" if value is None else f"{value:.4g}"


if __name__ == "__main__":
    main()
