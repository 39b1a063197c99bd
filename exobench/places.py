"""Where data, runs and reports live."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from exobench.errors import ExobenchError


@dataclass(frozen=True)
class Places:
    """Folders of a session.

    Attributes:
        data: shared data sets (paths.data, EXOBENCH_DATA; default the checkout's data/, else the user's cache).
        runs: run records (paths.runs, EXOBENCH_RUNS; default ./runs).
        reports: pages (paths.reports; default ./reports).
    """

    data: Path
    runs: Path
    reports: Path

    @staticmethod
    def resolve(data: str | None = None, runs: str | None = None, reports: str | None = None) -> Places:
        """Fills in what is not given from the environment and the defaults, and makes each folder absolute.

        Raises:
            ExobenchError: if a path exists and is not a folder.
        """
        places = Places(
            data=Path(data or os.environ.get("EXOBENCH_DATA") or default_data()).expanduser().absolute(),
            runs=Path(runs or os.environ.get("EXOBENCH_RUNS") or "runs").expanduser().absolute(),
            reports=Path(reports or "reports").expanduser().absolute(),
        )
        for key, path in (("data", places.data), ("runs", places.runs), ("reports", places.reports)):
            blocker = next((p for p in (path, *path.parents) if p.exists()), path)
            if blocker.exists() and not blocker.is_dir():
                raise ExobenchError(f"paths.{key}={path}: {blocker} is a file, not a folder.")
            if not os.access(blocker, os.W_OK):
                raise ExobenchError(f"paths.{key}={path}: {blocker} cannot be written to; choose another paths.{key}.")
        return places


def checkout() -> Path | None:
    """The source checkout that this package runs from, or None for an installed wheel."""
    root = Path(__file__).resolve().parents[1]
    return root if (root / "pyproject.toml").is_file() and (root / "baselines").is_dir() else None


def default_data() -> Path:
    """The checkout's data/ folder, else the user's cache."""
    root = checkout()
    if root is not None:
        return root / "data"
    cache = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(cache) / "exobench"
