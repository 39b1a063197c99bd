"""One spectrum from start to end: population, warm-up, chains, draws."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from exobench.sampling.random_walk import cholesky_of
from exobench.sampling.student_mixture import StudentMixture, fit_student_mixture
from exobench_baselines.hmc.chains import Chains
from exobench_baselines.hmc.convergence import Convergence, convergence
from exobench_baselines.hmc.population import annealed_population
from exobench_baselines.hmc.target import Target

Array = NDArray[np.float64]

_FIRST_STEP_SIZE = 0.5
_FEWEST_EFFECTIVE = 400.0
"""Below it R-hat itself is too noisy to go by (Vehtari et al. 2021, Bayesian Analysis 16, 667)."""
_SHORTEST_RUN = 20
"""Iterations of each chain below which R-hat says little."""


@dataclass(frozen=True)
class SamplerSettings:
    """See ``exobench_baselines.hmc.method.HMC`` for what each does."""

    n_chains: int
    n_search: int
    n_particles: int
    n_moves: int
    n_jumps: int
    components: int
    warm_up: int
    target_acceptance: float
    max_leapfrog: int
    ess_share: float
    max_states: float
    r_hat_limit: float


@dataclass(frozen=True)
class SpectrumDraws:
    """Draws of one spectrum.

    Attributes:
        theta: (draw, param), in random order.
        diagnostics: named numbers.
    """

    theta: Array
    diagnostics: dict[str, float]


def sample_spectrum(target: Target, n_draws: int, settings: SamplerSettings, rng: np.random.Generator) -> SpectrumDraws:
    """Draws from the posterior of one spectrum.

    The number of likelihood calls is bounded by the settings; chains that do not converge within it give their draws
    all the same, marked by ``converged`` = 0.
    """
    population = annealed_population(
        target,
        n_search=settings.n_search,
        n_particles=settings.n_particles,
        n_moves=settings.n_moves,
        rng=rng,
    )
    start = population.u[rng.choice(settings.n_particles, settings.n_chains, replace=False)]
    chains = Chains(target, cholesky_of(population.visited), start, _FIRST_STEP_SIZE, settings.max_leapfrog)
    chains.warm_up(settings.warm_up, settings.target_acceptance, rng)
    mixture = fit_student_mixture(population.visited, settings.components, rng) if settings.n_jumps > 0 else None
    run = _run(chains, mixture, n_draws, settings, rng)
    states, verdict = run.states, run.verdict
    theta = target.to_theta(evenly_thinned(states, n_draws, rng))
    fewest = min(_FEWEST_EFFECTIVE, settings.ess_share * n_draws)
    worth = verdict.effective_sample_size >= fewest
    converged = population.arrived and verdict.r_hat <= settings.r_hat_limit and worth
    return SpectrumDraws(
        theta,
        {
            "converged": float(converged),
            "r_hat": verdict.r_hat,
            "effective_sample_size": min(verdict.effective_sample_size, float(n_draws)),
            "effective_share_of_states": verdict.effective_sample_size / (states.shape[0] * states.shape[1]),
            "acceptance": run.acceptance,
            "jump_acceptance": run.jump_acceptance,
            "step_size": chains.step_size,
            "annealing_stages": float(population.n_stages),
            "likelihood_calls": float(target.likelihood_calls + target.gradient_calls),
            "gradient_calls": float(target.gradient_calls),
        },
    )


def evenly_thinned(states: Array, n_draws: int, rng: np.random.Generator) -> Array:
    """n_draws of the states (chain, iteration, param), evenly spaced along every chain, in random order."""
    n_chains, n_iteration = states.shape[:2]
    each = -(-n_draws // n_chains)
    # The last state of each stride, so that neighbours are as far apart as the chains allow.
    rows = (np.arange(1, each + 1) * n_iteration + each - 1) // each - 1
    kept = states[:, rows].reshape(n_chains * each, -1)
    return kept[rng.permutation(len(kept))[:n_draws]]


@dataclass(frozen=True)
class _Run:
    """States (chain, iteration, param) and what can be said of them."""

    states: Array
    acceptance: float
    jump_acceptance: float
    verdict: Convergence


def _run(
    chains: Chains, mixture: StudentMixture | None, n_draws: int, settings: SamplerSettings, rng: np.random.Generator
) -> _Run:
    """Moves the chains until they are worth enough draws, or until they hold as many states as the settings allow."""
    fewest = max(-(-n_draws // settings.n_chains), _SHORTEST_RUN)
    most = max(int(np.ceil(settings.max_states * n_draws / settings.n_chains)), fewest)
    states: list[Array] = []
    acceptance: list[float] = []
    jump_acceptance: list[float] = []
    goal = fewest
    while True:
        while len(states) < goal:
            if mixture is not None:
                jump_acceptance.append(chains.jump(mixture, settings.n_jumps, rng))
            acceptance.append(chains.move(rng))
            states.append(chains.u)
        joined = np.stack(states, axis=1)
        verdict = convergence(joined)
        enough = verdict.effective_sample_size >= settings.ess_share * n_draws
        if len(states) >= most or (enough and verdict.r_hat <= settings.r_hat_limit):
            jumps = float(np.mean(jump_acceptance)) if jump_acceptance else 0.0
            return _Run(joined, float(np.mean(acceptance)), jumps, verdict)
        goal = min(most, _next_goal(len(states), verdict.effective_sample_size, settings.ess_share * n_draws))


def _next_goal(n_iteration: int, effective: float, wanted: float) -> int:
    """How many iterations should be enough, from what they have been worth; at most twice as many."""
    factor = wanted / effective if np.isfinite(effective) and effective > 0.0 else 2.0
    return int(np.ceil(n_iteration * np.clip(1.05 * factor, 1.1, 2.0)))
