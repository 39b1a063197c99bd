"""Several processes that train one model, as started by torchrun."""

from __future__ import annotations

import atexit
import os
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel


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
        """As torchrun set RANK, WORLD_SIZE and LOCAL_RANK; one process where it did not."""
        world_size = int(os.environ.get("WORLD_SIZE", "1"))
        if world_size == 1:
            return Ranks()
        return Ranks(int(os.environ["RANK"]), world_size, int(os.environ.get("LOCAL_RANK", "0")))

    @property
    def is_first(self) -> bool:
        """Whether this process writes files and reports."""
        return self.rank == 0

    def device(self, device: str) -> str:
        """The device of this process: its own GPU where GPUs are asked for."""
        return f"cuda:{self.local_rank}" if self.world_size > 1 and device.startswith("cuda") else device

    def join(self, device: str) -> None:
        """Meets the other processes, once in the life of this one."""
        if self.world_size == 1 or dist.is_initialized():
            return
        if device.startswith("cuda"):
            torch.cuda.set_device(device)
        dist.init_process_group("nccl" if device.startswith("cuda") else "gloo")
        atexit.register(_leave)

    def wrap(self, model: nn.Module, device: str) -> nn.Module:
        """The model with gradients averaged over the processes; the model itself where there is one."""
        if self.world_size == 1:
            return model
        return DistributedDataParallel(model, device_ids=[device] if device.startswith("cuda") else None)

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

    def wait(self) -> None:
        """Until every process is here."""
        if self.world_size > 1:
            dist.barrier()


def _leave() -> None:
    if dist.is_initialized():
        dist.destroy_process_group()
