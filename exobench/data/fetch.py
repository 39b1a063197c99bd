"""Downloads the files of a public OSF project: resumable, checked, and nothing half-downloaded under its own name."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import time
from fnmatch import fnmatch
from http.client import HTTPException, HTTPResponse
from pathlib import Path

from exobench.data.exogan_osf import FILE_PATTERN
from exobench.data.osf import OSF_API, OsfClient, RemoteFile, Unreachable
from exobench.errors import ExobenchError
from exobench.progress import Progress

PROJECT = "6dxps"
"""ExoGAN's training set: osf.io/6dxps."""

_ATTEMPTS = 5
_FIRST_PAUSE_SECONDS = 1.0
_READ_BYTES = 1 << 20
_MB = 1e6
_PART_SUFFIX = ".part"


def fetch_exogan(
    target: Path,
    *,
    base_url: str = OSF_API,
    progress: bool = True,
    pattern: str = "*",
    dry_run: bool = False,
    pause_seconds: float = _FIRST_PAUSE_SECONDS,
) -> list[Path]:
    """Downloads the files of ExoGAN's OSF project that are not in a folder yet.

    A file is written as ``name.part``, goes on from there after a cut, and gets its name once size and checksum are
    right.

    Args:
        target: folder of the files; made where missing.
        base_url: of the API.
        progress: show progress.
        pattern: names of the files wanted, such as ``chunck_1*.pkgz``.
        dry_run: list the files on stdout and download none.
        pause_seconds: before the second attempt at a file; doubled for each further one.

    Returns:
        The files' paths, in the order of the listing.

    Raises:
        ExobenchError: no connection, no such file, a wrong checksum, or too little disk; the message says what to do.
    """
    client = OsfClient(base_url)
    try:
        listed = [file for file in client.list_files(PROJECT) if fnmatch(file.path.name, pattern)]
        if not listed:
            raise ExobenchError(f"osf.io/{PROJECT} lists no file named {pattern}.")
        if dry_run:
            for file in listed:
                print(f"{file.path}  {_size(file.size)}  sha256 {file.sha256 or 'not given'}")
            return [target / file.path for file in listed]
        _check_space(target, listed)
        return [_fetch(client, file, target, progress, pause_seconds) for file in listed]
    except Unreachable as error:
        raise ExobenchError(f"{str(error).rstrip('.')}. {by_hand(target)}") from error


def by_hand(target: Path) -> str:
    """How to place the files without this command."""
    return (
        f"What was downloaded is kept: run the command again to go on, or open https://osf.io/{PROJECT} in a browser, "
        f"put the files {FILE_PATTERN} in {target} and run: python -m exobench.data import exogan {target}"
    )


def _fetch(client: OsfClient, file: RemoteFile, target: Path, progress: bool, pause_seconds: float) -> Path:
    path = target / file.path
    if path.exists() and (file.size is None or path.stat().st_size == file.size):
        if not _differs(path, file):
            return path
        raise ExobenchError(f"{path} is there but differs from osf.io/{PROJECT}: move it away and run again.")
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + _PART_SUFFIX)
    for attempt in range(_ATTEMPTS):
        try:
            _download(client, file, part, progress)
            break
        except Unreachable as error:
            if attempt == _ATTEMPTS - 1 or not error.may_pass:
                raise
            time.sleep(pause_seconds * 2**attempt)
    differing = _differs(part, file)
    if differing:
        part.unlink()
        raise ExobenchError(f"{file.path}: the download has {differing}; it was deleted, run the command again.")
    os.replace(part, path)
    return path


def _download(client: OsfClient, file: RemoteFile, part: Path, progress: bool) -> None:
    """Appends what is missing to the partial file.

    Raises:
        Unreachable: the connection was cut.
        ExobenchError: the server sends more than it announced.
    """
    have = part.stat().st_size if part.exists() else 0
    if file.size is not None and have > file.size:
        part.unlink()
        have = 0
    if have and have == file.size:
        return
    with client.open(file.url, {"Range": f"bytes={have}-"} if have else None) as response:
        start = have if response.status == 206 and _starts_at(response, have) else 0
        if response.status == 206 and start != have:
            part.unlink()
            raise Unreachable(f"{file.url} sent another part of the file than was asked for.")
        _append(response, file, part, start, progress)


def _append(response: HTTPResponse, file: RemoteFile, part: Path, start: int, progress: bool) -> None:
    n_bytes = start
    announced = response.getheader("Content-Length")
    end = start + int(announced) if announced and announced.isdecimal() else file.size
    with (
        part.open("r+b" if start else "wb") as output,
        Progress(file.path.name, end and end / _MB, "MB", done=start / _MB, show=progress) as bar,
    ):
        output.seek(start)
        while block := _read(response, file.url):
            n_bytes += len(block)
            if file.size is not None and n_bytes > file.size:
                raise ExobenchError(f"{file.url} sends more than the {file.size:,} bytes that the listing gives.")
            output.write(block)
            bar.add(len(block) / _MB)
        output.truncate()
    if end is not None and n_bytes < end:
        raise Unreachable(f"{file.url}: the connection was cut after {n_bytes:,} of {end:,} bytes.")


def _read(response: HTTPResponse, url: str) -> bytes:
    # read1 hands over what has arrived: a cut loses nothing of it.
    try:
        return response.read1(_READ_BYTES)
    except (OSError, HTTPException) as error:
        raise Unreachable(f"{url}: the connection was cut ({error}).") from error


def _starts_at(response: HTTPResponse, start: int) -> bool:
    match = re.match(r"bytes (\d+)-", response.getheader("Content-Range") or "")
    return match is not None and int(match[1]) == start


def _differs(path: Path, file: RemoteFile) -> str:
    """What of a downloaded file is not as listed; empty where all is."""
    size = path.stat().st_size
    if file.size is not None and size != file.size:
        return f"{size:,} bytes in place of {file.size:,}"
    for name, expected in (("sha256", file.sha256), ("md5", file.md5)):
        if expected is not None:
            with path.open("rb") as content:
                found = hashlib.file_digest(content, name).hexdigest()
            return "" if found == expected else f"{name} {found} in place of {expected}"
    return ""


def _check_space(target: Path, listed: list[RemoteFile]) -> None:
    missing = [file for file in listed if not (target / file.path).exists()]
    parts = [target / file.path.with_name(file.path.name + _PART_SUFFIX) for file in missing]
    needed = sum(file.size or 0 for file in missing) - sum(part.stat().st_size for part in parts if part.exists())
    target.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(target).free
    if needed > free:
        raise ExobenchError(
            f"{target} needs {_size(needed)} more, the disk has {_size(free)} free: choose another folder."
        )


def _size(n_bytes: int | None) -> str:
    return "size not given" if n_bytes is None else f"{n_bytes / 1e9:.3f} GB"
