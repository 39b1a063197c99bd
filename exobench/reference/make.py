"""Makes a task's reference posteriors: two samplers, a rerun where they disagree, and one small file."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from exobench.data.source import TestSpectra
from exobench.devices import resolve_device
from exobench.errors import ExobenchError
from exobench.metrics.resampling import count_draws, equal_draws
from exobench.provenance import code_version, hardware, package_versions
from exobench.reference.agreement import Criteria, SamplerAnswer, Verdict, judge_all
from exobench.reference.named import RULES, named_observations
from exobench.reference.published import AGREED, UNRESOLVED, Published, published_path, write_published
from exobench.reference.request import Arguments, asked_run, run_settings, scaled, settings_of_record, sort_arguments
from exobench.reference.reweighting import under_taurex
from exobench.reference.rows import RowDraws, sample_rows, spectra_of
from exobench.reference.spectra import ERROR, VALUE, SpectrumDraws, StoredDraws, run_name, stored_draws
from exobench.registry import build_task
from exobench.results import RunRecord
from exobench.runner import run
from exobench.seeds import rng_for
from exobench.settings import RunSettings
from exobench.task import Task

Array = NDArray[np.float64]
log = logging.getLogger(__name__)

HELP = """usage: python -m exobench.reference make task=NAME [KEY=VALUE ...]

Makes the reference posteriors of a task's first test spectra again: runs a sampler and, as a check, one of another
kind, compares evidence and draws spectrum by spectrum, runs both again with four times the live points where they
disagree, and writes one small file into the task's folder. What still disagrees is published as "unresolved". Every
stage leaves files below paths.runs: the same command goes on from there, and finished runs are used.

settings, with their defaults:
  sampler=importance   whose draws are published: a method, or the folder of a finished run
  check=smc            of another kind: a method, or the folder of a finished run
  n_obs=25             test spectra, from the first one on
  n_draws=5000         draws of a spectrum by each sampler
  n_stored=4000        of them in the file
  rerun_factor=4       times the live points (or proposals, particles, chains) where the two disagree; 1 for no rerun
  c2st_margin=0.05     how far the classifier's accuracy may lie above its floor
  taurex=true          one spectrum again under the likelihood of the taurex package (extra forward)
  workers=1            processes of reruns and comparisons
  out=                 the file; default: in the task's folder

  sampler.KEY=VALUE    any setting of the sampler's run, such as sampler.method.n_proposal=200000
  check.KEY=VALUE      of the check's, such as check.limits.seconds=1700
  rerun.KEY=VALUE      of the sampler's reruns, beside the factor, such as rerun.method.components=32
  KEY=VALUE            of all, such as paths.runs=..., task.noise_ppm=50 or opacities.path=...
"""

DEFAULTS = {
    "sampler": "importance",
    "check": "smc",
    "n_obs": "25",
    "n_draws": "5000",
    "n_stored": "4000",
    "rerun_factor": "4",
    "c2st_margin": "0.05",
    "taurex": "true",
    "workers": "1",
    "out": "",
}

FEWEST = 5
"""Spectra, so that each of the five names has one of its own."""
N_REWEIGHTED = 1000

_KEPT = ("effective_sample_size", "converged", "seconds", "likelihood_calls", "duplicate_share")
_KEPT_OF_CHECK = ("effective_sample_size", "psis_k", "converged", "r_hat", "likelihood_calls")


@dataclass(frozen=True, eq=False)
class _Part:
    """One of the two samplers: its run, and how to draw some of its spectra anew."""

    settings: RunSettings
    stored: StoredDraws
    record: RunRecord

    @property
    def fits(self) -> Path:
        """The folder of the task's runs that this one stands among, with the fits that it may have used."""
        return self.record.folder.absolute().parents[2]

    def answer(self, row: int) -> SamplerAnswer:
        """Of the run."""
        numbers = {name: float(values[row]) for name, values in self.stored.diagnostics.items()}
        return SamplerAnswer(self.stored.spectrum(row), numbers)


@dataclass(frozen=True, eq=False)
class _Settled:
    """The outcome for every spectrum, by its number."""

    answers: dict[int, SamplerAnswer]
    checks: dict[int, SamplerAnswer]
    verdicts: dict[int, Verdict]
    first: dict[int, Verdict]

    @property
    def rerun(self) -> tuple[int, ...]:
        """Spectra that were run again."""
        return tuple(sorted(row for row, verdict in self.first.items() if not verdict.agrees))


