"""What the commands beside ``python -m exobench`` share: how much they say, KEY=VALUE settings, errors of one line."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from exobench.errors import ExobenchError, unknown_name
from exobench.progress import LogLines, is_quiet

GOES_ON = "stopped. The same command goes on from there."
"""For a command that finds again what it had made."""


QUIET, VERBOSE = ("-q", "--quiet"), ("-v", "--verbose")
OUR_LOGGERS = ("exobench", "exobench_baselines", "exobench_tasks")
"""Whose details ``-v`` shows; those of other packages would bury them."""
_OUTPUT_HELP = """
  -q, --quiet        only the result and errors
  -v, --verbose      details of every stage, and where an error came from
"""

log = logging.getLogger("exobench")


def take_verbosity(arguments: Sequence[str]) -> tuple[int | None, list[str]]:
    """The log level that ``-q`` or ``-v`` asks for, None for the usual one, and the other arguments.

    Raises:
        ExobenchError: both are given.
    """
    quiet, verbose = (any(argument in names for argument in arguments) for names in (QUIET, VERBOSE))
    if quiet and verbose:
        raise ExobenchError("-q and -v exclude each other: give one of them.")
    rest = [argument for argument in arguments if argument not in (*QUIET, *VERBOSE)]
    return logging.ERROR if quiet else logging.DEBUG if verbose else None, rest


def command_arguments(
    arguments: Sequence[str] | None,
    *,
    usual: int = logging.INFO,
    stream: Literal["stdout", "stderr"] = "stderr",
) -> list[str]:
    """Arguments of a command without ``-q`` and ``-v``, which decide how much is said from here on.

    Args:
        arguments: None for those of the process.
        usual: log level where neither is given.
        stream: of log lines.
    """
    with failing_in_one_line():
        level, rest = take_verbosity(sys.argv[1:] if arguments is None else arguments)
    root = logging.getLogger()
    for handler in [each for each in root.handlers if isinstance(each, LogLines)]:
        root.removeHandler(handler)
    root.addHandler(LogLines(stream))
    root.setLevel(usual if level is None else max(level, logging.WARNING))
    for name in OUR_LOGGERS:
        logging.getLogger(name).setLevel(logging.NOTSET if level is None else level)
    return rest


def verbosity_flags() -> list[str]:
    """The flag that gives a process started from here the same say."""
    if is_quiet():
        return [QUIET[0]]
    return [VERBOSE[0]] if log.isEnabledFor(logging.DEBUG) else []


def with_output_help(text: str) -> str:
    """The help of a command with what ``-q`` and ``-v`` do."""
    return text.rstrip("\n") + "\n" + _OUTPUT_HELP


@contextmanager
def failing_in_one_line(stopped: str | None = None) -> Iterator[None]:
    """Ends the process on wrong input with one line on stderr and exit status 2.

    Args:
        stopped: said where the user interrupts, with exit status 130; None leaves interruptions alone.
    """
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError:
        # Whoever read our output, such as `head`, has seen enough; Python flushes once more at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(141)
    except ExobenchError as error:
        log.debug("the error came from here:", exc_info=error)
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
