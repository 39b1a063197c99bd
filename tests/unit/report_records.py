"""Run records of a made-up but consistent benchmark: posteriors are Gaussians about a noisy estimate of the truth."""

from dataclasses import asdict

import numpy as np

from exobench.metrics import METRICS_VERSION, ScoringInputs, aggregate, calibration_verdict, per_spectrum
from exobench.results import SCORES, write_arrays, write_record

PARAMETERS = [
    {"name": "log10_h2o", "unit": "dex", "label": r"$\log_{10} X_{\rm H_2O}$", "low": -8.0, "high": -1.0},
    {"name": "mass_mjup", "unit": "M_Jup", "label": r"$M\ [M_{\rm Jup}]$", "low": 0.8, "high": 2.0},
]
SEVEN = [
    PARAMETERS[0],
    {"name": "log10_co2", "unit": "dex", "label": r"$\log_{10} X_{\rm CO_2}$", "low": -8.0, "high": -1.0},
    {"name": "log10_co", "unit": "dex", "label": r"$\log_{10} X_{\rm CO}$", "low": -8.0, "high": -1.0},
    {"name": "log10_ch4", "unit": "dex", "label": r"$\log_{10} X_{\rm CH_4}$", "low": -8.0, "high": -1.0},
    PARAMETERS[1],
    {"name": "radius_rjup", "unit": "R_Jup", "label": r"$R\ [R_{\rm Jup}]$", "low": 0.8, "high": 1.5},
    {"name": "temperature_k", "unit": "K", "label": r"$T\ [{\rm K}]$", "low": 1000.0, "high": 2000.0},
]


def description(task="hotjupiter", noise_ppm=20.0, flavour="taurex3"):
    return {
        "task": task,
        "simulator": {"kind": "transmission", "flavour": flavour, "opacity_source": "embedded band model"},
        "wavelength_um": "0123456789ab",
        "data_seed": 0,
        "noise": {"kind": "constant", "noise_ppm": noise_ppm},
        "n_test_max": 10_000,
    }


def header(method, task, task_id, *, seed, budget, n_test, parameters, settings, task_description, n_draws):
    config = {
        "task": {"name": task},
        "method": {"name": method, **(settings or {})},
        "simulator": "auto",
        "budget": budget,
        "n_test": n_test,
        "n_draws": n_draws,
        "limits": {"steps": None, "seconds": None},
    }
    return {
        "metrics_version": METRICS_VERSION,
        "task": task,
        "task_id": task_id,
        "task_description": task_description or description(task),
        "parameters": [dict(parameter) for parameter in parameters],
        "method": method,
        "capabilities": ["LOG_PROB", "AMORTISED"],
        "track": "amortised",
        "seed": seed,
        "budget": budget,
        "n_train": budget - budget // 10,
        "n_validation": budget // 10,
        "n_test": n_test,
        "n_draws": n_draws,
        "config": config,
        "config_hash": "fedcba987654",
        "versions": {"exobench": "0.1.0", "commit": "a" * 40, "modified": False, "python": "3.11", "torch": "2.13.0"},
        "hardware": {"processor": "some processor", "cores": 2, "device": "cpu", "accelerator": None},
    }


def truths(n_obs, n_param, task_id):
    """Unit-cube truths of a task: the first rows do not depend on n_obs."""
    seed = [ord(letter) for letter in task_id]
    return np.random.default_rng(seed).random((10_000, n_param))[:n_obs]


def make_inputs(method, task_id, parameters, n_test, n_draws, width, claimed, seed, density):
    """The prior draws from the box; others from Gaussians of sd ``claimed * width`` about estimates of sd ``width``."""
    low, high = (np.array([p[end] for p in parameters]) for end in ("low", "high"))
    u_true = truths(n_test, len(parameters), task_id)
    rng = np.random.default_rng([seed, *(ord(letter) for letter in method)])
    scale = width * (1.0 + np.arange(len(parameters)))
    log_prior = np.full(n_test, -np.log(high - low).sum())
    if method == "prior":
        u, log_prob = rng.random((n_test, n_draws, len(parameters))), log_prior
    else:
        estimate = u_true + scale * rng.normal(size=u_true.shape)
        u = estimate[:, None] + claimed * scale * rng.normal(size=(n_test, n_draws, len(parameters)))
        sd = claimed * scale
        log_prob = log_prior - 0.5 * np.sum(((u_true - estimate) / sd) ** 2 + np.log(2 * np.pi * sd**2), axis=1)
    return ScoringInputs(
        tuple(p["name"] for p in parameters),
        tuple(p["unit"] for p in parameters),
        low,
        high,
        low + u_true * (high - low),
        low + u * (high - low),
        log_prob_true=log_prob if density else None,
        prior_log_prob=log_prior,
    )


def make_record(
    runs,
    method="gauss",
    *,
    task="hotjupiter",
    task_id="aaaaaaaaaaaa",
    n_test=100,
    seed=0,
    budget=10_000,
    width=0.05,
    claimed=1.0,
    density=True,
    n_draws=60,
    parameters=PARAMETERS,
    settings=None,
    task_description=None,
    folder=None,
    figures=(),
    change=None,
):
    """Writes what a finished run writes; ``change`` edits the content last."""
    head = header(
        method,
        task,
        task_id,
        seed=seed,
        budget=budget,
        n_test=n_test,
        parameters=parameters,
        settings=settings,
        task_description=task_description,
        n_draws=n_draws,
    )
    place = runs / (
        folder or f"{task}/{method.replace('/', '_')}/{task_id[:4]}{budget}{n_test}{len(settings or {})}/{seed}"
    )
    place.mkdir(parents=True)
    inputs = make_inputs(method, task_id, parameters, n_test, n_draws, width, claimed, seed, density)
    table = per_spectrum(inputs, np.random.default_rng(seed))
    write_arrays(place / SCORES, table, {"task_id": task_id})
    for name, payload in figures:
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_bytes(payload)
    content = {
        **head,
        "status": "ok",
        "cost": {
            "simulations": 0 if method == "prior" else budget,
            "likelihood_calls": 0,
            "training_seconds": 0.01 if method == "prior" else 312.5,
            "sampling_seconds": 0.02 * n_test,
            "seconds_per_posterior": 0.02,
            "n_parameters": 0 if method == "prior" else 123_456,
            "peak_memory_bytes": 2**30,
        },
        "scores": [score.to_dict() for score in aggregate(table, inputs.names, inputs.low, inputs.high)],
        "calibration": asdict(calibration_verdict(table["rank"], inputs.names)),
        "n_draws_returned": n_draws,
        "diagnostics": {},
        "figures": [name for name, _ in figures],
    }
    if change is not None:
        change(content)
    return write_record(place, content)


def make_skipped(runs, method="picky", *, status="skipped", reason="needs a likelihood", task="hotjupiter", **options):
    """Writes what a run that did not score writes."""
    task_id = options.get("task_id", "aaaaaaaaaaaa")
    head = header(
        method,
        task,
        task_id,
        seed=0,
        budget=1000,
        n_test=100,
        parameters=PARAMETERS,
        settings=None,
        task_description=options.get("task_description"),
        n_draws=60,
    )
    place = runs / task / method / f"{task_id[:4]}skip" / "0"
    place.mkdir(parents=True)
    return write_record(place, {**head, "status": status, "reason": reason})
