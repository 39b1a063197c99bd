"""Checkpoints of a fit: written whole or not at all, read without unpickling code."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import torch

from exobench.errors import ExobenchError


def write_checkpoint(path: Path, state: dict[str, Any]) -> None:
    """Writes tensors and plain numbers, replacing an older checkpoint in one move."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    torch.save(state, partial)
    os.replace(partial, path)


def read_checkpoint(path: Path, key: str, device: str) -> dict[str, Any] | None:
    """The state of a checkpoint, or None where there is none.

    Args:
        path: the file.
        key: what determines the fit; a checkpoint of another fit is refused.
        device: where tensors go.

    Raises:
        ExobenchError: the checkpoint was written by a fit with other settings.
    """
    if not path.exists():
        return None
    state: dict[str, Any] = torch.load(path, map_location=device, weights_only=True)
    if state.get("key") != key:
        raise ExobenchError(f"{path} was written by a fit with other settings; use another folder or delete it.")
    return state
