"""One process of several that train together; started by torchrun from a test."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np
from training_cases import Regression, build_problem, fit, weights


def main(data_root: str, folder: str) -> None:
    """Trains and writes what this process reported and ended with."""
    problem = build_problem(Path(data_root))
    curve: dict[str, list[tuple[int, float]]] = {}
    model, _ = fit(
        problem,
        Path(folder),
        model=Regression(problem, dropout=0.0, jitter=0.0),
        scalar=lambda name, step, value: curve.setdefault(name, []).append((step, value)),
    )
    curves = {name.replace("/", "_"): np.array(values) for name, values in curve.items()}
    path = Path(folder) / f"rank{os.environ['RANK']}.npz"
    np.savez(path, weights=weights(model).numpy(), n_reported=len(curve), **curves)


if __name__ == "__main__":
    main(*sys.argv[1:])
