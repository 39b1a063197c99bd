"""The exact row of a shift: draws of the exact posterior at the told sigma for shifted test spectra, scored."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from exobench.drawing import box_attributes
from exobench.errors import ExobenchError
from exobench.files import folder_lock
from exobench.metrics.per_spectrum import MIN_ESS
from exobench.provenance import code_version
from exobench.reference.exact_draws import padded, with_fallback
from exobench.reference.exact_row import DEFAULTS, LIMIT, SOURCES, limit_scores, limits, once, realised
from exobench.reference.request import Arguments, asked_run, settings_of_record, sort_arguments
from exobench.reference.rows import RowDraws, sample_rows, spectra_of
from exobench.registry import build_task
from exobench.results import DRAWS, write_arrays
from exobench.settings import RunSettings
from exobench.shifts.catalogue import find_shift
from exobench.shifts.exact import NO_ROW_ON_FILES, exact_row_folder, exact_row_key, write_exact_row
from exobench.shifts.physics import RealTables
from exobench.shifts.record import SHIFT_RECORD, Content


def exact_of_shift(given: Sequence[str]) -> tuple[Content, Path]:
    """Makes the row; see `exobench.reference.exact_row.HELP`.

    Every posterior is a file below ``paths.runs`` as soon as it is drawn: a second call goes on from there.

    Returns:
        The row's record, and its folder.

    Raises:
        ExobenchError: for any setting that is wrong, a shift that makes no sense for the task, or a fallback that
            leaves too few effective draws.
        FitInterrupted: if the process was told to stop while fitting.
    """
    arguments = sort_arguments(given, DEFAULTS, SOURCES)
    n_test, n_draws = arguments.whole("n_test", 2), arguments.whole("n_draws", MIN_ESS)
    workers, name = arguments.whole("workers", 1), arguments.own["shift"]
    named = find_shift(name)
    if isinstance(named.shift, RealTables):
        raise ExobenchError(f"shift={name}: {NO_ROW_ON_FILES}.")
    (settings, fits), (fallback, fits_of_fallback) = (_asked(arguments, k, n_test, n_draws) for k in SOURCES)
    task = build_task(settings.task, settings.request)
    fallback = replace(fallback, task=settings.task, request=settings.request)
    test = spectra_of(settings, task, name)

    def of_fallback(rows: Sequence[int]) -> dict[int, RowDraws]:
        return sample_rows(fallback, rows, fits=fits_of_fallback, workers=workers, shift=name)

    drawn = sample_rows(settings, range(n_test), fits=fits, workers=workers, shift=name)
    found = with_fallback([drawn[row] for row in range(n_test)], of_fallback)
    folder = exact_row_folder(settings.places.runs / task.name, name)
    theta, log_weight = padded(found.draws)
    # An expectation under a posterior that is wrong for these spectra is no limit of anything.
    per_row = limits(task, found) if named.shift.exact_is_right else {}
    with folder_lock(folder):
        (folder / SHIFT_RECORD).unlink(missing_ok=True)  # its numbers are not those of the arrays that follow
        draws = {"theta": theta, "theta_true": test.theta_true, "log_weight": log_weight}
        write_arrays(folder / DRAWS, draws, box_attributes(task.parameters))
        write_arrays(folder / LIMIT, {**per_row, "source": found.source, "ess": found.ess})
        content = {
            "status": "ok",
            "shift": named.describe(),
            "posterior": named.shift.exact,
            "is_right_for_these_spectra": named.shift.exact_is_right,
            "task": task.name,
            "task_id": task.task_id,
            "n_test": n_test,
            "n_draws": theta.shape[1],
            "importance": settings.method,
            "fallback": {**fallback.method, "n_draws": fallback.n_draws},
            "n_by_source": {source: int(np.sum(found.source == k)) for k, source in enumerate(SOURCES)},
            "smallest_ess": float(found.ess.min()),
            "doubtful": list(found.doubtful),
            **realised(task, test, theta, log_weight, folder),
            "limit": limit_scores(per_row, task.parameters.names) if per_row else None,
            "versions": code_version(),
        }
        return write_exact_row(folder, exact_row_key(named, task.task_id), content), folder


def _asked(arguments: Arguments, source: str, n_test: int, n_draws: int) -> tuple[RunSettings, Path | None]:
    """Settings of one source, and the folder of the task's runs in which its fit lies, where it is a finished run."""
    overrides = [*arguments.shared, f"n_test={n_test}", f"n_draws={n_draws}", *arguments.parts[source]]
    asked = asked_run(arguments.own[source], once(overrides))
    if isinstance(asked, RunSettings):
        return asked, None
    places = [o for o in arguments.shared if o.partition("=")[0].split(".")[0] in ("paths", "opacities", "device")]
    settings = replace(settings_of_record(asked, places), n_test=n_test, n_draws=n_draws)
    if build_task(settings.task, settings.request).task_id != asked["task_id"]:
        raise ExobenchError(f"{asked.folder} is of another task_id ({asked['task_id']}) than its task has now.")
    return settings, asked.folder.absolute().parents[2]
