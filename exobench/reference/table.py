"""Comparisons as numbers to keep and as a table to read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from exobench.reference.comparison import Comparison, ComparisonSettings
from exobench.text_table import aligned

Array = NDArray[np.float64]

PSIS_K, LARGEST_K = "psis_k", 0.7
"""Diagnostic of importance sampling, and the value up to which its weights are trusted (Vehtari et al. 2024)."""

HEADER = (
    "run",
    "spectra",
    "draws",
    "C2ST mean",
    "max",
    "floor",
    "JSD max (floor)",
    "KS score (floor)",
    "ln Z z: mean",
    "spread",
)


def summary(comparison: Comparison) -> dict[str, Any]:
    """Means over spectra with standard errors over spectra, and what was left out.

    Returns:
        JSON-able numbers: ``c2st_mean``, ``c2st_standard_error``, ``c2st_max``, ``c2st_max_spectrum``, the same of
        the floor, the largest mean divergence and the mean score of the parameters, and the evidence's z-scores.
    """
    rows = [spectrum for spectrum in comparison.spectra if "undefined" not in spectrum]
    result: dict[str, Any] = {
        "n_spectra": len(comparison.spectra),
        "n_compared": len(rows),
        "undefined": {str(s["spectrum"]): s["undefined"] for s in comparison.spectra if "undefined" in s},
        "n_not_finite": sum(spectrum["n_not_finite"] for spectrum in comparison.spectra),
    }
    if rows:
        result |= _distances(rows)
    if comparison.evidence is not None:
        result["log_evidence"] = _evidence(comparison)
    finite = {name: values[np.isfinite(values)] for name, values in comparison.diagnostics.items()}
    result["diagnostics_median"] = {name: float(np.median(values)) for name, values in finite.items() if len(values)}
    return result


def _distances(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    result: dict[str, Any] = {
        "n_draws": min(row["n_draws"] for row in rows),
        "ess_min": min(row["ess"] for row in rows),
    }
    for name in ("c2st", "c2st_floor"):
        values = np.array([row[name] for row in rows])
        result[f"{name}_mean"] = float(values.mean())
        result[f"{name}_standard_error"] = float(values.std(ddof=1) / np.sqrt(len(rows))) if len(rows) > 1 else None
        result[f"{name}_max"] = float(values.max())
    result["c2st_max_spectrum"] = max(rows, key=lambda row: row["c2st"])["spectrum"]
    for name in ("jsd", "jsd_floor", "ks_score", "ks_score_floor"):
        result[name] = np.mean([row[name] for row in rows], axis=0).tolist()
    return result


def _evidence(comparison: Comparison) -> dict[str, Any]:
    evidence = comparison.evidence
    assert evidence is not None
    return {
        "n_spectra": len(evidence.z),
        "left_out": sorted(set(range(len(comparison.spectra))) - set(comparison.evidence_rows)),
        "mean_z": evidence.mean_z,
        "mean_z_standard_error": evidence.mean_z_error,
        "spread_z": evidence.spread_z,
        "spread_z_standard_error": evidence.spread_z_error,
        "p_value_of_no_bias": evidence.p_value,
        "largest_difference": float(np.abs(evidence.difference).max()),
        **_where_weights_are_trusted(comparison, evidence.z),
    }


def _where_weights_are_trusted(comparison: Comparison, z: Array) -> dict[str, Any]:
    """The same where Pareto-smoothed importance sampling trusts its weights, for a run that recorded its k."""
    k = comparison.diagnostics.get(PSIS_K)
    if k is None:
        return {}
    trusted = z[k[list(comparison.evidence_rows)] <= LARGEST_K]
    result: dict[str, Any] = {"psis_k_above_0.7": float(np.mean(k > LARGEST_K)), "n_trusted": len(trusted)}
    if len(trusted) > 1:
        result |= {"mean_z_trusted": float(trusted.mean()), "spread_z_trusted": float(trusted.std(ddof=1))}
    return result


def document(comparison: Comparison, settings: ComparisonSettings, seconds: float) -> dict[str, Any]:
    """All of one comparison, JSON-able: summary, settings, and every spectrum."""
    spectra = [dict(spectrum) for spectrum in comparison.spectra]
    if comparison.evidence is not None:
        evidence = comparison.evidence
        for k, row in enumerate(comparison.evidence_rows):
            spectra[row]["log_evidence_difference"] = float(evidence.difference[k])
            spectra[row]["log_evidence_combined_error"] = float(evidence.combined_error[k])
            spectra[row]["log_evidence_z"] = float(evidence.z[k])
    for name, values in comparison.diagnostics.items():
        for spectrum, value in zip(spectra, values, strict=True):
            spectrum.setdefault("diagnostics", {})[name] = float(value) if np.isfinite(value) else None
    return {
        "run": comparison.run,
        "reference": comparison.reference,
        "n_draws_wanted": settings.n_draws,
        "classifier": settings.classifier,
        "seed": settings.seed,
        "seconds": round(seconds, 2),
        "summary": summary(comparison),
        "spectra": spectra,
    }


def table(documents: Sequence[dict[str, Any]]) -> str:
    """One line for each comparison."""
    lines = [HEADER, *(_cells(each["run"], each["summary"]) for each in documents)]
    return "\n".join(aligned(lines))


def _cells(run: str, numbers: dict[str, Any]) -> tuple[str, ...]:
    compared = f"{numbers['n_compared']}/{numbers['n_spectra']}"
    evidence = numbers.get("log_evidence")
    z = ("-", "-")
    if evidence:
        mean, spread = (
            f"{evidence[key]:.2f} ± {evidence[f'{key}_standard_error']:.2f}" for key in ("mean_z", "spread_z")
        )
        z = (mean, spread)
    if "c2st_mean" not in numbers:
        return (run, compared, *["-"] * 6, *z)
    return (
        run,
        compared,
        str(numbers["n_draws"]),
        _with_error(numbers, "c2st"),
        f"{numbers['c2st_max']:.4f} (#{numbers['c2st_max_spectrum']})",
        _with_error(numbers, "c2st_floor"),
        f"{max(numbers['jsd']):.4f} ({max(numbers['jsd_floor']):.4f})",
        f"{np.mean(numbers['ks_score']):.0f} ({np.mean(numbers['ks_score_floor']):.0f})",
        *z,
    )


def _with_error(numbers: dict[str, Any], name: str) -> str:
    error = numbers[f"{name}_standard_error"]
    return f"{numbers[f'{name}_mean']:.4f}" + ("" if error is None else f" ± {error:.4f}")
