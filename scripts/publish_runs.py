"""Copies finished records in a size that a repository can hold: ``python scripts/publish_runs.py RUNS FOLDER``.

Kept are the record, its curves and its arrays for each spectrum, rounded to a part in 8,000 where no more is needed;
fits and draws are not.
`python -m exobench.report paths.runs=FOLDER` builds the same pages from the copy.
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray

from exobench.results import PREDICTIVE, RECORD, SCORES, RunRecord, all_records

AS_THEY_ARE = (RECORD, "scalars.csv")
ROUNDED = (SCORES, PREDICTIVE, "limit.h5", "diagnostics.h5")


EXACT = ("theta_true", "wavelength_um", "log_evidence", "log_evidence_error", "nltp", "log_likelihood")
"""Arrays that name the spectra, or of which differences count."""
KEPT_BITS = 12
"""Of the 23 binary digits behind the point of a float32; the rest is noise that does not compress."""


def rounded(values: NDArray[np.floating]) -> NDArray[np.float32]:
    """Nearest numbers with `KEPT_BITS` digits; infinities, NaN and zero stay what they are."""
    single = values.astype(np.float32)
    dropped = 23 - KEPT_BITS
    bits = single.view(np.uint32)
    near = ((bits + np.uint32(1 << (dropped - 1))) & np.uint32(~((1 << dropped) - 1) & 0xFFFFFFFF)).view(np.float32)
    return np.where(np.isfinite(single), near, single).astype(np.float32)


def rounded_copy(source: Path, target: Path) -> None:
    """Copies the arrays of a file, rounded, shuffled and compressed."""
    with h5py.File(source, "r") as old, h5py.File(target, "w", libver="latest") as new:
        new.attrs.update(old.attrs)
        for name, data in old.items():
            values = np.asarray(data[()])
            if values.dtype.kind == "f" and name not in EXACT:
                values = rounded(values)
            packed = (
                {"compression": "gzip", "compression_opts": 9, "shuffle": True, "chunks": values.shape}
                if values.size > 64
                else {}
            )
            new.create_dataset(name, data=values, track_times=False, **packed)


def publish(record: RunRecord, runs: Path, folder: Path) -> Path:
    """Copies one record to the same place below another folder, unless it is there; returns that place."""
    target = folder / record.folder.relative_to(runs)
    content = (record.folder / RECORD).read_bytes()
    if (target / RECORD).is_file() and (target / RECORD).read_bytes() == content:
        return target
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    for name in ROUNDED:
        if (record.folder / name).is_file():
            rounded_copy(record.folder / name, target / name)
    for name in reversed(AS_THEY_ARE):
        if (record.folder / name).is_file():
            shutil.copyfile(record.folder / name, target / name)
    return target


def main() -> None:
    """Copies all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runs", type=Path)
    parser.add_argument("folder", type=Path)
    given = parser.parse_args()
    for record in all_records(given.runs):
        target = publish(record, given.runs, given.folder)
        size = sum(path.stat().st_size for path in target.iterdir())
        print(f"{target}: {size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
