"""Files that are either whole or absent, and a lock for the folder they are in."""

from __future__ import annotations

import errno
import fcntl
import os
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from exobench.errors import ExobenchError

_TEMPORARY_SUFFIX = ".tmp"
LOCK_NAME = ".lock"


def write_atomically(path: Path, content: bytes) -> None:
    """Writes a file under a temporary name, then renames it: a reader sees the old file, the new one, or none.

    Raises:
        ExobenchError: the disk is full; nothing of the file is left.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}{_TEMPORARY_SUFFIX}")
    try:
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
        _sync_folder(path.parent)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise ExobenchError(
                f"the disk is full: {path} ({len(content) / 1e6:.1f} MB) could not be written. "
                "What was finished is kept: free some space and start again."
            ) from error
        raise
    finally:
        temporary.unlink(missing_ok=True)


def remove_leftovers(folder: Path) -> None:
    """Removes temporary files of processes that died. Only for the holder of the folder's lock."""
    for temporary in folder.rglob(f".*{_TEMPORARY_SUFFIX}"):
        temporary.unlink(missing_ok=True)


@contextmanager
def folder_lock(folder: Path) -> Iterator[None]:
    """Holds a folder for one writing process; says on stderr when it has to wait for another.

    The operating system releases the lock when its holder dies, however it dies.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / LOCK_NAME).open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            holder = file.read().strip() or "another process"
            print(f"exobench: {holder} is writing {folder}; waiting for it to finish.", file=sys.stderr, flush=True)
            fcntl.flock(file, fcntl.LOCK_EX)
        with suppress(OSError):  # the note is a courtesy: a full disk must not stop the work here
            file.truncate(0)
            os.write(file.fileno(), f"process {os.getpid()} on {socket.gethostname()}".encode())
        try:
            yield
        finally:
            file.truncate(0)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
