"""Keeps what Hydra writes about a sweep out of the folder that somebody works in."""

from __future__ import annotations

from typing import Any

from hydra.experimental.callback import Callback
from omegaconf import DictConfig, read_write

from exobench.places import Places
from exobench.small_commands import failing_in_one_line

_NOT_SET = "."
"""The folder of a sweep in ``conf/config.yaml``."""


class SweepInRuns(Callback):
    """Puts ``multirun.yaml``, the settings of a sweep, beside the records of its runs.

    YAML cannot say where those are: paths.runs, else EXOBENCH_RUNS, else ./runs. A folder that the user gives as
    hydra.sweep.dir is left as it is.
    """

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Called by Hydra before it writes anything; a folder that cannot be is named in one line, with status 2."""
        if config.hydra.sweep.dir != _NOT_SET:
            return
        paths = config.paths
        with failing_in_one_line(), read_write(config.hydra.sweep):
            config.hydra.sweep.dir = str(Places.resolve(paths.data, paths.runs, paths.reports).runs)
