"""``python -m exobench.retrieve.simulate run=FOLDER out=planet.dat``: a test spectrum of a run's task as a file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from exobench.errors import ExobenchError, unknown_name
from exobench.opacities.grids import bin_bounds
from exobench.small_commands import command_arguments, failing_in_one_line, with_output_help
from exobench.task import Task

Array = NDArray[np.float64]

HELP = """usage: python -m exobench.retrieve.simulate run=FOLDER [row=0] [out=planet.dat] [KEY=VALUE ...]

Writes one test spectrum of a finished run's task as a TauREx .dat, to try retrievals on, and beside it a TauREx 3 .par
with the parameters that it was made with, where the task is an atmosphere. row= is its number in the test set.
opacities.path= and paths.data= are those that the run was made with.
"""
_HEADER = "# simulated: exobench"
_DEFAULTS = {"run": "", "row": "0", "out": "planet.dat", "opacities.path": "", "paths.data": ""}


def main(arguments: Sequence[str] | None = None) -> None:
    """Writes; wrong input ends with one line on stderr and exit status 2."""
    given = command_arguments(arguments)
    if not given or any(argument in ("-h", "--help") for argument in given):
        print(with_output_help(HELP), end="")
        return
    with failing_in_one_line():
        for path in _run(given):
            print(path)


def write_spectrum(path: Path, task: Task, row: int, theta: Array, x: Array, sigma: Array) -> list[Path]:
    """Writes one simulated spectrum; returns the files.

    Args:
        path: of the ``.dat`` file.
        task: that it belongs to.
        row: its number, for the header.
        theta: what it was made with, (param,).
        x: depths, (bin,); bins that are NaN are left out.
        sigma: (bin,).
    """
    from exobench.retrieve.taurex_file import setup_text, why_no_file

    low, high = bin_bounds(task.bin_edges_um)
    seen = np.isfinite(x) & np.isfinite(sigma)
    columns = np.stack([task.wavelength_um, x, sigma, high - low], axis=1)[seen]
    truths = ", ".join(f"{name}={value:.6g}" for name, value in zip(task.parameters.names, theta, strict=True))
    lines = [
        f"{_HEADER}, task {task.name} ({task.task_id}), test spectrum {row}",
        f"# {truths}",
        "# wavelength (um), transit depth, error, bin width (um)",
        *(" ".join(f"{value:.10g}" for value in each) for each in columns),
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    if why_no_file(task) is not None:
        return [path]
    setup = path.with_suffix(".par")
    setup.write_text(f"# {truths}\n{setup_text(task, theta, '# xsec_path and cia_path go here')}", encoding="utf-8")
    return [path, setup]


def _check_not_anothers(out: Path) -> None:
    """A file that was not written here may be somebody's measurement."""
    if out.exists():
        with out.open("rb") as file:
            if file.read(len(_HEADER)) == _HEADER.encode():
                return
    for path in (out, out.with_suffix(".par")):
        if path.exists():
            raise ExobenchError(f"out={out}: {path} is there and was not written by this command; name another file.")


def _run(arguments: Sequence[str]) -> list[Path]:
    values = dict(_DEFAULTS)
    for argument in arguments:
        key, equals, value = argument.partition("=")
        if not equals or key not in _DEFAULTS:
            raise unknown_name("setting", key, _DEFAULTS)
        values[key] = value
    if not values["row"].isdecimal() or int(values["row"]) >= 10_000:
        raise ExobenchError(f"row={values['row']} must be a whole number from 0 to 9999.")
    if not Path(values["run"]).is_dir() or not values["run"]:
        raise ExobenchError(f"run={values['run']} must be the folder of a finished run.")
    out = Path(values["out"])
    if out.suffix != ".dat":
        raise ExobenchError(f"out={out} must end in .dat.")
    _check_not_anothers(out)
    from exobench.data.choice import DataChoice
    from exobench.data.source import open_data
    from exobench.find_runs import finished_records
    from exobench.places import Places
    from exobench.shifts.finished import task_of

    task = task_of(finished_records([Path(values["run"])])[0][0], values["opacities.path"] or None)
    row, data = int(values["row"]), Places.resolve(data=values["paths.data"] or None).data
    test = open_data(task, data, n_train=0, n_validation=0, n_test=row + 1, workers=1, choice=DataChoice()).test
    return write_spectrum(out, task, row, test.theta_true[row], test.x[row], test.sigma[row])


if __name__ == "__main__":
    main()
