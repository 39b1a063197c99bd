"""One run under one shift: draw, score, compare with the unshifted spectra, record."""

from __future__ import annotations

import logging
import shutil
import time
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from exobench.data.source import TestSpectra
from exobench.drawing import Drawn, draw_posteriors
from exobench.errors import ExobenchError
from exobench.files import folder_lock
from exobench.method import Capability
from exobench.metrics.paired import paired_difference
from exobench.metrics.per_spectrum import per_spectrum
from exobench.metrics.score import METRICS_VERSION
from exobench.provenance import code_version
from exobench.results import DIAGNOSTICS, DRAWS, write_arrays
from exobench.scoring import scoring_inputs, write_scores
from exobench.seeds import rng_for, stable_hash
from exobench.shifts.catalogue import NONE, NamedShift
from exobench.shifts.detection import NO_SURPRISE, detection, surprise_of
from exobench.shifts.exact import NO_ROW_ON_FILES, exact_row_beside, exact_row_key, how_to_make
from exobench.shifts.finished import FinishedRun
from exobench.shifts.record import (
    SURPRISE,
    Content,
    check_writable,
    find_shift_record,
    per_spectrum_of,
    shift_folder,
    stored_surprise,
    write_shift_record,
)
from exobench.shifts.shift import Unshifted
from exobench.shifts.spectra import shifted
from exobench.task import Task

Array = NDArray[np.float64]
log = logging.getLogger(__name__)

EXACT_FOLDER = "exact"
EXACT_SECONDS = 120.0
"""A closed form that lies far outside the prior's box is cut to it at a cost without bound."""
PPM = 1e6


@dataclass(frozen=True)
class ShiftSettings:
    """What the scores of a run under a shift depend on, besides the two.

    Attributes:
        n_test: first test spectra, the same truths for every shift.
        n_draws: draws a spectrum.
        rerun: score again although a finished record exists.
        keep_draws: keep draws.h5 beside the scores.
    """

    n_test: int
    n_draws: int
    rerun: bool = False
    keep_draws: bool = False


class ShiftedSpectra:
    """The spectra of one shift of one task, made when they are first asked for.

    Args:
        named: the shift.
        base: unshifted spectra.
    """

    def __init__(self, named: NamedShift, base: Unshifted) -> None:
        self.named, self.base = named, base

    @cached_property
    def opacity_hash(self) -> str | None:
        """Of the numbers of the user's opacities, None for a shift that rests on none, or where they are unreadable."""
        try:
            return self.named.shift.opacity_hash(self.base)
        except ExobenchError:
            return None  # the reason is that of ``made``

    @cached_property
    def made(self) -> TestSpectra | str:
        """The spectra, or the reason why there are none."""
        try:
            return shifted(self.named, self.base)
        except ExobenchError as error:
            # What one shift cannot make of this task must not stop the others.
            return str(error)


def score_shift(run: FinishedRun, spectra: ShiftedSpectra, settings: ShiftSettings) -> Content:
    """Scores a finished run under a shift, or reads the finished record of the same, if it has the draws asked for.

    The unshifted spectra must have been scored before, for the comparison with them.

    Args:
        run: with its posterior.
        spectra: of the shift.
        settings: what else the scores depend on.

    Raises:
        ExobenchError: if the run's folder cannot be written to, or a method breaks its promises.
    """
    key = shift_key(run, spectra, settings)
    check_writable(run.record.folder)
    folder = shift_folder(run.record.folder, spectra.named.name)
    with folder_lock(folder):
        finished = None if settings.rerun else find_shift_record(folder, key)
        lacks_draws = settings.keep_draws and not (folder / DRAWS).exists()
        # A reason why there are no scores is found again at no cost, and may have gone.
        if finished is not None and finished["status"] == "ok" and not lacks_draws:
            return _with_exact_row(finished, run, spectra, folder)
        return write_shift_record(folder, _Scoring(run, spectra, settings, key, folder).content())


