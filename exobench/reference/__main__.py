"""``python -m exobench.reference RUN ... reference=exact``: finished runs beside reference posteriors."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from exobench.errors import ExobenchError, unknown_name
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
    from exobench.reference.spectra import StoredDraws
    from exobench.results import RunRecord

HELP = """usage: python -m exobench.reference RUN [RUN ...] [KEY=VALUE ...]
       python -m exobench.reference make task=NAME ...    makes the posteriors that a task publishes (make --help)
       python -m exobench.reference plots task=NAME ...   pictures of its five named observations (plots --help)
       python -m exobench.reference exact task=NAME ...   makes the limit, the record "exact" (exact --help)
       python -m exobench.reference gap RUN ...           how far finished runs are from the limit (gap --help)

Compares the stored draws of finished runs with reference posteriors of the same spectra: classifier two-sample test
(C2ST), marginal Jensen-Shannon divergence, 1000 (1 - KS) and the evidence's z-scores, each beside its floor, reference
against reference. RUN is a run's folder or any folder above some. Prints a table and writes comparison.json.

settings, with their defaults:
  reference=exact    exact: the closed form of the task; task: the posteriors that it publishes; or the folder of a run
  n_obs=25           test spectra, from the first one on
  n_draws=5000       draws of each side; a run needs as many (n_draws=5000 when it was made)
  classifier=hgb     hgb: gradient boosting; mlp: sbibm's network, to compare with its literature (a minute a spectrum)
  workers=1          processes
  seed=0             of the choice of draws, the folds and the classifiers
  out=comparison.json
  paths.data=        root of the shared data sets; default: EXOBENCH_DATA, as for a run
