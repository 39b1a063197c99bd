"""One run beside a reference: distances of every spectrum's draws with their floor, and the evidence."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from typing import Any

import numpy as np
from numpy.typing import NDArray

from exobench.errors import ExobenchError
from exobench.metrics.c2st import N_C2ST, Classifier, c2st
from exobench.metrics.reference import EvidenceComparison, compare_evidence, ks_score, marginal_jsd
from exobench.metrics.resampling import draw_weights, effective_size
from exobench.progress import track
from exobench.reference.spectra import SpectrumDraws, StoredDraws

Array = NDArray[np.float64]

MIN_DRAWS = 100
"""Spectra with fewer finite draws than this have no distance."""


@dataclass(frozen=True)
class ComparisonSettings:
    """How draws are compared.

    Attributes:
        n_draws: draws of each side of a classifier test.
        classifier: see `exobench.metrics.c2st.c2st`.
        seed: of the choice of draws, folds and classifiers.
        workers: processes.
    """

    n_draws: int = N_C2ST
    classifier: Classifier = "hgb"
    seed: int = 0
    workers: int = 1


@dataclass(frozen=True, eq=False)
class Comparison:
    """A run beside a reference.

    Attributes:
        run: name of the run.
        reference: name of the reference.
        spectra: distances of each spectrum, by name; lists for what each parameter has; ``"undefined"`` gives a reason
            in place of distances.
        evidence: of the spectra in ``evidence_rows``; None where either side has none.
        evidence_rows: spectra whose evidence is finite on both sides.
        diagnostics: the run's other diagnostics, (obs,) each.
    """

    run: str
    reference: str
    spectra: tuple[dict[str, Any], ...]
    evidence: EvidenceComparison | None
    evidence_rows: tuple[int, ...]
    diagnostics: dict[str, Array]


def compare(run: StoredDraws, reference: StoredDraws, settings: ComparisonSettings) -> Comparison:
    """Compares the spectra that both have.

    Raises:
        ExobenchError: if the tasks differ, or the spectra are not the same.
    """
    n_obs = _common_spectra(run, reference)
    jobs = [(row, run.spectrum(row), reference.spectrum(row), settings) for row in range(n_obs)]
    evidence, rows = _evidence(run, reference, n_obs)
    return Comparison(
        run.name,
        reference.name,
        tuple(_each(jobs, settings.workers)),
        evidence,
        rows,
        {name: values[:n_obs] for name, values in run.diagnostics.items()},
    )


def _common_spectra(run: StoredDraws, reference: StoredDraws) -> int:
    if run.task_id != reference.task_id:
        raise ExobenchError(
            f"{run.name} is of task {run.task_id}, the reference {reference.name} of {reference.task_id}; only draws "
            "of one task_id may be compared."
        )
    n_obs = min(len(run.theta), len(reference.theta))
    if not np.allclose(run.theta_true[:n_obs], reference.theta_true[:n_obs], rtol=1e-6, atol=1e-9):
        raise ExobenchError(f"the test spectra of {run.name} and of {reference.name} are not the same.")
    return n_obs


_Job = tuple[int, SpectrumDraws, SpectrumDraws, ComparisonSettings]


def _each(jobs: list[_Job], workers: int) -> Iterable[dict[str, Any]]:
    if workers == 1:
        return [compare_spectrum(*job) for job in track(jobs, "comparing")]
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        found = pool.map(compare_spectrum, *zip(*jobs, strict=True))
        return list(track(found, "comparing", total=len(jobs)))


def compare_spectrum(
    row: int, run: SpectrumDraws, reference: SpectrumDraws, settings: ComparisonSettings
) -> dict[str, Any]:
    """Distances of one spectrum, each beside its floor: the same distance between two halves of the reference.

    The run is compared with the first half, so that both distances rest on equally many draws.
    """
    kept = run.finite()
    facts: dict[str, Any] = {
        "spectrum": row,
        "n_not_finite": len(run.theta) - int(np.isfinite(run.theta).all(axis=1).sum()),
    }
    halves = [half.finite() for half in reference.halves(settings.seed)]
    if len(kept.theta) < MIN_DRAWS or min(len(half.theta) for half in halves) < MIN_DRAWS:
        return facts | {"undefined": f"fewer than {MIN_DRAWS} finite draws on one side"}
    try:
        ours, floor = (_distances(halves[0], other, settings, row) for other in (kept, halves[1]))
    except ExobenchError as error:
        return facts | {"undefined": str(error)}
    ess = effective_size(draw_weights(kept.theta, kept.log_weight))
    return facts | {"ess": ess} | ours | {f"{name}_floor": value for name, value in floor.items()}


def _distances(
    reference: SpectrumDraws, other: SpectrumDraws, settings: ComparisonSettings, row: int
) -> dict[str, Any]:
    weights: dict[str, Any] = {"log_weight": other.log_weight, "reference_log_weight": reference.log_weight}
    test = c2st(
        reference.theta,
        other.theta,
        **weights,
        n_draws=settings.n_draws,
        classifier=settings.classifier,
        seed=settings.seed + row,
    )
    return {
        "c2st": test.accuracy,
        "n_draws": test.n_draws,
        "n_unique": test.n_unique,
        "jsd": marginal_jsd(reference.theta, other.theta, **weights).tolist(),
        "ks_score": ks_score(reference.theta, other.theta, **weights).tolist(),
    }


def _evidence(
    run: StoredDraws, reference: StoredDraws, n_obs: int
) -> tuple[EvidenceComparison | None, tuple[int, ...]]:
    ours, theirs = run.evidence(), reference.evidence()
    if ours is None or theirs is None:
        return None, ()
    arrays = np.stack([values[:n_obs] for values in (*ours, *theirs)])
    rows = np.flatnonzero(np.isfinite(arrays).all(axis=0) & (arrays[1] + arrays[3] > 0.0))
    if len(rows) < 2:
        return None, ()
    return compare_evidence(*arrays[:, rows]), tuple(rows.tolist())
