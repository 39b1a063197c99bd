"""A run's answer to one spectrum."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from exobench.data.taurex_parfile import TaurexSetup
from exobench.devices import resolve_device
from exobench.errors import ExobenchError
from exobench.find_runs import finished_records, several
from exobench.metrics.resampling import draw_weights, effective_size, equal_draws
from exobench.parameters import ParameterSpace
from exobench.places import Places
from exobench.progress import Progress
from exobench.retrieve.admission import Star, check_missing_bins, check_units, find_star, why_not_for_science
from exobench.retrieve.familiar import Finding, Known, compare, known_spectra, warning
from exobench.retrieve.observed import Observed
from exobench.retrieve.rebin import rebin
from exobench.retrieve.refine import doubts, refined
from exobench.seeds import rng_for
from exobench.shifts.finished import FinishedRun, load_run, task_of

Array = NDArray[np.float64]

LEVELS = {"low_95": 0.025, "low_68": 0.16, "median": 0.5, "high_68": 0.84, "high_95": 0.975}
"""Ends of the central 68 and 95 % intervals."""
REFINED_BY = {"importance": "importance sampling", "smc": "sequential Monte Carlo", "nested": "nested sampling"}
"""What `Retrieval.answer`'s ``refine`` is called in words."""
N_PREDICTED = 300
_ROWS_A_CALL = 512


@dataclass(frozen=True, eq=False)
class Answer:
    """Draws for one spectrum, and all that must be said with them.

    Attributes:
        spectrum: as read, in its own bins.
        x: in the task's bins and scaled to its star, (bin,); NaN where missing.
        sigma: inf there.
        space: names, units and ranges of theta.
        theta: draws, (draw, param).
        log_weight: natural log of their weights, (draw,), or None.
        predicted: noise-free depths of ``N_PREDICTED`` equal-weight draws, (draw, bin).
        star: stars of spectrum and task; None for a task without one.
        given: parameters that a .par file gives, (param,), or None.
        findings: comparisons with the training set.
        notes: what was done, and what to beware of, a sentence each.
        mark: why all output must be marked as not for science, or None.
        seconds: from the spectrum to the draws, comparisons left out.
        refine: how the exact likelihood changed the run's own draws, a key of `REFINED_BY`, or None.
    """

    spectrum: Observed
    x: Array
    sigma: Array
    space: ParameterSpace
    theta: Array
    log_weight: Array | None
    predicted: Array
    star: Star | None
    given: Array | None
    findings: list[Finding]
    notes: tuple[str, ...]
    mark: str | None
    seconds: float
    refine: str | None = None

    @property
    def warning(self) -> str | None:
        """In plain words, that the spectrum is unlike the training set; None where it is like it."""
        return warning(self.findings)

    def made_by(self, run_name: str) -> str:
        """The run, and what refined its draws."""
        return run_name if self.refine is None else f"{run_name}, refined by {REFINED_BY[self.refine]}"

    @property
    def weight(self) -> Array:
        """Of the draws, summing to one, (draw,)."""
        return draw_weights(self.theta, self.log_weight)

    def intervals(self) -> dict[str, Array]:
        """Quantiles at `LEVELS`, (param,) each."""
        return {name: self.quantile(level) for name, level in LEVELS.items()}

    def quantile(self, level: float) -> Array:
        """Weighted quantile of each parameter, (param,)."""
        weight = self.weight
        columns = [np.quantile(values, level, weights=weight, method="inverted_cdf") for values in self.theta.T]
        return np.array(columns)