def make(given: Sequence[str]) -> tuple[Published, Path]:
    """Makes the file; see `HELP`.

    Raises:
        ExobenchError: for any setting that is wrong.
        FitInterrupted: if the process was told to stop while fitting.
    """
    arguments = sort_arguments(given, DEFAULTS, ("sampler", "check", "rerun"))
    n_obs, n_draws = arguments.whole("n_obs", FEWEST), arguments.whole("n_draws", 400)
    n_stored = min(arguments.whole("n_stored", 200), n_draws)
    criteria = Criteria(c2st_margin=arguments.number("c2st_margin"), n_draws=n_draws // 2)
    workers, factor = arguments.whole("workers", 1), arguments.whole("rerun_factor", 1)
    with_taurex = arguments.flag("taurex")
    sampler, check = (_part(arguments, name, n_obs, n_draws) for name in ("sampler", "check"))
    if sampler.stored.task_id != check.stored.task_id:
        raise ExobenchError(
            f"the sampler's run is of task_id {sampler.stored.task_id}, the check's of {check.stored.task_id}; "
            "both must be of one."
        )
    reruns = _reruns(arguments, sampler.settings, check.settings, factor)
    settled = _settle(sampler, check, reruns, n_obs, criteria, workers)
    task = build_task(sampler.settings.task, sampler.settings.request)
    test = spectra_of(replace(sampler.settings, n_test=n_obs), task)
    published = _published(task, test, sampler, check, settled, criteria, n_stored)
    published.notes["rerun"] |= {"factor": factor, "sampler": reruns[0].method, "check": reruns[1].method}
    published.notes["closed_form"] = _closed_form(task, test, published)
    if with_taurex:
        log.info("reweighting one posterior by the taurex package ...")
        published.notes["taurex"] = _taurex(sampler.settings, task, test, published)
    path = Path(arguments.own["out"]) if arguments.own["out"] else published_path(task.name)
    write_published(path, published)
    return published, path


def _part(arguments: Arguments, name: str, n_obs: int, n_draws: int) -> _Part:
    overrides = [*arguments.shared, f"n_test={n_obs}", f"n_draws={n_draws}", *arguments.parts[name]]
    asked = asked_run(arguments.own[name], _last_of_each(overrides))
    if isinstance(asked, RunSettings):
        record = run(asked)
        if record["status"] != "ok":
            raise ExobenchError(f"{name}={arguments.own[name]}: the run was {record['status']}: {record['reason']}")
        settings = asked
    else:
        record, settings = asked, settings_of_record(asked, _without_task(arguments.shared))
    stored = stored_draws(record, n_obs)
    if len(stored.theta) < n_obs:
        raise ExobenchError(f"{record.folder} holds draws of {len(stored.theta)} spectra; n_obs={n_obs} asks for more.")
    return _Part(settings, stored, record)


def _last_of_each(overrides: Sequence[str]) -> list[str]:
    """Settings given twice, once: the later counts."""
    return list({override.partition("=")[0]: override for override in overrides}.values())


def _without_task(overrides: Sequence[str]) -> list[str]:
    return [o for o in overrides if o.partition("=")[0].split(".")[0] in ("paths", "opacities", "device", "workers")]


def _reruns(
    arguments: Arguments, sampler: RunSettings, check: RunSettings, factor: int
) -> tuple[RunSettings, RunSettings]:
    """Settings of both samplers with so many times the live points."""
    n_draws = arguments.whole("n_draws", 400)
    method = scaled(sampler.method, factor)
    if arguments.parts["rerun"]:
        name = str(sampler.method["name"])
        wanted = run_settings([f"method={name}", *arguments.shared, *arguments.parts["rerun"]]).method
        plain = run_settings([f"method={name}", *arguments.shared]).method
        method |= {key: value for key, value in wanted.items() if value != plain[key]}
    ours = replace(sampler, method=method, n_draws=n_draws)
    return ours, replace(check, method=scaled(check.method, factor), n_draws=n_draws)


def _settle(
    sampler: _Part,
    check: _Part,
    reruns: tuple[RunSettings, RunSettings],
    n_obs: int,
    criteria: Criteria,
    workers: int,
) -> _Settled:
    answers = {row: sampler.answer(row) for row in range(n_obs)}
    checks = {row: check.answer(row) for row in range(n_obs)}
    log.info("comparing the two samplers ...")
    first = judge_all([(row, answers[row], checks[row]) for row in answers], criteria, workers=workers)
    verdicts = dict(first)
    again = [row for row, verdict in first.items() if not verdict.agrees]
    if again and reruns[0].method != sampler.settings.method:
        log.info("spectra that disagree: %s; running them again", ", ".join(map(str, again)))
        for part, found, settings in zip((sampler, check), (answers, checks), reruns, strict=True):
            drawn = sample_rows(settings, again, fits=part.fits, workers=workers)
            found |= {row: _of_row(draws) for row, draws in drawn.items()}
        verdicts |= judge_all([(row, answers[row], checks[row]) for row in again], criteria, workers=workers)
    return _Settled(answers, checks, verdicts, first)


def _of_row(draws: RowDraws) -> SamplerAnswer:
    return SamplerAnswer(SpectrumDraws(draws.theta, draws.log_weight), draws.diagnostics)


def _published(
    task: Task,
    test: TestSpectra,
    sampler: _Part,
    check: _Part,
    settled: _Settled,
    criteria: Criteria,
    n_stored: int,
) -> Published:
    theta = np.stack([_thinned(task, row, settled.answers[row], n_stored) for row in sorted(settled.answers)])
    space = task.parameters
    return Published(
        task=task.name,
        task_id=task.task_id,
        names=space.names,
        low=space.low,
        high=space.high,
        wavelength_um=task.wavelength_um,
        x=test.x,
        sigma=test.sigma,
        theta_true=test.theta_true,
        theta=theta,
        columns=_columns(settled),
        status=tuple(AGREED if settled.verdicts[row].agrees else UNRESOLVED for row in sorted(settled.verdicts)),
        named=named_observations(space.names, space.low, space.high, test.theta_true, test.x, test.sigma, theta),
        notes={
            "task_description": task.describe(),
            "sampler": _describe(sampler),
            "check": _describe(check),
            "criteria": asdict(criteria),
            "rerun": {"spectra": list(settled.rerun)},
            "named": RULES,
            "versions": {**code_version(), **package_versions()},
            "hardware": hardware(resolve_device("cpu")),
        },
    )


def _thinned(task: Task, row: int, answer: SamplerAnswer, n_stored: int) -> Array:
    draws = answer.draws.finite()
    rng = rng_for(task.task_id, "published", row)
    n = n_stored if draws.log_weight is not None else min(n_stored, count_draws(draws.theta, None))
    if n < n_stored:
        raise ExobenchError(f"spectrum {row} has {n} draws; n_stored={n_stored} asks for more. Raise n_draws.")
    return equal_draws(draws.theta, draws.log_weight, n, rng)


def _columns(settled: _Settled) -> dict[str, Array]:
    rows = sorted(settled.verdicts)
    columns: dict[str, list[float]] = {}
    for name in (VALUE, ERROR, *_KEPT):
        columns[name] = [settled.answers[row].numbers.get(name, np.nan) for row in rows]
    for name in (VALUE, ERROR, *_KEPT_OF_CHECK):
        columns[f"check_{name}"] = [settled.checks[row].numbers.get(name, np.nan) for row in rows]
    for name in ("evidence", "evidence_error", "evidence_limit", "c2st", "c2st_floor", "c2st_limit"):
        key = f"{name}_difference" if name == "evidence" else name
        columns[key] = [getattr(settled.verdicts[row], name) for row in rows]
    columns["first_evidence_difference"] = [settled.first[row].evidence for row in rows]
    columns["first_c2st"] = [settled.first[row].c2st for row in rows]
    columns["rerun"] = [float(row in settled.rerun) for row in rows]
    return {name: np.array(values, np.float64) for name, values in columns.items() if np.isfinite(values).any()}


def _describe(part: _Part) -> dict[str, Any]:
    keys = ("method", "config", "seed", "versions", "hardware", "cost")
    return {"run": run_name(part.record)} | {key: part.record.content.get(key) for key in keys}


def _closed_form(task: Task, test: TestSpectra, published: Published) -> dict[str, Any] | None:
    """The evidence of the task's closed form beside that published, where there is one."""
    if task.exact is None or VALUE not in published.columns:
        return None
    exact = task.exact.log_evidence(test.x, test.sigma)
    difference = published.columns[VALUE] - exact.value
    z = difference / np.hypot(published.columns[ERROR], exact.error)
    return {
        "largest_difference": float(np.abs(difference).max()),
        "mean_z": float(z.mean()),
        "spread_z": float(z.std(ddof=1)),
    }


def _taurex(settings: RunSettings, task: Task, test: TestSpectra, published: Published) -> dict[str, Any] | str:
    row = published.named["bright"]
    if settings.request.simulator == "taurex3":
        return "the task's own simulator is the taurex package"
    theta = published.theta[row][:N_REWEIGHTED]
    found = under_taurex(settings.task, settings.request, row, theta, test.x[row], test.sigma[row])
    return found if isinstance(found, str) else found.to_dict()
