"""What a job asks Slurm for: the settings of ``hydra/launcher=submitit_slurm``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from exobench.errors import ExobenchError, unknown_name
from exobench.places import Places

CHOICE = "hydra/launcher=submitit_slurm"
_WHOLE = {
    "timeout_min": 1,
    "signal_delay_s": 1,
    "max_requeues": 0,
    "nodes": 1,
    "tasks_per_node": 1,
    "cpus_per_task": 1,
    "array_parallelism": 1,
}
"""Least values."""
_NOT_FOR_SBATCH = ("max_requeues", "gone_seconds", "folder", "setup")
_SBATCH_NAMES = {"timeout_min": "time", "tasks_per_node": "ntasks_per_node", "mem_gb": "mem"}


@dataclass(frozen=True)
class Resources:
    """What every job of a submission gets.

    Attributes:
        partition: of the cluster; None for its default, as for the next three.
        account: that pays.
        qos: quality of service.
        constraint: on the nodes.
        timeout_min: wall time in minutes.
        signal_delay_s: seconds before it in which a job winds up.
        max_requeues: times that a job may reach its wall time.
        nodes: of one job.
        tasks_per_node: processes that make one run together, on each node.
        cpus_per_task: cores and threads of each.
        mem_gb: of a node, in gigabytes; None for the cluster's default.
        gpus_per_task: of each process.
        array_parallelism: jobs at a time.
        gone_seconds: from leaving the queue without a result to being called dead.
        folder: shared by all nodes, for scripts, results and logs; None for ``slurm`` below the runs.
        setup: shell lines before the command.
        additional_parameters: further options of sbatch.
    """

    partition: str | None = None
    account: str | None = None
    qos: str | None = None
    constraint: str | None = None
    timeout_min: int = 60
    signal_delay_s: int = 120
    max_requeues: int = 100
    nodes: int = 1
    tasks_per_node: int = 1
    cpus_per_task: int = 1
    mem_gb: float | None = None
    gpus_per_task: int | None = None
    array_parallelism: int = 256
    gone_seconds: float = 60.0
    folder: str | None = None
    setup: tuple[str, ...] = ()
    additional_parameters: Mapping[str, Any] | None = None

    @staticmethod
    def of(settings: Mapping[str, Any]) -> Resources:
        """Checks the settings of the launcher.

        Raises:
            ExobenchError: one line that names the leaf, its value and what would be right.
        """
        given = {key: value for key, value in settings.items() if key != "_target_"}
        valid = [field.name for field in fields(Resources)]
        for key, value in given.items():
            if key not in valid:
                raise unknown_name("setting hydra.launcher.", key, valid)
            _check(key, value)
        given["setup"] = tuple(given.get("setup") or ())
        resources = Resources(**given)
        if resources.signal_delay_s >= 60 * resources.timeout_min:
            raise ExobenchError(
                f"hydra.launcher.signal_delay_s={resources.signal_delay_s} must be less than the wall time, "
                f"{60 * resources.timeout_min} s (hydra.launcher.timeout_min)."
            )
        return resources

    @property
    def n_tasks(self) -> int:
        """Processes of one job."""
        return self.nodes * self.tasks_per_node

    def folder_in(self, places: Places) -> Path:
        """Where scripts, results and logs go."""
        return places.runs / "slurm" if self.folder is None else Path(self.folder).expanduser().absolute()

    def for_submitit(self, name: str) -> dict[str, Any]:
        """Parameters of ``submitit.SlurmExecutor``.

        Args:
            name: of the jobs, as squeue shows it.
        """
        given = {field.name: getattr(self, field.name) for field in fields(self)}
        chosen = {k: v for k, v in given.items() if v is not None and k not in _NOT_FOR_SBATCH}
        if self.mem_gb is not None:
            chosen["mem_gb"] = f"{round(1024 * self.mem_gb)}MB"
        parameters = {_SBATCH_NAMES.get(key, key): value for key, value in chosen.items()}
        parameters["additional_parameters"] = {"requeue": True, **(self.additional_parameters or {})}
        return {**parameters, "job_name": name, "setup": [*self.setup, *self._environment()]}

    def _environment(self) -> list[str]:
        """Shell lines: one thread a core, each task bound to its own, and where the tasks of a run meet."""
        threads = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS")
        lines = [f"export {name}={self.cpus_per_task}" for name in threads]
        # srun stopped taking the number of cores over from sbatch with Slurm 22.05.
        lines += [f"export SRUN_CPUS_PER_TASK={self.cpus_per_task}", "export SLURM_CPU_BIND=cores"]
        if self.n_tasks > 1:
            lines.append('export MASTER_ADDR=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)')
        else:
            lines.append("unset MASTER_ADDR")
        return lines


def uses_slurm(overrides: Sequence[str]) -> bool:
    """Whether a command line asks for jobs of Slurm."""
    return CHOICE in overrides


def offer_slurm(overrides: Sequence[str]) -> None:
    """Makes the launcher known to Hydra where a command line asks for it; nothing heavy is imported elsewhere."""
    if uses_slurm(overrides):
        from exobench.cluster.launcher import register

        register()


def without_launcher(overrides: Sequence[str]) -> list[str]:
    """A command line as a job takes it: it starts no jobs of its own."""
    return [each for each in overrides if not each.lstrip("+").startswith(("hydra/launcher=", "hydra.launcher."))]


def compose_resources(config_name: str, overrides: Sequence[str]) -> Resources:
    """What a command line asks of Slurm.

    Args:
        config_name: a YAML file at the top of ``exobench.conf``.
        overrides: KEY=VALUE arguments; the launcher is chosen where they do not.

    Raises:
        ExobenchError: a setting is wrong.
    """
    from hydra import compose, initialize_config_module
    from hydra.errors import HydraException
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    from exobench.cluster.launcher import register
    from exobench.command_line import _hydra_set_aside, plugin_overrides

    register()
    chosen = [*([] if uses_slurm(overrides) else [CHOICE]), *overrides]
    with _hydra_set_aside(), initialize_config_module("exobench.conf", version_base="1.3"):
        try:
            config = compose(config_name, [*chosen, *plugin_overrides(chosen)], return_hydra_config=True)
        except (HydraException, OmegaConfBaseException) as error:
            raise ExobenchError(" ".join(str(error).split())) from error
    launcher = OmegaConf.to_container(config.hydra.launcher, resolve=True)
    assert isinstance(launcher, dict)  # a config is a mapping
    return Resources.of({str(key): value for key, value in launcher.items()})


def _check(key: str, value: object) -> None:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if key in _WHOLE and not (is_number and isinstance(value, int) and value >= _WHOLE[key]):
        raise ExobenchError(f"hydra.launcher.{key}={value} must be a whole number of at least {_WHOLE[key]}.")
    if key == "gone_seconds" and not (is_number and value > 0):  # type: ignore[operator]
        raise ExobenchError(f"hydra.launcher.{key}={value} must be a positive number of seconds.")
    if key == "mem_gb" and value is not None and not (is_number and value > 0):  # type: ignore[operator]
        raise ExobenchError(f"hydra.launcher.{key}={value} must be a positive number of gigabytes, or null.")
    if key == "setup" and not (isinstance(value, list | tuple) and all(isinstance(line, str) for line in value)):
        raise ExobenchError(f"hydra.launcher.{key}={value} must be a list of shell lines.")
    if key == "additional_parameters" and not isinstance(value, Mapping):
        raise ExobenchError(f"hydra.launcher.{key}={value} must be options of sbatch, such as {{mail-type: END}}.")
