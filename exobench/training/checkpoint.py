"""Checkpoints of training: one safetensors file, written whole or not at all, read without running any code."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import nn

from exobench.errors import ExobenchError
from exobench.files import write_atomically
from exobench.problem import InferenceProblem
from exobench.seeds import stable_hash
from exobench.training.schedule import Plan
from exobench.training.settings import TrainingSettings

_STATE = "exobench_training"


def training_key(model: nn.Module, problem: InferenceProblem, settings: TrainingSettings, plan: Plan, seed: int) -> str:
    """Hash of all that determines the trained weights, so that a checkpoint serves no other training.

    Of the model it takes names and shapes of its tensors: their values belong to the caller's seed.
    """
    weights = [[name, list(value.shape)] for name, value in model.state_dict().items()]
    data = [problem.name, problem.n_train, problem.n_validation, problem.wavelength_um.tolist()]
    space = [problem.parameters.describe(), problem.noise.describe()]
    return stable_hash([settings.describe(), asdict(plan), seed, weights, data, space])


def write_checkpoint(path: Path, tensors: Mapping[str, torch.Tensor], state: Mapping[str, Any]) -> None:
    """Replaces an older checkpoint in one move.

    Args:
        path: the file.
        tensors: by name.
        state: plain numbers and text; floats come back bit for bit.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # Cloned, because parameters may share memory, which safetensors refuses.
    plain = {name: tensor.detach().cpu().clone().contiguous() for name, tensor in tensors.items()}
    write_atomically(path, save(plain, metadata={_STATE: json.dumps(dict(state))}))


def read_checkpoint(path: Path, key: str, device: str) -> tuple[dict[str, torch.Tensor], dict[str, Any]] | None:
    """Tensors and state of a checkpoint, or None where there is none.

    Args:
        path: the file.
        key: what determines the fit, equal to ``state["key"]``.
        device: where the tensors go.

    Raises:
        ExobenchError: the file is damaged, or belongs to a fit with other settings or on other data.
    """
    if not path.exists():
        return None
    try:
        with safe_open(path, framework="pt", device=device) as file:
            state = json.loads((file.metadata() or {})[_STATE])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no mapping
    except (SafetensorError, OSError, KeyError, ValueError) as error:
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise ExobenchError(f"{path} is damaged ({reason}); delete it to train anew.") from error
    if state.get("key") != key:
        raise ExobenchError(
            f"{path} belongs to a training with other settings, limits or data; use another folder or delete it."
        )
    return tensors, state
