"""Whether this process was started alone or as one of several that make a run together. Imports nothing heavy."""

from __future__ import annotations

import os
from collections.abc import Mapping

from exobench.errors import ExobenchError

_FIRST_PORT, _PORTS = 29_500, 1_000


def started_as(environment: Mapping[str, str] | None = None) -> tuple[int, int, int]:
    """Rank, number of processes and rank on this machine: as torchrun set them, else as Slurm did, else (0, 1, 0).

    Slurm's tasks are one run only where MASTER_ADDR is set; without it each is a run of its own.

    Args:
        environment: of the process; None for this one's.

    Raises:
        ExobenchError: the variables contradict each other.
    """
    given = os.environ if environment is None else environment
    names = ("WORLD_SIZE", "RANK", "LOCAL_RANK")
    if names[0] not in given and "MASTER_ADDR" in given:
        names = ("SLURM_NTASKS", "SLURM_PROCID", "SLURM_LOCALID")
    world_size, rank, local_rank = (_whole(given, name) for name in names)
    if world_size is None or world_size <= 1:
        return 0, 1, 0
    if rank is None or rank >= world_size:
        raise ExobenchError(f"{names[1]}={rank} must lie in 0 to {world_size - 1}; torchrun and srun set it.")
    if "MASTER_ADDR" not in given:
        raise ExobenchError(
            f"WORLD_SIZE={world_size}, but MASTER_ADDR is not set: start with torchrun, or export the first host."
        )
    return rank, world_size, local_rank or 0


def is_one_of_several() -> bool:
    """Whether other processes make the same run."""
    return started_as()[1] > 1


def meeting_place(environment: Mapping[str, str] | None = None) -> tuple[str, int]:
    """Host and port where the processes find each other; the port of a Slurm job follows from its number."""
    given = os.environ if environment is None else environment
    port = _whole(given, "MASTER_PORT")
    if port is None:
        port = _FIRST_PORT + (_whole(given, "SLURM_JOB_ID") or 0) % _PORTS
    return given["MASTER_ADDR"], port


def _whole(given: Mapping[str, str], name: str) -> int | None:
    value = given.get(name)
    if value is None:
        return None
    if not value.isdecimal():
        raise ExobenchError(f"{name}={value} must be a whole number; torchrun and srun set it.")
    return int(value)
