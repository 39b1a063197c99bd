"""Checkpoints of a fit: written whole or not at all, read without unpickling code."""

from __future__ import annotations

import os
import pickle
from pathlib import Path
from typing import Any

import torch

from exobench.errors import ExobenchError

_DAMAGE = (RuntimeError, OSError, EOFError, LookupError, TypeError, ValueError, AttributeError, pickle.UnpicklingError)
"""What torch raises where a file is cut, empty or not its own."""


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
        ExobenchError: the checkpoint is damaged, or was written by a fit with other settings or on other data.
    """
    if not path.exists():
        return None
    try:
        state: dict[str, Any] = torch.load(path, map_location=device, weights_only=True)
    except _DAMAGE as error:
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise ExobenchError(f"{path} is damaged ({reason}); delete it to start this stage anew.") from error
    if not isinstance(state, dict):
        raise ExobenchError(f"{path} is no checkpoint of exogan; delete it to start this stage anew.")
    if state.get("key") != key:
        raise ExobenchError(f"{path} belongs to a fit with other settings or data; use another folder or delete it.")
    return state