def _with_exact_row(finished: Content, run: FinishedRun, spectra: ShiftedSpectra, folder: Path) -> Content:
    """A finished record with the exact row that lies among the task's runs now."""
    if run.task.exact is not None:
        return finished
    now = _exact_row(run, spectra, folder)
    return finished if now == finished["exact"] else write_shift_record(folder, {**finished, "exact": now})


def _exact_row(run: FinishedRun, spectra: ShiftedSpectra, folder: Path) -> Content:
    name = spectra.named.name
    if spectra.opacity_hash is not None:
        return {"status": "not available", "reason": NO_ROW_ON_FILES}
    key = exact_row_key(spectra.named, run.task.task_id)
    # runs/<task>/<method>/<hash>/<seed>
    found = exact_row_beside(run.record.folder.absolute().parents[2], name, key, folder)
    return found or {"status": "not available", "reason": how_to_make(run.task.name, name)}


def shift_key(run: FinishedRun, spectra: ShiftedSpectra, settings: ShiftSettings) -> str:
    """What a record is known by: all that moves its numbers."""
    return stable_hash(
        {
            "shift": spectra.named.describe(),
            "opacity_hash": spectra.opacity_hash,
            "task_id": run.task.task_id,
            "run": [run.record["config_hash"], run.record["seed"]],
            "n_test": settings.n_test,
            "n_draws": settings.n_draws,
            "metrics_version": METRICS_VERSION,
        }
    )


@dataclass(frozen=True)
class _Scoring:
    run: FinishedRun
    spectra: ShiftedSpectra
    settings: ShiftSettings
    key: str
    folder: Path

    def content(self) -> Content:
        start = time.perf_counter()
        test = self.spectra.made
        reason = test if isinstance(test, str) else self._why_not()
        if reason is not None or isinstance(test, str):
            return {**self._header(), "status": "not available", "reason": reason}
        try:
            drawn = self._draw(test)
        except ExobenchError as error:
            if not self.spectra.named.shift.misses_bins:
                raise
            # A network that never saw a missing bin refuses one, whatever it can learn on another task.
            return {**self._header(), "status": "not available", "reason": str(error)}
        scored = score(self.run.task, test, drawn, self.run.identity, self.folder)
        return {
            **self._header(),
            "status": "ok",
            "noise_ppm": self._noise(test),
            **scored,
            "energy_score_change": self._change(),
            "auroc": self._auroc(test, drawn),
            "exact": self._exact(test),
            "n_draws_returned": drawn.n_draws,
            "seconds": time.perf_counter() - start,
        }

    def _why_not(self) -> str | None:
        missing = self.spectra.named.shift.misses_bins and Capability.MISSING_BINS not in self.run.method.capabilities
        return "the method does not declare Capability.MISSING_BINS" if missing else None

    def _draw(self, test: TestSpectra) -> Drawn:
        run, n_draws = self.run, self.settings.n_draws
        drawn = draw_posteriors(
            run.posterior, run.method, run.problem, test, n_draws, run.identity, self.folder, self.key
        )
        if not self.settings.keep_draws:
            (self.folder / DRAWS).unlink(missing_ok=True)
        (self.folder / DIAGNOSTICS).unlink(missing_ok=True)
        shutil.rmtree(self.folder / "work", ignore_errors=True)
        return drawn

    def _header(self) -> Content:
        named, record = self.spectra.named, self.run.record
        return {
            "shift_key": self.key,
            "metrics_version": METRICS_VERSION,
            "shift": named.describe(),
            "opacity_hash": self.spectra.opacity_hash,
            "summary": named.summary,
            "source": named.source,
            "compared_with": {"posterior": named.shift.exact, "is_right_for_these_spectra": named.shift.exact_is_right},
            "task": record["task"],
            "task_id": record["task_id"],
            "method": record["method"],
            "run": self.run.name,
            "seed": record["seed"],
            "n_test": self.settings.n_test,
            "n_draws": self.settings.n_draws,
            "versions": code_version(),
        }

    def _noise(self, test: TestSpectra) -> Content:
        """Medians over spectra and bins of what sigma tells, and the spread of x about the unshifted depths."""
        base = self.spectra.base
        seen = np.isfinite(test.x) & np.isfinite(test.sigma)
        residual = (test.x - base.depth)[seen]
        return {
            "told_median": PPM * float(np.median(test.sigma[seen])),
            "rms_about_unshifted_depth": PPM * float(np.sqrt(np.mean(residual**2))),
            "missing_share": float(1.0 - seen.mean()),
        }

    def _change(self) -> Content | None:
        """Mean energy score beyond that of the unshifted spectra, paired over spectra."""
        before = per_spectrum_of(shift_folder(self.run.record.folder, NONE))["energy_score"]
        after = per_spectrum_of(self.folder)["energy_score"]
        if self.spectra.named.name == NONE or len(before) < 2 or not np.isfinite([*before, *after]).all():
            return None
        return paired_difference(after, before)._asdict()

    def _auroc(self, test: TestSpectra, drawn: Drawn) -> Content:
        surprise = surprise_of(self.run, test, drawn)
        if surprise is None:
            return {"value": None, "standard_error": None, "status": "not available", "reason": NO_SURPRISE}
        write_arrays(self.folder / SURPRISE, {"surprise": surprise})
        before = stored_surprise(shift_folder(self.run.record.folder, NONE))
        if self.spectra.named.name == NONE or before is None:
            reason = "these are the unshifted spectra"
            return {"value": None, "standard_error": None, "status": "undefined", "reason": reason}
        return detection(before, surprise).to_dict()

    def _exact(self, test: TestSpectra) -> Content:
        """Scores of the exact posterior at the told sigma: the task's closed form, else its exact row of the shift."""
        task = self.run.task
        if task.exact is None:
            return _exact_row(self.run, self.spectra, self.folder)
        try:
            return {"status": "ok", **score_exact(task, test, self.settings.n_draws, self.folder / EXACT_FOLDER)}
        except ExobenchError as error:
            return {"status": "not available", "reason": str(error)}


