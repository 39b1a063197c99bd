"""``python -m exobench method=... task=...``: the command line. Heavy packages are imported only when a job starts."""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence

from exobench.command_line import check_overrides, help_text, plugin_overrides, wants_help
from exobench.errors import ExobenchError


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the command line; wrong input ends with one line on stderr and exit status 2."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        if wants_help(given):
            print(help_text())
            return
        check_overrides(given)
        _hydra(given + plugin_overrides(given))
    except ExobenchError as error:
        _fail(str(error))
    except KeyboardInterrupt:
        print("stopped. The same command goes on from there.", file=sys.stderr)
        sys.exit(130)


def _hydra(overrides: Sequence[str]) -> None:
    import hydra
    from hydra.core.hydra_config import HydraConfig
    from hydra.types import RunMode
    from omegaconf import DictConfig

    failures: list[str] = []

    @hydra.main(version_base="1.3", config_path="pkg://exobench.conf", config_name="config")
    def job(config: DictConfig) -> None:
        try:
            _run_job(config)
        except ExobenchError as error:
            if HydraConfig.get().mode != RunMode.MULTIRUN:
                _fail(str(error))
            failures.append(f"job {HydraConfig.get().job.num} ({HydraConfig.get().job.override_dirname}): {error}")
            print(f"error: {failures[-1]}", file=sys.stderr)

    sys.argv = [sys.argv[0], *overrides]
    job()
    if failures:
        _fail(f"{len(failures)} of the jobs failed: {'; '.join(failures)}")


def _run_job(config: object) -> None:
    from omegaconf import OmegaConf

    from exobench.method import FitInterrupted
    from exobench.settings import RunSettings

    logging.captureWarnings(True)
    settings = RunSettings.from_config(OmegaConf.to_container(config, resolve=True))  # type: ignore[arg-type]
    from exobench.runner import run, run_floor
    from exobench.terminal import print_summary

    try:
        record = run(settings)
    except FitInterrupted as interrupted:
        print(f"stopped: {interrupted} The same command goes on from there.", file=sys.stderr)
        sys.exit(130)
    floor = run_floor(settings)
    page = None
    if settings.report:
        from exobench.report.page import build_page

        page = build_page(settings.places.runs, settings.places.reports)
    print_summary(record, floor, page)
    if record["status"] == "failed":
        raise ExobenchError(record["reason"])


def _fail(message: str) -> None:
    print(f"error: {' '.join(message.split())}", file=sys.stderr)
    sys.exit(2)


if __name__ == "__main__":
    main()
