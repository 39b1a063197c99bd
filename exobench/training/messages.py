"""Words between the processes of one run outside of training: what to do next, and who failed first."""

from __future__ import annotations

import atexit
import json
import os
import time
from contextlib import suppress
from datetime import timedelta
from functools import cache
from typing import Any, ClassVar

import torch.distributed as dist
from torch.distributed.rendezvous import rendezvous

from exobench.errors import ExobenchError
from exobench.launch import meeting_place
from exobench.training.distributed import Ranks

_SECONDS_BETWEEN_LOOKS = 0.1
_CONNECT = timedelta(minutes=10)
_SECONDS_TO_SAY_WHY = 3.0
"""Granted to a process that failed, before the others take it to have died without a word."""
_SECONDS_TO_LEAVE, _SECONDS_TO_COME = 6.0, 30.0
"""How long the process that holds the board stays, at its end, for those that read it and those still to come."""
_FAILED = "failed"


class OthersLost(ExobenchError):
    """This process cannot go on, because another one failed or is gone."""


class Messages:
    """A board that all processes of a run see; the first one tells the others what comes next.

    Args:
        ranks: more than one.

    Attributes:
        store: torch's key-value store behind it.
        unreachable: whether the board was looked for in vain, which takes minutes: once is enough.
    """

    unreachable: ClassVar[bool] = False

    def __init__(self, ranks: Ranks) -> None:
        self._ranks, self._n_word, self._n_meeting = ranks, 0, 0
        host, port = meeting_place()
        url = f"tcp://{f'[{host}]' if ':' in host else host}:{port}?rank={ranks.rank}&world_size={ranks.world_size}"
        try:
            self.store: dist.Store = next(iter(rendezvous(url, timeout=_CONNECT)))[0]
        except (RuntimeError, OSError) as error:
            Messages.unreachable = True
            reason = next(iter(str(error).splitlines()), type(error).__name__)
            raise OthersLost(f"the first process was not found at {host}:{port} ({reason}).") from error
        self._board = dist.PrefixStore("exobench", self.store)
        self._set(f"here/{ranks.rank}", "")
        atexit.register(self._leave)

    @staticmethod
    @cache
    def of(ranks: Ranks) -> Messages:
        """The board of this process's run."""
        return Messages(ranks)

    def say(self, word: str, **content: Any) -> None:
        """Tells the others what comes next; for the first process."""
        self._set(f"word/{self._n_word}", json.dumps({"word": word, **content}))
        self._n_word += 1

    def hear(self) -> dict[str, Any]:
        """Waits for the first process's next word, as long as it takes.

        Raises:
            OthersLost: a process failed, or the first one is gone.
        """
        key = f"word/{self._n_word}"
        self._n_word += 1
        while not self._has(key):
            self._look_for_failures()
        heard: dict[str, Any] = json.loads(self._get(key))
        return heard

    def meet(self, where: str, patience: timedelta) -> None:
        """Waits until every process is here.

        Raises:
            OthersLost: one failed, or did not come in time.
        """
        name, end = f"{where}/{self._n_meeting}", time.monotonic() + patience.total_seconds()
        self._n_meeting += 1
        self._set(f"{name}/{self._ranks.rank}", "")
        for other in range(self._ranks.world_size):
            while not self._has(f"{name}/{other}"):
                self._look_for_failures()
                if time.monotonic() > end:
                    raise OthersLost(f"process {other} did not come to {where} in {patience}.")

    def fail(self, status: int) -> tuple[bool, int]:
        """Says that this process ends without success.

        Args:
            status: its exit status.

        Returns:
            Whether it is the first to fail, whose error is the run's; and the exit status for all.
        """
        try:
            own = json.dumps({"rank": self._ranks.rank, "status": status})
            first = json.loads(self._board.compare_set(_FAILED, "", own))
        except RuntimeError:  # the board is gone with the first process, which stays for it unless it was killed
            return self._ranks.rank == 1, status
        return first["rank"] == self._ranks.rank, int(first["status"])

    def wait_for_reason(self) -> None:
        """Lets a process that failed say so before this one complains of its loss."""
        end = time.monotonic() + _SECONDS_TO_SAY_WHY
        with suppress(RuntimeError):
            while time.monotonic() < end and not self._board.check([_FAILED]):
                time.sleep(_SECONDS_BETWEEN_LOOKS)

    def _look_for_failures(self) -> None:
        if self._has(_FAILED):
            raise OthersLost("another process of this run failed.")
        time.sleep(_SECONDS_BETWEEN_LOOKS)

    def _has(self, key: str) -> bool:
        try:
            return self._board.check([key])
        except RuntimeError as error:
            raise OthersLost("the first process of this run is gone.") from error

    def _get(self, key: str) -> bytes:
        try:
            return self._board.get(key)
        except RuntimeError as error:
            raise OthersLost("the first process of this run is gone.") from error

    def _set(self, key: str, value: str) -> None:
        try:
            self._board.set(key, value)
        except RuntimeError as error:
            raise OthersLost("the first process of this run is gone.") from error

    def _leave(self) -> None:
        """The process that holds the board stays until the others have read it."""
        started = time.monotonic()
        with suppress(RuntimeError):
            self._board.set(f"left/{self._ranks.rank}", "")
            if not self._ranks.is_first or os.environ.get("TORCHELASTIC_USE_AGENT_STORE") == "True":
                return
            here, left = ([f"{what}/{rank}" for rank in range(self._ranks.world_size)] for what in ("here", "left"))
            while not self._board.check(left):
                patience = _SECONDS_TO_LEAVE if self._board.check(here) else _SECONDS_TO_COME
                if time.monotonic() - started > patience:
                    return
                time.sleep(_SECONDS_BETWEEN_LOOKS)


def lost_another(error: BaseException) -> bool:
    """Whether an exception came from a broken connection to another process."""
    text = str(error)
    return isinstance(error, dist.DistError) or (
        isinstance(error, RuntimeError) and any(mark in text for mark in ("gloo", "Gloo", "NCCL", "closed by peer"))
    )