def score_exact(task: Task, test: TestSpectra, n_draws: int, folder: Path) -> Content:
    """Draws from the task's closed form at the told sigma, scored as a method's are.

    Raises:
        ExobenchError: if the closed form cannot be drawn from for a spectrum, or not in time.
    """
    assert task.exact is not None  # asked only where there is one
    start, theta = time.perf_counter(), []
    for row in range(len(test.x)):
        one = slice(row, row + 1)
        rng = rng_for(task.task_id, "exact draws of a shift", row)
        theta.append(task.exact.sample(test.x[one], test.sigma[one], n_draws, rng=rng))
        if time.perf_counter() - start > EXACT_SECONDS:
            raise ExobenchError(
                f"the closed form took more than {EXACT_SECONDS:g} s for {row + 1} of {len(test.x)} spectra; "
                "much of its mass lies outside the prior's box."
            )
    # Its density at the truths is left out: the probability of the prior's box takes longer than all the draws.
    drawn = Drawn(np.concatenate(theta), None, None, *_FREE)
    folder.mkdir(parents=True, exist_ok=True)
    return score(task, test, drawn, (task.task_id, "exact"), folder)


_FREE: tuple[float, int, int, int, dict[str, Array]] = (0.0, 0, 0, 0, {})
"""What the draws of a closed form cost."""


def score(task: Task, test: TestSpectra, drawn: Drawn, identity: tuple[object, ...], folder: Path) -> dict[str, Any]:
    """Scores draws of shifted spectra and stores the per-spectrum arrays; the scores are those of every run.

    Args:
        task: gives prior and parameters.
        test: the spectra.
        drawn: draws of all of them.
        identity: decides the random numbers of randomised ranks.
        folder: where the arrays go.
    """
    inputs = scoring_inputs(task, test, drawn.theta, drawn.log_weight, log_prob_true=drawn.log_prob_true)
    return write_scores(per_spectrum(inputs, rng_for(*identity, "score")), task, folder)
