"""The subcommands ``fetch`` and ``import`` of ``python -m exobench.data``."""

from __future__ import annotations

import argparse
from pathlib import Path

from exobench.errors import ExobenchError
from exobench.places import Places

SETS = ("exogan",)
_TASK = "hotjupiter"


def add_fetch_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the arguments of ``fetch``."""
    parser.description = "Downloads a published data set; run it again to go on after a cut."
    parser.add_argument("set", choices=SETS, help="exogan: the files of osf.io/6dxps")
    parser.add_argument("--to", type=Path, help="folder of the files (default: sources/exogan of the data folder)")
    parser.add_argument("--pattern", default="*", help="names of the files wanted, such as 'chunck_1*.pkgz'")
    parser.add_argument("--list", action="store_true", dest="dry_run", help="list the files and download none")
    parser.add_argument("--data", help="data folder (default: EXOBENCH_DATA, else data/ of the checkout)")
    parser.set_defaults(run=run_fetch)


def add_import_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the arguments of ``import``."""
    parser.description = "Checks downloaded files and writes them into shards that data=exogan_osf reads."
    parser.add_argument("set", choices=SETS, help="exogan: chunck_*.pkgz files of osf.io/6dxps")
    parser.add_argument("source", type=Path, nargs="?", help="folder of the files (default: where fetch puts them)")
    parser.add_argument("--task", default=_TASK, help=f"task whose spectra these are (default: {_TASK})")
    parser.add_argument("--shard-rows", type=int, default=10_000, help="spectra a shard; smaller for a small set")
    parser.add_argument("--opacities", help="folder of opacities for the comparison with the simulator")
    parser.add_argument("--workers", default="auto", help="processes that read files (default: one a core)")
    parser.add_argument("--data", help="data folder (default: EXOBENCH_DATA, else data/ of the checkout)")
    parser.set_defaults(run=run_import)


def run_fetch(arguments: argparse.Namespace) -> int:
    """Downloads, and says where the files are.

    Raises:
        ExobenchError: one line that says what is wrong and what to do.
    """
    from exobench.data.fetch import fetch_exogan

    target = arguments.to or default_source(Places.resolve(arguments.data).data)
    files = fetch_exogan(target, pattern=arguments.pattern, dry_run=arguments.dry_run)
    if not arguments.dry_run:
        print(f"{len(files)} files in {target}; next: python -m exobench.data import exogan {target}")
    return 0


def run_import(arguments: argparse.Namespace) -> int:
    """Imports, and says what was imported and how it compares with the simulator.

    Raises:
        ExobenchError: one line that names the file and what is wrong with it.
    """
    from exobench.data.exogan_import import import_exogan

    data = Places.resolve(arguments.data).data
    report = import_exogan(
        arguments.source or default_source(data),
        data,
        task_name=arguments.task,
        shard_rows=arguments.shard_rows,
        opacities_path=arguments.opacities,
        workers=_workers(arguments.workers),
    )
    print("\n".join(report.lines()))
    return 0


def default_source(data: Path) -> Path:
    """Where ``fetch`` puts the files and ``import`` looks for them."""
    return data / "sources" / "exogan"


def _workers(given: str) -> int | str:
    if given == "auto":
        return given
    if not given.isdecimal() or int(given) < 1:
        raise ExobenchError(f"--workers {given} must be auto or a positive whole number.")
    return int(given)
