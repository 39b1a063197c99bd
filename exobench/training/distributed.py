"""Several processes that train one model, as started by torchrun or as the tasks of a Slurm job."""

from __future__ import annotations

import atexit
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from exobench.errors import ExobenchError
from exobench.launch import started_as

T = TypeVar("T")

_PATIENCE = timedelta(minutes=30)
"""How long a process waits for the others within training before it gives up."""


@dataclass(frozen=True)
class Ranks:
    """This process among those that train together.

    Attributes:
        rank: number of this process; the first one alone writes and reports.
        world_size: number of processes.
        local_rank: number among those of this machine; picks the GPU.
    """

    rank: int = 0
    world_size: int = 1
    local_rank: int = 0

    @staticmethod
    def from_environment() -> Ranks:
        """As torchrun or Slurm set them; see ``exobench.launch.started_as``."""
        return Ranks(*started_as())

    @property
    def is_first(self) -> bool:
        """Whether this process writes files and reports."""
        return self.rank == 0

    def device(self, device: str) -> str:
        """The device of this process: its own GPU where GPUs are asked for.

        Raises:
            ExobenchError: this machine has fewer GPUs than processes.
        """
        if self.world_size == 1 or not device.startswith("cuda"):
            return device
        visible = torch.cuda.device_count()
        if self.local_rank < visible:
            return f"cuda:{self.local_rank}"
        if visible == 1:  # a scheduler that binds GPUs shows each process its own one
            return "cuda:0"
        raise ExobenchError(
            f"process {self.local_rank + 1} here sees {visible} GPUs: start one process a GPU, or set device=cpu."
        )

    def join(self, device: str) -> None:
        """Meets the other processes, once in the life of this one.

        Raises:
            OthersLost: another one failed, or did not come in time.
        """
        if self.world_size == 1 or dist.is_initialized():
            return
        from exobench.training.messages import Messages

        Messages.of(self).meet("training", _PATIENCE)
        if device.startswith("cuda"):
            torch.cuda.set_device(device)
        dist.init_process_group(
            "cpu:gloo,cuda:nccl" if device.startswith("cuda") else "gloo",
            store=dist.PrefixStore("group", Messages.of(self).store),
            rank=self.rank,
            world_size=self.world_size,
            timeout=_PATIENCE,
        )
        atexit.register(_leave)

    def wrap(self, model: nn.Module, device: str) -> nn.Module:
        """The model with gradients averaged over the processes; the model itself where there is one."""
        if self.world_size == 1:
            return model
        return DistributedDataParallel(model, device_ids=[device] if device.startswith("cuda") else None)

    @torch.no_grad()
    def equalise(self, model: nn.Module) -> None:
        """Gives every process the first one's weights and buffers: other processors may round otherwise."""
        if self.world_size > 1:
            for value in model.state_dict().values():
                whole = value.contiguous()
                dist.broadcast(whole, src=0)
                value.copy_(whole)

    def from_first(self, make: Callable[[], T]) -> T:
        """What ``make`` gives in the first process, which alone calls it."""
        if self.world_size == 1:
            return make()
        held: list[T | None] = [make() if self.is_first else None]
        dist.broadcast_object_list(held, src=0)
        return held[0]  # type: ignore[return-value]

    def mean(self, value: torch.Tensor) -> torch.Tensor:
        """The mean over the processes of a tensor that each of them holds."""
        return self.total(value) / self.world_size if self.world_size > 1 else value

    def total(self, value: torch.Tensor) -> torch.Tensor:
        """The sum over the processes of a tensor that each of them holds."""
        if self.world_size > 1:
            value = value.detach().clone()
            dist.all_reduce(value)
        return value

    def agree(self, stop: bool, seconds: float, device: str) -> tuple[bool, float]:
        """Whether any process wants to stop, and the longest of their clocks."""
        if self.world_size == 1:
            return stop, seconds
        value = torch.tensor([float(stop), seconds], dtype=torch.float64, device=device)
        dist.all_reduce(value, op=dist.ReduceOp.MAX)
        return bool(value[0]), float(value[1])


def _leave() -> None:
    if dist.is_initialized():
        dist.destroy_process_group()
