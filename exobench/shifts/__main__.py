"""``python -m exobench.shifts RUN ... shift=all``: finished runs under distribution shifts."""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from exobench.places import Places
from exobench.small_commands import (
    GOES_ON,
    check_run_folders,
    command_arguments,
    failing_in_one_line,
    split_arguments,
    with_output_help,
)

if TYPE_CHECKING:
    from exobench.results import RunRecord
    from exobench.shifts.catalogue import NamedShift
    from exobench.shifts.record import Content
    from exobench.shifts.scoring import ShiftedSpectra

HELP = """usage: python -m exobench.shifts RUN [RUN ...] [KEY=VALUE ...]

Scores finished runs on shifted test spectra: other noise, clouds, an unseen gas, other physics, missing bins, outliers.
Nothing is trained. RUN is a run's folder or any folder above some. Every shift has the truths of the first n_test test
spectra. Prints a table for each run and writes shifts/<name>/shift.json and the scores below its folder; what is
finished there is read, not scored again.

settings, with their defaults:
  shift=all          names joined by commas (shift=list shows them), or the path of a YAML file of your own
  n_test=            test spectra; default: those of the run, at most 1000
  n_draws=           draws a spectrum; default: those of the run
  device=auto        auto, cpu, cuda
  rerun=false        score again although a finished record exists
  keep_draws=false   keep draws.h5 beside the scores
  opacities.path=    folder of opacities: for the shift real_tables, or those that the run was made with
  paths.data=        root of the shared data sets; default: EXOBENCH_DATA, as for a run
"""

_DEFAULTS = {
    "shift": "all",
    "n_test": "",
    "n_draws": "",
    "device": "auto",
    "rerun": "false",
    "keep_draws": "false",
    "opacities.path": "",
    "paths.data": "",
}
_WHOLE = {"n_test": 2, "n_draws": 1}
_FLAGS = ("rerun", "keep_draws")
_MOST_BY_DEFAULT = 1000


@dataclass(frozen=True)
class Request:
    """What the command line asks for: folders of runs and checked values."""

    folders: tuple[Path, ...]
    values: dict[str, str]

    def whole(self, key: str, default: int) -> int:
        """A whole number, or the default where none is given."""
        return int(self.values[key] or default)

    def flag(self, key: str) -> bool:
        """True or false."""
        return self.values[key] == "true"


def main(arguments: Sequence[str] | None = None) -> None:
    """Scores; wrong input ends with one line on stderr and exit status 2."""
    given = command_arguments(arguments, usual=logging.WARNING)
    if not given or any(argument in ("-h", "--help") for argument in given):
        print(with_output_help(HELP), end="")
        return
    with failing_in_one_line(stopped=GOES_ON):
        if "shift=list" in given:
            _list()
        else:
            _run(parse(given))


def parse(arguments: Sequence[str]) -> Request:
    """Reads folders and KEY=VALUE arguments.

    Raises:
        ExobenchError: for an unknown key, a wrong value, or folders that are not there.
    """
    values, folders = split_arguments(arguments, _DEFAULTS, is_place=Path.is_dir, whole=_WHOLE, flags=_FLAGS)
    check_run_folders(folders, "runs/hotjupiter/npe")
    return Request(tuple(folders), values)


def _list() -> None:
    from exobench.shifts.catalogue import ALL, find_shifts

    found = find_shifts(ALL)
    width = max(len(named.name) for named in found)
    for named in found:
        print(f"{named.name:{width}}  {named.summary}")


def _run(request: Request) -> None:
    from exobench.find_runs import finished_records
    from exobench.shifts.catalogue import NONE, UNSHIFTED, find_shifts

    shifts = [UNSHIFTED, *(named for named in find_shifts(request.values["shift"]) if named.name != NONE)]
    records, passed_over = finished_records(request.folders)
    for line in passed_over:
        print(f"passed over: {line}", file=sys.stderr)
    made: dict[tuple[str, int], list[ShiftedSpectra]] = {}
    for record in records:
        _score_run(record, shifts, request, made)


def _score_run(
    record: RunRecord,
    shifts: Sequence[NamedShift],
    request: Request,
    made: dict[tuple[str, int], list[ShiftedSpectra]],
) -> None:
    """Scores one run; ``made`` keeps the spectra for other runs of the task."""
    from exobench.progress import track
    from exobench.shifts.finished import load_run, task_of
    from exobench.shifts.scoring import ShiftedSpectra, ShiftSettings, score_shift
    from exobench.shifts.spectra import unshifted
    from exobench.shifts.table import LEGEND, table

    opacities = request.values["opacities.path"] or None
    task = task_of(record, opacities)
    settings = ShiftSettings(
        n_test=request.whole("n_test", min(record["n_test"], _MOST_BY_DEFAULT)),
        n_draws=request.whole("n_draws", record["n_draws"]),
        rerun=request.flag("rerun"),
        keep_draws=request.flag("keep_draws"),
    )
    key = (task.task_id, settings.n_test)
    if key not in made:
        data = Places.resolve(data=request.values["paths.data"] or None).data
        base = unshifted(task, data, settings.n_test, opacities_path=opacities)
        made[key] = [ShiftedSpectra(named, base) for named in shifts]
    run = load_run(record, task, request.values["device"])
    shifted = track(made[key], run.name, "shifts")
    contents: list[Content] = [score_shift(run, spectra, settings) for spectra in shifted]
    print(f"{record['task']} {run.name}, {settings.n_test} spectra, {settings.n_draws} draws")
    print(f"{table(contents)}\n{LEGEND}\n")


if __name__ == "__main__":
    main()
