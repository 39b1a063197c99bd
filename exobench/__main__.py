"""``python -m exobench method=... task=...``: the command line. Heavy packages are imported only when a job starts."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, NoReturn

from exobench.cluster.settings import offer_slurm
from exobench.command_line import (
    check_overrides,
    help_text,
    options_first,
    output_overrides,
    plugin_overrides,
    wants_help,
)
from exobench.errors import ExobenchError
from exobench.launch import is_one_of_several
from exobench.progress import is_quiet
from exobench.small_commands import OUR_LOGGERS, take_verbosity

if TYPE_CHECKING:
    from exobench.results import RunRecord

log = logging.getLogger("exobench")


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the command line; wrong input ends with one line on stderr and exit status 2."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        if wants_help(given):
            print(help_text())
            return
        if is_one_of_several():
            # A lost process is told of in one line; torch would add its stack for each broken connection.
            os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")
        level, given = take_verbosity(given)
        offer_slurm(given)
        check_overrides(given)
        for name in OUR_LOGGERS:
            logging.getLogger(name).setLevel(logging.NOTSET)  # Hydra sets them, in the processes of a sweep as well
        _hydra([*options_first(given), *plugin_overrides(given), *output_overrides(level)])
    except ExobenchError as error:
        _fail(str(error))
    except KeyboardInterrupt:
        _leave("stopped. The same command goes on from there.", 130)


def _hydra(overrides: Sequence[str]) -> None:
    import hydra
    from hydra.core.hydra_config import HydraConfig
    from hydra.types import RunMode
    from omegaconf import DictConfig

    failures: list[str] = []
    records: list[RunRecord] = []

    @hydra.main(version_base="1.3", config_path="pkg://exobench.conf", config_name="config")
    def job(config: DictConfig) -> None:
        try:
            if is_one_of_several():
                _run_in_step(config)
            else:
                records.append(_run_job(config))
        except ExobenchError as error:
            log.debug("the error came from here:", exc_info=error)
            if HydraConfig.get().mode != RunMode.MULTIRUN or is_one_of_several():
                _fail(str(error))
            failures.append(f"job {HydraConfig.get().job.num} ({HydraConfig.get().job.override_dirname}): {error}")
            print(f"error: {failures[-1]}", file=sys.stderr)

    sys.argv = [sys.argv[0], *overrides]
    job()
    if len(records) > 1 and not is_quiet():
        from exobench.terminal import print_sweep

        print_sweep(records)
    if failures:
        _fail(f"{len(failures)} of the jobs failed: {'; '.join(failures)}")


def _run_in_step(config: object) -> None:
    """The job as one of several processes: all end together, and the first to fail alone says why."""
    from exobench.training.distributed import Ranks
    from exobench.training.messages import Messages, OthersLost, lost_another

    ranks = Ranks.from_environment()
    messages = Messages.of(ranks)
    if not ranks.is_first:
        logging.disable(logging.CRITICAL)
    try:
        _run_job(config, reports=ranks.is_first)
        if ranks.is_first:
            messages.say("end")
        else:
            messages.hear()
    except ExobenchError:
        raise
    except Exception as error:
        if lost_another(error):
            messages.wait_for_reason()
            raise OthersLost(
                "another process of this run was lost. The same command goes on from the last checkpoint."
            ) from error
        speaks, status = messages.fail(1)
        if speaks:
            raise
        sys.exit(status)


def _run_job(config: object, *, reports: bool = True) -> RunRecord:
    from omegaconf import OmegaConf

    from exobench.method import FitInterrupted
    from exobench.settings import RunSettings

    logging.captureWarnings(True)
    settings = RunSettings.from_config(OmegaConf.to_container(config, resolve=True))  # type: ignore[arg-type]
    from exobench.runner import run, run_floor
    from exobench.terminal import print_page, print_result_line, print_summary

    try:
        record = run(settings)
    except FitInterrupted as interrupted:
        _leave(f"stopped: {interrupted} The same command goes on from there.", 130)
    if reports:
        floor = run_floor(settings)
        if is_quiet():
            print_result_line(record)
        else:
            print_summary(record, floor)
        if settings.report:  # last, so that the result is there whatever becomes of the pages
            from exobench.report.page import build_page

            page = build_page(settings.places.runs, settings.places.reports)
            if not is_quiet() and record["status"] == "ok":
                print_page(page)
    if record["status"] == "failed":
        raise ExobenchError(record["reason"])
    return record


def _fail(message: str) -> NoReturn:
    _leave(f"error: {' '.join(message.split())}", 2)


def _leave(message: str, status: int) -> NoReturn:
    """Ends this process with one line, which of several processes the first to fail alone prints."""
    speaks = True
    with suppress(ExobenchError):  # where the others cannot be reached, there is nobody to agree with
        if is_one_of_several():
            from exobench.training.distributed import Ranks
            from exobench.training.messages import Messages

            if not Messages.unreachable:
                speaks, status = Messages.of(Ranks.from_environment()).fail(status)
    if speaks:
        print(message, file=sys.stderr)
    sys.exit(status)


if __name__ == "__main__":
    main()
