"""Methods that stand on another method's fit: ensembles, importance sampling, seeded samplers.

The inner method is any registered one, named in the outer method's settings. A finished fit of an equal run is used
again; otherwise the inner method is trained in the outer one's working folder.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from exobench import registry
from exobench.errors import ExobenchError
from exobench.files import write_atomically
from exobench.method import AbstractMethod, Capability, Limits, Progress
from exobench.posterior import AbstractPosterior
from exobench.problem import InferenceProblem

log = logging.getLogger(__name__)

_SETTINGS, _POSTERIOR = "inner.json", "inner_posterior"


@dataclass(frozen=True)
class InnerFit:
    """A method and its posterior.

    Attributes:
        method: as built.
        settings: its complete settings, name included.
        posterior: fitted.
    """

    method: AbstractMethod
    settings: dict[str, Any]
    posterior: AbstractPosterior


def check_names_method(key: str, settings: object) -> None:
    """Checks that a setting is a name, or a group with one; whether there is such a method is seen when it is built.

    Raises:
        ExobenchError: it is neither.
    """
    if not isinstance(settings, str) and not (isinstance(settings, Mapping) and "name" in settings):
        raise ExobenchError(f"{key}={settings} must name a method, or be a group with its name.")


def inner_method(key: str, settings: str | Mapping[str, Any], needs: Capability) -> AbstractMethod:
    """Builds the inner method that a setting names.

    Args:
        key: of the setting, for errors, such as "method.proposal".
        settings: a registered name, or a mapping with ``name`` and some of the method's settings; the others are those
            of its config.
        needs: capabilities that it must declare.

    Raises:
        ExobenchError: if there is no such method, a setting is wrong, or a capability is missing.
    """
    from exobench.command_line import compose_settings

    given = {"name": settings} if isinstance(settings, str) else dict(settings)
    name = given.get("name")
    if name not in registry.names(registry.METHODS):
        valid = ", ".join(registry.names(registry.METHODS))
        raise ExobenchError(f"{key}={settings} must name a method, or be a group with its name; valid: {valid}.")
    complete = compose_settings("config", [f"method={name}"])["method"]
    method = registry.build_method(merged(complete, given))
    lacking = [str(flag.name) for flag in Capability if flag in needs and flag not in method.capabilities]
    if lacking:
        raise ExobenchError(f"{key}={name}: this method must declare {', '.join(lacking)}, and {name} does not.")
    return method


def merged(defaults: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """Settings with those given in place of the defaults, group by group."""
    result = dict(defaults)
    for key, value in given.items():
        old = result.get(key)
        result[key] = merged(old, value) if isinstance(old, Mapping) and isinstance(value, Mapping) else value
    return result


def fit_inner(
    method: AbstractMethod,
    problem: InferenceProblem,
    *,
    limits: Limits,
    rng: np.random.Generator,
    device: str,
    workdir: Path,
    stop: Callable[[], bool],
    progress: Progress,
) -> InnerFit:
    """The inner method's posterior: that of a finished fit of an equal run where there is one, else a new fit.

    Args:
        method: from ``inner_method``.
        problem: of the outer method.
        limits: of the inner fit; equal to a run's limits if that run's fit is to be used.
        rng: as for ``AbstractMethod.fit``.
        device: as there.
        workdir: a folder of this inner fit alone, made if missing.
        stop: as there.
        progress: as there.

    Raises:
        ExobenchError: if the inner method cannot run on the problem.
        FitInterrupted: as ``AbstractMethod.fit``.
    """
    settings = registry.settings_of(method)
    reason = method.skip(problem)
    if reason is not None:
        raise ExobenchError(f"{method.registered_name} cannot run on {problem.name}: {reason}")
    found = problem.finished_fits(settings, limits) if problem.finished_fits is not None else None
    if found is not None:
        log.info("the fit of %s is used", found)
        return InnerFit(method, settings, method.load_posterior(found, problem, device))
    workdir.mkdir(parents=True, exist_ok=True)
    posterior = method.fit(
        problem, limits=limits, rng=rng, device=device, workdir=workdir, stop=stop, progress=progress
    )
    return InnerFit(method, settings, posterior)


def save_inner(inner: InnerFit, path: Path) -> None:
    """Writes an inner fit into a folder of the outer posterior."""
    path.mkdir(parents=True, exist_ok=True)
    inner.posterior.save(path / _POSTERIOR)
    write_atomically(path / _SETTINGS, json.dumps(inner.settings, indent=1).encode())


def load_inner(path: Path, problem: InferenceProblem, device: str) -> InnerFit:
    """Reads back what ``save_inner`` wrote.

    Raises:
        ExobenchError: if it is missing or damaged.
    """
    try:
        settings = json.loads((path / _SETTINGS).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ExobenchError(f"{path / _SETTINGS} cannot be read ({error}); remove the run's folder.") from error
    method = registry.build_method(settings)
    return InnerFit(method, settings, method.load_posterior(path / _POSTERIOR, problem, device))
