"""Finds finished fits, so that no training is done twice: they are keyed by all that moves them, and nothing else."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from exobench.files import write_atomically
from exobench.method import Limits
from exobench.results import POSTERIOR
from exobench.seeds import stable_hash

FIT_NOTE = "fit.json"


@dataclass
class FitLibrary:
    """The finished fits of one task, data set, budget and seed.

    Attributes:
        folder: ``runs/<task>``.
        seed: of the runs.
        n_train: training spectra.
        shared: what else all these fits have in common, JSON-able.
        borrowed_seconds: training time of the fits that other methods were built on in this process.
        borrowed: their folders, below ``runs/<task>``.
    """

    folder: Path
    seed: int
    n_train: int
    shared: Mapping[str, Any]
    borrowed_seconds: float = field(default=0.0, init=False)
    borrowed: list[str] = field(default_factory=list, init=False)

    def key(self, settings: Mapping[str, Any], limits: Limits) -> str:
        """What a fit is known by.

        Args:
            settings: of the method, complete, with its name.
            limits: of the fit.
        """
        return stable_hash({**self.shared, "method": dict(settings), "limits": [limits.steps, limits.seconds]})

    def find(self, name: str, key: str) -> tuple[Path, dict[str, Any]] | None:
        """The run folder of a finished fit and what the fit cost, or None.

        Args:
            name: of the method.
            key: of the fit.
        """
        for candidate in sorted((self.folder / name).glob(f"*/{self.seed}")):
            facts = read_fit_note(candidate, key)
            if facts is not None:
                return candidate, facts
        return None

    def __call__(self, settings: Mapping[str, Any], limits: Limits) -> Path | None:
        """See ``exobench.problem.FinishedFits``; notes what the fit cost."""
        if limits.n_train not in (None, self.n_train):
            return None
        found = self.find(str(settings["name"]), self.key(settings, limits))
        if found is None:
            return None
        folder, facts = found
        self.borrowed_seconds += float(facts["seconds"])
        self.borrowed.append(folder.relative_to(self.folder).as_posix())
        return folder / POSTERIOR


def write_fit_note(folder: Path, key: str, facts: Mapping[str, Any]) -> None:
    """Says that the fit in a run folder is finished."""
    write_atomically(folder / FIT_NOTE, json.dumps({"fit_key": key, **facts}).encode())


def read_fit_note(folder: Path, key: str) -> dict[str, Any] | None:
    """What a finished fit with this key cost, or None where there is none or its note is damaged."""
    try:
        facts = json.loads((folder / FIT_NOTE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return facts if isinstance(facts, dict) and facts.pop("fit_key", None) == key else None