@dataclass(frozen=True, eq=False)
class Retrieval:
    """A finished run, ready for spectra.

    Attributes:
        run: with its posterior.
        known: validation spectra.
        device: resolved.
        opacities_path: folder of the run's opacities, None for the embedded ones.
        simulate: noise-free depths (n, bin) of theta (n, param).
    """

    run: FinishedRun
    known: Known
    device: str
    opacities_path: str | None
    simulate: Callable[[Array], Array] = field(repr=False)

    @staticmethod
    def open(
        folder: Path, *, device: str = "auto", opacities_path: str | None = None, data: str | None = None
    ) -> Retrieval:
        """Loads the one finished run at or below a folder.

        Args:
            folder: of the run, or one above it.
            device: "auto" or a torch device.
            opacities_path: folder of opacities, for a run that was made with some.
            data: root of the shared data sets; None for EXOBENCH_DATA or the default.

        Raises:
            ExobenchError: there is no such run, or several, or its fit or its task cannot be had.
        """
        records, _ = finished_records([folder])
        if len(records) > 1:
            raise several(f"run={folder}", records)
        task = task_of(records[0], opacities_path)
        run = load_run(records[0], task, device)
        used = opacities_path if task.simulator.describe().get("opacity_source") == "files" else None
        known = known_spectra(run, Places.resolve(data=data).data)
        return Retrieval(run, known, resolve_device(device), used, _simulate(run, resolve_device(device)))

    def answer(
        self,
        spectrum: Observed,
        *,
        n_draws: int = 4000,
        seed: int = 0,
        simulated: bool = False,
        demo: bool = False,
        star_radius_rsun: float | None = None,
        setup: TaurexSetup | None = None,
        refine: str | None = None,
        compared: bool = True,
    ) -> Answer:
        """Retrieves a spectrum.

        Args:
            spectrum: as read.
            n_draws: draws wanted.
            seed: of the draws; spectra that are to be counted together need one each.
            simulated: the caller vouches that the spectrum is simulated.
            demo: answer although the run's physics are not for real spectra, and mark the answer.
            star_radius_rsun: of the spectrum's star, None for that of ``setup``, else the task's.
            setup: a TauREx parameter file that belongs to the spectrum.
            refine: "importance", "smc", "nested" or None.
            compared: compare the spectrum with the training set, which takes longer than the draws.

        Raises:
            ExobenchError: the spectrum does not suit the run; one line that says what to change.
        """
        start, task = time.perf_counter(), self.run.task
        mark = why_not_for_science(task, spectrum, simulated=simulated, demo=demo)
        star = find_star(task, star_radius_rsun, setup)
        rebinned = rebin(spectrum.scaled(star.factor) if star is not None else spectrum, task.bin_edges_um)
        check_units(spectrum, rebinned.x, self.known.depth)
        check_missing_bins(self.run.method, rebinned)
        x, sigma = rebinned.x[None], rebinned.sigma[None]
        rng = rng_for(*self.run.identity, "retrieve", seed)
        samples = self.run.posterior.sample(x, sigma, n_draws, rng=rng)
        own = np.asarray(samples.theta[0], dtype=np.float64)
        notes = [*spectrum.notes, *rebinned.notes]
        if refine is not None:
            samples = refined(self.run, refine, x, sigma, n_draws, self.device, rng)
            notes.extend(doubts(refine, dict(samples.diagnostics)))
        theta, log_weight, lost = _counting(
            np.asarray(samples.theta[0], dtype=np.float64), _row(samples.log_weight), task.parameters
        )
        seconds = time.perf_counter() - start
        shown = equal_draws(theta, log_weight, min(N_PREDICTED, len(theta)), rng)
        findings = self._compared(rebinned.x, rebinned.sigma, own) if compared else []
        effective = effective_size(draw_weights(theta, log_weight))
        return Answer(
            spectrum=spectrum,
            x=rebinned.x,
            sigma=rebinned.sigma,
            space=task.parameters,
            theta=theta,
            log_weight=log_weight,
            predicted=self.simulate(shown),
            star=star,
            given=_given(setup, task.parameters, notes),
            findings=findings,
            notes=(
                *notes,
                *([star.note()] if star is not None else []),
                *lost,
                f"{len(theta)} draws ({effective:.0f} effective) in {seconds:.2g} s.",
            ),
            mark=mark,
            seconds=seconds,
            refine=refine,
        )

    def _compared(self, x: Array, sigma: Array, theta: Array) -> list[Finding]:
        usable = self.run.task.parameters.clip(np.nan_to_num(theta))
        with Progress("comparing with the training set", None):
            return compare(self.run, self.known, x, sigma, usable, self.simulate)


def _simulate(run: FinishedRun, device: str) -> Callable[[Array], Array]:
    import torch

    simulator = run.task.simulator.build(device)

    def simulate(theta: Array) -> Array:
        parts = [theta[k : k + _ROWS_A_CALL] for k in range(0, len(theta), _ROWS_A_CALL)]
        with torch.no_grad():
            return np.concatenate([simulator(torch.as_tensor(part)).double().cpu().numpy() for part in parts])

    return simulate


def _row(log_weight: Array | None) -> Array | None:
    return None if log_weight is None else np.asarray(log_weight[0], dtype=np.float64)


def _counting(theta: Array, log_weight: Array | None, space: ParameterSpace) -> tuple[Array, Array | None, list[str]]:
    """Draws inside the prior that have weight; how many are not is said, not hidden.

    Raises:
        ExobenchError: none is left.
    """
    inside = space.inside(theta)
    keep = inside if log_weight is None else inside & (log_weight > -np.inf)
    if not keep.any():
        raise ExobenchError("no draw of the posterior lies inside the prior: the run cannot answer for this spectrum.")
    n_out = int((~inside).sum())
    notes = [f"{n_out} of {len(theta)} draws lie outside the prior and are left out."] if n_out else []
    return theta[keep], None if log_weight is None else log_weight[keep], notes


def _given(setup: TaurexSetup | None, space: ParameterSpace, notes: list[str]) -> Array | None:
    """The parameters of a .par file, None with a note where they are not the task's."""
    if setup is None:
        return None
    try:
        return setup.theta(space)
    except ExobenchError as error:
        notes.append(f"The parameter file's values are not shown: {error}")
        return None
