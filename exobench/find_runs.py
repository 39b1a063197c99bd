"""Runs on disk as people name them: a run's folder, one above it, or the beginning of its path."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from exobench.errors import ExobenchError
from exobench.places import Places
from exobench.results import RECORD, RunRecord, read_record

_SHOWN = 8


def finished_records(folders: Sequence[Path]) -> tuple[list[RunRecord], list[str]]:
    """Records of the runs below some folders, and why others are passed over.

    Raises:
        ExobenchError: if there is none, or one cannot be read.
    """
    paths = dict.fromkeys(path for folder in folders for path in sorted(folder.rglob(RECORD)))
    records = [read_record(path.parent) for path in paths]
    passed_over = [f"{record.folder} is '{record['status']}'" for record in records if record["status"] != "ok"]
    finished = [record for record in records if record["status"] == "ok"]
    if not finished:
        raise ExobenchError(f"there is no finished run below {', '.join(map(str, folders))}.")
    return finished, passed_over


def one_record(given: str) -> RunRecord:
    """The record that somebody means.

    Args:
        given: a run's folder; a folder above it, or the beginning of one's path, below which exactly one run finished;
            either may be given without the folder of all runs (EXOBENCH_RUNS, default ./runs).

    Returns:
        A record of any status; of several below a folder, the only one with scores.

    Raises:
        ExobenchError: there is no such run, it has not finished, its record cannot be read, or several are meant.
    """
    places = _places(given)
    for place in places:
        if (place / RECORD).exists():
            return _read(place)
    paths = sorted({path for place in places for path in place.rglob(RECORD)})
    if not paths:
        raise _none(given, places)
    if len(paths) == 1:
        return _read(paths[0].parent)
    records, problems = [], []
    for path in paths:
        try:
            records.append(read_record(path.parent))
        except ExobenchError as error:
            problems.append(error)
    finished = [record for record in records if record["status"] == "ok"]
    if len(finished) == 1:
        return finished[0]
    if not finished and problems:
        raise problems[0]
    raise several(given, finished or records)


def several(given: str, records: Sequence[RunRecord]) -> ExobenchError:
    """The error for a name that means several runs, with what tells them apart, those of small budgets first."""
    ordered = sorted(records, key=lambda record: (record["task"], record["method"], record["budget"], record["seed"]))
    named = zip(ordered, _apart(ordered), strict=True)
    shown = [f"{record.folder} ({words})" if words else str(record.folder) for record, words in named]
    more = f"; and {len(shown) - _SHOWN} more" if len(shown) > _SHOWN else ""
    return ExobenchError(f"{given} means {len(shown)} runs; name one of them: {'; '.join(shown[:_SHOWN])}{more}.")


def _apart(records: Sequence[RunRecord]) -> list[str]:
    """Of each run, the settings that are not the same in all of them; the task's hash where no setting differs."""
    from exobench.report.wording import differing, leaves, plain

    settings = _settings(records)
    if not differing(settings):
        settings = [{"task_id": record["task_id"]} for record in records]
    keys = differing(settings)
    flat = [dict(leaves(each)) for each in settings]
    return [", ".join(f"{key}={plain(each[key])}" for key in keys if key in each) for each in flat]


def _settings(records: Sequence[RunRecord]) -> list[dict[str, Any]]:
    """Settings as on the command line, best known first; of several tasks or methods, without those of their own."""
    own = [key for key in ("task", "method") if len({record[key] for record in records}) > 1]
    found = []
    for record in records:
        config = record.content.get("config") or {}
        first = {key: record[key] for key in ("budget", "seed", "n_test")} | {"limits": config.get("limits")}
        rest = {key: value for key, value in config.items() if key not in own}
        found.append(first | rest | {"status": record["status"]})
    return found


def _read(folder: Path) -> RunRecord:
    try:
        return read_record(folder)
    except ExobenchError as error:
        raise ExobenchError(f"{error} If it was cut off, remove {folder / RECORD} and run the same again.") from error


def _places(given: str) -> list[Path]:
    """Folders that a name may mean, those of the first way of reading it that finds any."""
    path = Path(given).expanduser()
    if path.is_file() and path.name == RECORD:
        return [path.parent]
    for start in dict.fromkeys((path, Places.resolve().runs / path)):
        if start.is_dir():
            return [start]
        found = sorted(each for each in start.parent.glob(f"{start.name}*") if each.is_dir()) if start.name else []
        if found:
            return found
    raise ExobenchError(f"{given}: there is no such folder; give that of a run, such as runs/hotjupiter/npe.")


def _none(given: str, places: Sequence[Path]) -> ExobenchError:
    begun = [path.parent for place in places for path in sorted(place.rglob("work")) if path.is_dir()]
    if begun:
        return ExobenchError(
            f"{begun[0]} has not finished: it has no {RECORD} yet. It is under way, or was cut off, and then the "
            "command that began it goes on from there."
        )
    return ExobenchError(f"{given}: there is no run; a run's folder is runs/<task>/<method>/<hash>/<seed>.")
