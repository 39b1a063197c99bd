"""How a process learns that it is one of several: torchrun's variables, Slurm's, and what contradicts itself."""

from __future__ import annotations

import pytest

from exobench.errors import ExobenchError
from exobench.launch import meeting_place, started_as

TORCHRUN = {"WORLD_SIZE": "4", "RANK": "3", "LOCAL_RANK": "1", "MASTER_ADDR": "node1", "MASTER_PORT": "1234"}
SLURM = {"SLURM_NTASKS": "4", "SLURM_PROCID": "2", "SLURM_LOCALID": "0", "SLURM_JOB_ID": "4003"}


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, (0, 1, 0)),
        (TORCHRUN, (3, 4, 1)),
        ({**TORCHRUN, "WORLD_SIZE": "1", "RANK": "0"}, (0, 1, 0)),
        (SLURM, (0, 1, 0)),
        ({**SLURM, "MASTER_ADDR": "node1"}, (2, 4, 0)),
        ({**SLURM, **TORCHRUN}, (3, 4, 1)),
        ({"SLURM_NTASKS": "1", "SLURM_PROCID": "0", "MASTER_ADDR": "node1"}, (0, 1, 0)),
    ],
)
def test_rank_and_number_of_processes(environment, expected):
    assert started_as(environment) == expected


@pytest.mark.parametrize(
    ("environment", "named"),
    [
        ({**TORCHRUN, "WORLD_SIZE": "two"}, "WORLD_SIZE=two"),
        ({**TORCHRUN, "RANK": "4"}, "RANK=4 must lie in 0 to 3"),
        ({"WORLD_SIZE": "2", "MASTER_ADDR": "node1"}, "RANK=None"),
        ({"WORLD_SIZE": "2", "RANK": "0"}, "MASTER_ADDR is not set"),
    ],
)
def test_contradictions_are_refused(environment, named):
    with pytest.raises(ExobenchError, match=named):
        started_as(environment)


def test_the_port_follows_from_the_job_unless_it_is_given():
    assert meeting_place(TORCHRUN) == ("node1", 1234)
    assert meeting_place({**SLURM, "MASTER_ADDR": "node1"}) == ("node1", 29_503)
    assert meeting_place({"MASTER_ADDR": "node1"}) == ("node1", 29_500)
