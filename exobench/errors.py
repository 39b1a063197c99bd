"""Errors that are the user's to mend: each message is one line that names the input and what would be right."""

from __future__ import annotations

import difflib
import sys
from collections.abc import Iterable
from pathlib import Path

import exobench

if getattr(exobench, "__file__", None) is None:
    # Where Python is started above a checkout, its folder comes before the package that an editable install knows of.
    if not hasattr(sys, "ps1"):
        sys.tracebacklimit = 0  # the message says it all; a session at the prompt keeps its tracebacks
    raise ImportError(
        f"Python takes the folder {next(iter(exobench.__path__))} for the package exobench: start it in that folder or "
        f"anywhere else, but not in {Path.cwd()}."
    )


class ExobenchError(ValueError):
    """A wrong input: shown as one line on the terminal, without a traceback."""


class MissingDependencyError(ExobenchError):
    """A package of an optional extra is not installed; the message names the extra."""


def unknown_name(kind: str, name: str, valid: Iterable[str]) -> ExobenchError:
    """Builds the error for a name that is not in a list.

    Args:
        kind: what was looked for, such as ``"method"``.
        name: the name that was given.
        valid: the names that exist.

    Returns:
        The error, to be raised by the caller; it names the nearest match and every valid name.
    """
    names = sorted(valid)
    close = difflib.get_close_matches(name, names, n=1) or [each for each in names if name and each.startswith(name)]
    hint = f" Did you mean '{close[0]}'?" if close else ""
    return ExobenchError(f"there is no {kind} '{name}'.{hint} Valid: {', '.join(names) or 'none'}.")
