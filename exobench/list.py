"""``python -m exobench.list``: installed methods and tasks, their packages, and why some cannot be used."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence

from exobench.errors import unknown_name
from exobench.listing import Listed, list_methods, list_tasks
from exobench.small_commands import command_arguments, with_output_help

_KINDS = {"methods": list_methods, "tasks": list_tasks}
_USAGE = f"""usage: python -m exobench.list [{"] [".join(_KINDS)}] [--json]

Imports every installed method and task on its own and says what it can do, which package brings it, and, where it
cannot be used, the reason. --json prints all of it, with settings and defaults."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Prints the list; a wrong argument ends with one line on stderr and exit status 2."""
    given = command_arguments(arguments)
    if "-h" in given or "--help" in given:
        print(with_output_help(_USAGE), end="")
        return
    for argument in given:
        if argument not in (*_KINDS, "--json"):
            print(f"error: {unknown_name('argument', argument, [*_KINDS, '--json'])}", file=sys.stderr)
            sys.exit(2)
    found = {kind: lister() for kind, lister in _KINDS.items() if kind in given or not set(given) & set(_KINDS)}
    if "--json" in given:
        print(json.dumps({kind: [one.to_dict() for one in listed] for kind, listed in found.items()}, indent=1))
        return
    for kind, listed in found.items():
        print("\n".join(_table(kind, listed)))


def _table(kind: str, listed: Sequence[Listed]) -> list[str]:
    name = max((len(one.name) for one in listed), default=0)
    package = max((len(one.package) for one in listed), default=0)
    return [f"{kind}:", *(f"  {one.name:{name}}  {one.package:{package}}  {_words(one)}" for one in listed)]


def _words(one: Listed) -> str:
    if one.reason is not None:
        return f"cannot be used: {one.reason}"
    what = ", ".join(flag.lower().replace("_", " ") for flag in one.capabilities)
    return f"{one.summary} [{what}]" if what else one.summary


if __name__ == "__main__":
    main()
