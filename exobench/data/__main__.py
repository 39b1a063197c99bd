"""``python -m exobench.data COMMAND``: makes, checks, lists, fetches and imports data sets."""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Callable, Sequence
from typing import NoReturn

from exobench.data import commands, import_command
from exobench.errors import ExobenchError, unknown_name
from exobench.small_commands import command_arguments, failing_in_one_line

_COMMANDS = {
    "generate": "make the shared spectra of a task: n=10_000_000 storage=uint16",
    "verify": "compare every shard with its checksum; repair=true makes damaged ones again",
    "info": "say what data sets are there",
    "fetch": "download a published data set",
    "import": "check downloaded files and write them as shards",
}


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs a subcommand; wrong input ends with one line on stderr and exit status 2."""
    given = command_arguments(arguments, usual=logging.WARNING)
    if not given or given[0] in ("-h", "--help"):
        print(_help_text())
        return
    with failing_in_one_line(stopped="stopped: finished shards are kept; the same command goes on from there."):
        status = _command(given[0])(given[1:])
    if status:
        sys.exit(status)


class _OneLineParser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise ExobenchError(f"{message} ({self.prog} --help lists the arguments).")


def _command(name: str) -> Callable[[Sequence[str]], int]:
    if name not in _COMMANDS:
        raise unknown_name("command", name, _COMMANDS)
    if name in ("fetch", "import"):
        return lambda arguments: _parsed(name, arguments)
    run: Callable[[Sequence[str]], int] = getattr(commands, f"run_{name}")
    return run


def _parsed(name: str, arguments: Sequence[str]) -> int:
    parser = _OneLineParser(prog=f"python -m exobench.data {name}")
    getattr(import_command, f"add_{name}_arguments")(parser)
    parsed = parser.parse_args(arguments)
    status: int = parsed.run(parsed)
    return status


def _help_text() -> str:
    return "\n".join(
        [
            "usage: python -m exobench.data COMMAND [...]",
            "",
            *(f"  {name:10}{what}" for name, what in _COMMANDS.items()),
            "",
            "python -m exobench.data COMMAND --help lists the settings of a command.",
            "Each takes -q (only the result and errors) and -v (details).",
        ]
    )


if __name__ == "__main__":
    main()