"""

_DEFAULTS = {
    "reference": "exact",
    "n_obs": "25",
    "n_draws": "5000",
    "classifier": "hgb",
    "workers": "1",
    "seed": "0",
    "out": "comparison.json",
    "paths.data": "",
}
_WHOLE = {"n_obs": 1, "n_draws": 100, "workers": 1, "seed": 0}


@dataclass(frozen=True)
class Request:
    """What the command line asks for: folders of runs and checked values."""

    folders: tuple[Path, ...]
    values: dict[str, str]

    def whole(self, key: str) -> int:
        """A whole number."""
        return int(self.values[key])


def main(arguments: Sequence[str] | None = None) -> None:
    """Compares; wrong input ends with one line on stderr and exit status 2."""
    given = command_arguments(arguments)
    if given and given[0] in COMMANDS:
        _command(COMMANDS[given[0]], given[1:])
        return
    if not given or any(argument in ("-h", "--help") for argument in given):
        print(with_output_help(HELP), end="")
        return
    with failing_in_one_line():
        _run(parse(given))


def _command(command: Callable[[Sequence[str]], None], given: Sequence[str]) -> None:
    from exobench.method import FitInterrupted

    with failing_in_one_line(stopped=GOES_ON):
        try:
            command(given)
        except FitInterrupted as interrupted:
            print(f"stopped: {interrupted} The same command goes on from there.", file=sys.stderr)
            sys.exit(130)


def _make(given: Sequence[str]) -> None:
    from exobench.reference import make
    from exobench.reference.published_table import published_table

    if not given or any(argument in ("-h", "--help") for argument in given):
        print(make.HELP, end="")
        return
    published, path = make.make(given)
    print(published_table(published))
    print(f"Reference posteriors: {path} ({path.stat().st_size / 1e6:.2f} MB)")


def _exact(given: Sequence[str]) -> None:
    from exobench.reference import exact_row

    if not given or any(argument in ("-h", "--help") for argument in given):
        print(exact_row.HELP, end="")
        return
    if any(argument.startswith("shift=") and argument != "shift=" for argument in given):
        _exact_of_shift(given)
        return
    record = exact_row.exact_row(given)
    print(exact_row.limit_table(record))
    print(f"Record: {record.folder}")


def _exact_of_shift(given: Sequence[str]) -> None:
    from exobench.reference.exact_of_shift import exact_of_shift
    from exobench.shifts.record import score_of

    content, folder = exact_of_shift(given)
    (energy,) = score_of(content, "energy_score")
    name = content["shift"]["name"]
    shares = ", ".join(f"{n} by {content[source]['name']}" for source, n in content["n_by_source"].items())
    print(
        f"{content['task']} under {name}, {content['n_test']} spectra ({shares}): "
        f"energy score {energy:.4f}; badge of calibration "
        f"{content['calibration']['status']}; the posterior is {content['posterior']}"
    )
    print(f"Row: {folder}")


def _gap(given: Sequence[str]) -> None:
    from exobench.files import write_atomically
    from exobench.reference import gap
    from exobench.reference.request import sort_arguments
    from exobench.results import read_record

    if not given or any(argument in ("-h", "--help") for argument in given):
        print(gap.HELP, end="")
        return
    folders = [Path(argument) for argument in given if Path(argument).is_dir()]
    defaults = {"exact": "", "n_obs": "", "out": "gap.json", "paths.runs": ""}
    arguments = sort_arguments([argument for argument in given if not Path(argument).is_dir()], defaults, ())
    if arguments.shared:
        raise unknown_name("setting", arguments.shared[0].partition("=")[0], defaults)
    n_obs = arguments.whole("n_obs", 2) if arguments.own["n_obs"] else None
    documents = []
    for record in _records(folders) if folders else ():
        runs = Places.resolve(runs=arguments.own["paths.runs"] or None).runs
        own = arguments.own["exact"]
        exact = read_record(Path(own)) if own else gap.find_exact(runs, record["task_id"])
        if record["method"] == exact["method"]:
            continue
        found = gap.gaps(record, exact, n_obs)
        documents.append(gap.gap_document(record, exact, found))
        print(gap.gap_table(record, found, [parameter["name"] for parameter in exact["parameters"]]))
    if not documents:
        raise ExobenchError("name the folder of a finished run, such as runs/hotjupiter/npe (gap --help shows all).")
    out = Path(arguments.own["out"])
    write_atomically(out, (json.dumps({"gaps": documents}, indent=1, allow_nan=False) + "\n").encode())
    print(f"Every gap: {out}")


def _plots(given: Sequence[str]) -> None:
    from exobench.reference import plots

    if not given or any(argument in ("-h", "--help") for argument in given):
        print(plots.HELP, end="")
        return
    for path in plots.plots(given):
        print(path)


COMMANDS: dict[str, Callable[[Sequence[str]], None]] = {"make": _make, "exact": _exact, "gap": _gap, "plots": _plots}


def parse(arguments: Sequence[str]) -> Request:
    """Reads folders and KEY=VALUE arguments.

    Raises:
        ExobenchError: for an unknown key, a wrong value, or folders that are not there.
    """
    values, folders = split_arguments(arguments, _DEFAULTS, is_place=Path.is_dir, whole=_WHOLE)
    if values["classifier"] not in ("hgb", "mlp"):
        raise unknown_name("classifier", values["classifier"], ("hgb", "mlp"))
    check_run_folders(folders, "runs/linear_gaussian/npe")
    return Request(tuple(folders), values)


def _run(request: Request) -> None:
    from exobench.files import write_atomically
    from exobench.reference.table import table

    documents = [_compare(record, request) for record in _records(request.folders)]
    print(table(documents))
    out = Path(request.values["out"])
    write_atomically(out, (json.dumps({"comparisons": documents}, indent=1, allow_nan=False) + "\n").encode())
    print(f"Every spectrum: {out}")


def _records(folders: Sequence[Path]) -> list[RunRecord]:
    from exobench.find_runs import finished_records

    records, passed_over = finished_records(folders)
    for line in passed_over:
        print(f"passed over: {line}", file=sys.stderr)
    return records


def _compare(record: RunRecord, request: Request) -> dict[str, Any]:
    from exobench.reference.comparison import ComparisonSettings, compare
    from exobench.reference.spectra import stored_draws
    from exobench.reference.table import document

    start = time.perf_counter()
    settings = ComparisonSettings(
        request.whole("n_draws"),
        "hgb" if request.values["classifier"] == "hgb" else "mlp",
        request.whole("seed"),
        request.whole("workers"),
    )
    run = stored_draws(record, request.whole("n_obs"))
    if run.theta.shape[1] < settings.n_draws:
        few = f"{run.name} has {run.theta.shape[1]} draws a spectrum, fewer than {settings.n_draws}: less power"
        print(few, file=sys.stderr)
    comparison = compare(run, _reference(record, request, settings.n_draws), settings)
    return document(comparison, settings, time.perf_counter() - start)


def _reference(record: RunRecord, request: Request, n_draws: int) -> StoredDraws:
    from exobench.reference.published import load_published
    from exobench.reference.spectra import EXACT, PUBLISHED, exact_draws, stored_draws
    from exobench.results import read_record

    n_obs = request.whole("n_obs")
    if request.values["reference"] == PUBLISHED:
        return load_published(record["task"], record["task_id"]).stored_draws(n_obs)
    if request.values["reference"] == EXACT:
        data = Places.resolve(data=request.values["paths.data"] or None).data
        return exact_draws(record, n_obs, data, 2 * n_draws)
    return stored_draws(read_record(Path(request.values["reference"])), n_obs)


if __name__ == "__main__":
    main()
