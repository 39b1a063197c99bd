"""Fits the members of an ensemble one after another; a finished member is never fitted again."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from exobench.files import write_atomically
from exobench.inner_fit import InnerFit, fit_inner, load_inner, save_inner
from exobench.method import AbstractMethod, Limits, Progress
from exobench.problem import InferenceProblem
from exobench.registry import settings_of
from exobench.seeds import rng_for, stable_hash
from exobench_baselines.npe_ensemble.posterior import member_folder

_FINISHED, _NOTE = "finished", "note.json"


def share(limits: Limits, n_members: int) -> Limits:
    """Limits of one member: all spectra, and an equal part of the steps and seconds."""
    steps = None if limits.steps is None else math.ceil(limits.steps / n_members)
    seconds = None if limits.seconds is None else limits.seconds / n_members
    return Limits(limits.n_train, steps, seconds)


def fit_members(
    method: AbstractMethod,
    problem: InferenceProblem,
    n_members: int,
    *,
    limits: Limits,
    rng: np.random.Generator,
    device: str,
    workdir: Path,
    stop: Callable[[], bool],
    progress: Progress,
) -> list[InnerFit]:
    """Fits equal methods with seeds of their own; see ``AbstractMethod.fit``.

    Args:
        method: of each member.
        problem: of the ensemble.
        n_members: how many.
        limits: of each member.
        rng: gives the seed from which the members' seeds follow.
        device: torch device.
        workdir: holds a folder for each member; members found finished there are read back.
        stop: as for ``AbstractMethod.fit``.
        progress: as there.
    """
    # A finished fit of the member's method would be the same one for every member.
    alone = replace(problem, finished_fits=None)
    seed = int(rng.integers(2**62))
    members = []
    for index in range(n_members):
        folder = member_folder(workdir, index)
        key = stable_hash([settings_of(method), limits.n_train, limits.steps, limits.seconds, seed, index])
        found = _finished(folder, key, problem, device)
        if found is None:
            found = fit_inner(
                method,
                alone,
                limits=limits,
                rng=rng_for("ensemble member", seed, index),
                device=device,
                workdir=folder / "fit",
                stop=stop,
                progress=_part_of(progress, index, n_members),
            )
            save_inner(found, folder / _FINISHED)
            write_atomically(folder / _NOTE, json.dumps({"key": key}).encode())
        members.append(found)
    return members


def _finished(folder: Path, key: str, problem: InferenceProblem, device: str) -> InnerFit | None:
    """A member that an interrupted fit of this ensemble finished."""
    try:
        note: Any = json.loads((folder / _NOTE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    if not isinstance(note, dict) or note.get("key") != key:
        return None
    return load_inner(folder / _FINISHED, problem, device)


def _part_of(progress: Progress, index: int, n_members: int) -> Progress:
    """Progress of one member within that of the whole."""

    def update(done: int, total: int, text: str) -> None:
        progress.update(index * total + done, n_members * total, f"member {index + 1} of {n_members}: {text}")

    def scalar(name: str, step: int, value: float) -> None:
        progress.scalar(f"member_{index}/{name}", step, value)

    return Progress(update=update, scalar=scalar)
