"""A task's reference posteriors as a table to read: one line a spectrum."""

from __future__ import annotations

from typing import Any

import numpy as np

from exobench.reference.published import AGREED, Published
from exobench.text_table import aligned

HEADER = (
    "#",
    "named",
    "status",
    "rerun",
    "ln Z",
    "±",
    "difference",
    "limit",
    "C2ST",
    "floor",
    "ESS",
    "check ESS",
    "k",
)


def published_table(published: Published) -> str:
    """One line for each spectrum, and what holds for all of them."""
    names = {row: name for name, row in published.named.items()}
    lines = [HEADER, *(_line(published, row, names.get(row, "")) for row in range(len(published.status)))]
    return "\n".join([*aligned(lines), *_summary(published)])


def summary_of(published: Published) -> dict[str, Any]:
    """What holds for all spectra: how many agree, by evidence and by both criteria, and the evidence's z-scores."""
    columns = published.columns
    result: dict[str, Any] = {
        "n_spectra": len(published.status),
        "n_agreed": sum(status == AGREED for status in published.status),
        "unresolved": [row for row, status in enumerate(published.status) if status != AGREED],
        "n_rerun": int(columns["rerun"].sum()),
    }
    if "evidence_difference" in columns:
        difference, error = columns["evidence_difference"], columns["evidence_error"]
        z = (difference / error)[np.isfinite(difference / error)]
        result |= {
            "n_evidence_agrees": int(np.sum(np.abs(difference) <= columns["evidence_limit"])),
            "mean_z": float(z.mean()),
            "mean_z_standard_error": float(z.std(ddof=1) / np.sqrt(len(z))),
            "spread_z": float(z.std(ddof=1)),
            "largest_difference": float(np.nanmax(np.abs(difference))),
        }
    if "c2st" in columns:
        result |= {f"{name}_mean": float(np.nanmean(columns[name])) for name in ("c2st", "c2st_floor")}
    return result


def _summary(published: Published) -> list[str]:
    found = summary_of(published)
    lines = [
        f"{published.task} ({published.task_id}): {found['n_agreed']} of {found['n_spectra']} agree, "
        f"{found['n_rerun']} after a rerun or not at all; unresolved: {found['unresolved'] or 'none'}"
    ]
    if "mean_z" in found:
        lines.append(
            f"log-evidence agrees on {found['n_evidence_agrees']}; z: mean {found['mean_z']:.2f} ± "
            f"{found['mean_z_standard_error']:.2f}, spread {found['spread_z']:.2f}; largest difference "
            f"{found['largest_difference']:.3f}"
        )
    if "c2st_mean" in found:
        lines.append(f"C2ST: mean {found['c2st_mean']:.4f}, floor {found['c2st_floor_mean']:.4f}")
    for name in ("closed_form", "taurex"):
        if published.notes.get(name):
            lines.append(f"{name}: {published.notes[name]}")
    return lines


def _line(published: Published, row: int, name: str) -> tuple[str, ...]:
    def number(column: str, form: str) -> str:
        values = published.columns.get(column)
        return "-" if values is None or not np.isfinite(values[row]) else format(values[row], form)

    return (
        str(row),
        name,
        published.status[row],
        "yes" if published.columns["rerun"][row] else "",
        number("log_evidence", ".3f"),
        number("log_evidence_error", ".3f"),
        number("evidence_difference", ".3f"),
        number("evidence_limit", ".3f"),
        number("c2st", ".3f"),
        number("c2st_floor", ".3f"),
        number("effective_sample_size", ".0f"),
        number("check_effective_sample_size", ".0f"),
        number("check_psis_k", ".2f"),
    )
