"""What the commands beside ``python -m exobench`` share: places and KEY=VALUE settings, and errors of one line."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from exobench.errors import ExobenchError, unknown_name

GOES_ON = "stopped. The same command goes on from there."
"""For a command that finds again what it had made."""


@contextmanager
def failing_in_one_line(stopped: str | None = None) -> Iterator[None]:
    """Ends the process on wrong input with one line on stderr and exit status 2.

    Args:
        stopped: said where the user interrupts, with exit status 130; None leaves interruptions alone.
    """
    try:
        yield
    except ExobenchError as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        if stopped is None:
            raise
        print(stopped, file=sys.stderr)
        sys.exit(130)


def split_arguments(
    arguments: Sequence[str],
    defaults: Mapping[str, str],
    *,
    is_place: Callable[[Path], bool],
    whole: Mapping[str, int] | None = None,
    flags: Sequence[str] = (),
) -> tuple[dict[str, str], list[Path]]:
    """Reads files or folders, and KEY=VALUE settings.

    Args:
        arguments: of the command line.
        defaults: every setting.
        is_place: whether an argument with "=" in it is a file or folder nonetheless.
        whole: least value of the settings that are whole numbers.
        flags: settings that are true or false.

    Returns:
        All settings as text, and the files or folders.

    Raises:
        ExobenchError: for an unknown key or a wrong value.
    """
    values, places = dict(defaults), []
    least = whole or {}
    for argument in arguments:
        key, equals, value = argument.partition("=")
        if not equals or is_place(Path(argument)):
            places.append(Path(argument))
            continue
        if key not in defaults:
            raise unknown_name("setting", key, defaults)
        if key in least and not (value.isdecimal() and int(value) >= least[key]):
            raise ExobenchError(f"{key}={value} must be a whole number of at least {least[key]}.")
        if key in flags and value not in ("true", "false"):
            raise ExobenchError(f"{key}={value} must be true or false.")
        values[key] = value
    return values, places


def check_run_folders(folders: Sequence[Path], example: str) -> None:
    """Makes sure that there are folders to look for runs in.

    Raises:
        ExobenchError: if none is named, the message giving the example, or one is not there.
    """
    if not folders:
        raise ExobenchError(f"name the folder of a run, such as {example} (--help shows all).")
    for folder in folders:
        if not folder.is_dir():
            raise ExobenchError(f"{folder}: there is no such folder; give that of a run, or one above some.")
