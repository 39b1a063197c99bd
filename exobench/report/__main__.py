"""``python -m exobench.report``: builds the site of all run records."""

from __future__ import annotations

from collections.abc import Sequence

from exobench.errors import ExobenchError, unknown_name
from exobench.places import Places
from exobench.small_commands import command_arguments, failing_in_one_line, with_output_help

KEYS = ("paths.runs", "paths.reports")
HELP = """usage: python -m exobench.report [paths.runs=FOLDER] [paths.reports=FOLDER]

Builds a site from the run records below paths.runs (default: EXOBENCH_RUNS, else ./runs) in paths.reports (default:
./reports): index.html, a page for each task and each run, and the searches for settings below paths.runs/tune. It opens
from the file system and needs no network. What belongs to a record is made again only when the record changes.
"""


def main(arguments: Sequence[str] | None = None) -> None:
    """Builds the site; wrong input ends with one line on stderr and exit status 2."""
    given = command_arguments(arguments)
    if any(argument in ("-h", "--help") for argument in given):
        print(with_output_help(HELP), end="")
        return
    with failing_in_one_line():
        places = parse(given)
        # Heavy imports wait until the input is known to be right.
        from exobench.report.page import build_page

        print(f"Page: {build_page(places.runs, places.reports)}")


def parse(arguments: Sequence[str]) -> Places:
    """Reads KEY=VALUE arguments.

    Raises:
        ExobenchError: for an unknown key, a missing value, a path that is no folder, or records that are not there.
    """
    values: dict[str, str] = {}
    for argument in arguments:
        key, equals, value = argument.partition("=")
        if key not in KEYS:
            raise unknown_name("setting", key, KEYS)
        if not equals or not value:
            raise ExobenchError(f"{key} needs a folder, such as {key}={'runs' if key == KEYS[0] else 'reports'}.")
        values[key] = value
    places = Places.resolve(runs=values.get("paths.runs"), reports=values.get("paths.reports"))
    if "paths.runs" in values and not places.runs.is_dir():
        wrong = values["paths.runs"]
        raise ExobenchError(f"paths.runs={wrong}: there is no such folder; give the one that holds the run records.")
    return places


if __name__ == "__main__":
    main()
