"""Claims: which process has which run or core, so that two started on one plan share the work.

A claim is an open file with the system's lock on it. Processes that inherit the file hold it as well, and when the
last of them dies, however it dies, the claim is free: nothing stale is left behind.
"""

from __future__ import annotations

import fcntl
import os
import socket
from dataclasses import dataclass
from pathlib import Path


@dataclass
class Claim:
    """Something that this process has, until it lets go of it and every process it handed it to is dead.

    Attributes:
        descriptor: of the open file, for a child to inherit.
    """

    descriptor: int

    @staticmethod
    def take(path: Path, what: str = "") -> Claim | None:
        """Takes what the file stands for, or returns None where another process has it.

        Args:
            path: of the claim's file; made if missing.
            what: said beside the owner's process number and host.
        """
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return None
        claim = Claim(descriptor)
        claim.note(f"process {os.getpid()} on {socket.gethostname()}{what and f', {what}'}")
        return claim

    def note(self, owner: str) -> None:
        """Writes down who has it, for people."""
        os.ftruncate(self.descriptor, 0)
        os.pwrite(self.descriptor, owner.encode(), 0)

    def let_go(self) -> None:
        """Closes the file here; a child that inherited it goes on holding it."""
        os.close(self.descriptor)


def owner_of(path: Path) -> str | None:
    """Who has what a claim's file stands for, in words, or None where nobody has."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return os.pread(descriptor, 1000, 0).decode(errors="replace") or "another process"
    finally:
        os.close(descriptor)
    return None
