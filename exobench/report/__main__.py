"""``python -m exobench.report``: builds the page of all run records."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from exobench.errors import ExobenchError, unknown_name
from exobench.places import Places
from exobench.small_commands import failing_in_one_line

KEYS = ("paths.runs", "paths.reports")
HELP = """usage: python -m exobench.report [paths.runs=FOLDER] [paths.reports=FOLDER]

Builds index.html from the run records below paths.runs (default: EXOBENCH_RUNS, else ./runs) in paths.reports (default:
./reports). It opens from the file system and needs no network. Figures are drawn again only when a record changes.
"""


def main(arguments: Sequence[str] | None = None) -> None:
    """Builds the page; wrong input ends with one line on stderr and exit status 2."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    if any(argument in ("-h", "--help") for argument in given):
        print(HELP, end="")
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
