"""All tensors of a training: the weights, their average, the best ones so far and AdamW's moments."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from exobench.training.ema import WeightAverage
from exobench.training.settings import TrainingSettings


class TrainingState:
    """What a checkpoint holds of a model in training.

    Args:
        model: on its device.
        settings: of training.

    Attributes:
        named: names and parameters that are trained.
        optimiser: AdamW (Loshchilov & Hutter 2019), fused.
        average: moving average of the parameters.
        best: the averages with the best validation loss so far; at first the initial weights.
    """

    def __init__(self, model: nn.Module, settings: TrainingSettings) -> None:
        self._model = model
        self.named = [(name, value) for name, value in model.named_parameters() if value.requires_grad]
        self.parameters = [value for _, value in self.named]
        self.optimiser = _adamw(self.parameters, settings)
        self.average = WeightAverage(self.parameters, settings.ema_decay)
        self.best = [value.detach().clone() for value in self.parameters]

    def keep_average(self) -> None:
        """Makes the present averages the best weights."""
        torch._foreach_copy_(self.best, self.average.values)

    @torch.no_grad()
    def load_best(self) -> None:
        """Puts the best weights into the model."""
        torch._foreach_copy_([*self.parameters], self.best)

    def tensors(self) -> dict[str, torch.Tensor]:
        """Everything by name."""
        tensors = {f"model/{name}": value for name, value in self._model.state_dict().items()}
        for index, (name, parameter) in enumerate(self.named):
            tensors[f"average/{name}"] = self.average.values[index]
            tensors[f"best/{name}"] = self.best[index]
            for part, value in self.optimiser.state[parameter].items():
                tensors[f"optimiser/{name}/{part}"] = value
        return tensors

    @torch.no_grad()
    def restore(self, tensors: dict[str, torch.Tensor]) -> None:
        """Takes over what ``tensors`` gave in an earlier process."""
        self._model.load_state_dict(_below("model/", tensors))
        for index, (name, parameter) in enumerate(self.named):
            self.average.values[index].copy_(tensors[f"average/{name}"])
            self.best[index].copy_(tensors[f"best/{name}"])
            moments = _below(f"optimiser/{name}/", tensors)
            if moments:
                self.optimiser.state[parameter] = moments


def _below(start: str, tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name.removeprefix(start): value for name, value in tensors.items() if name.startswith(start)}


def _adamw(parameters: list[nn.Parameter], settings: TrainingSettings) -> torch.optim.AdamW:
    matrices = [value for value in parameters if value.ndim >= 2]
    vectors = [value for value in parameters if value.ndim < 2]
    groups: list[dict[str, Any]] = [
        {"params": matrices, "weight_decay": settings.weight_decay},
        {"params": vectors, "weight_decay": 0.0},
    ]
    filled = [group for group in groups if group["params"]]
    return torch.optim.AdamW(filled, lr=settings.learning_rate, betas=(0.9, settings.beta2), fused=True)
