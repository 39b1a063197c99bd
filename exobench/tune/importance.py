"""How much each setting of a search mattered, as Optuna tells it from the finished trials."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from exobench.tune.history import History, Trial
from exobench.tune.study import load_optuna

FEWEST = 10
"""Complete trials below which shares would be noise."""
_N_FOREST = 3


@dataclass(frozen=True)
class Importance:
    """One setting's share of the variance of an objective over the search space.

    Attributes:
        setting: its key.
        share: mean over forests; all settings together have one.
        spread: standard deviation over forests of another seed, which is no error of the trials themselves.
        decrease: share by the mean decrease in impurity, a cruder measure.
    """

    setting: str
    share: float
    spread: float
    decrease: float


def importance(history: History, objective: int = 0, *, better_half: bool = False) -> list[Importance] | None:
    """Importance of the settings, the largest first.

    Functional analysis of variance of a random forest (Hutter, Hoos & Leyton-Brown 2014), and the forest's own mean
    decrease in impurity. Trials that ended early have no value and are not in it.

    Args:
        history: of the search.
        objective: 0, or 1 for the cost.
        better_half: of the better half of the trials alone, by this objective: what matters near the best.

    Returns:
        One entry a setting; None where there are fewer than ``FEWEST`` trials, or all values are equal.
    """
    trials = sorted(history.complete, key=lambda trial: history.sign(objective) * trial.values[objective])
    if better_half:
        trials = trials[: -(-len(trials) // 2)]
    if len(trials) < FEWEST or np.ptp([trial.values[objective] for trial in trials]) == 0.0:
        return None
    optuna = load_optuna()
    study = _study(optuna, history.space, trials, objective)
    evaluators = optuna.importance
    shares = [_shares(study, evaluators.FanovaImportanceEvaluator(seed=seed)) for seed in range(_N_FOREST)]
    decrease = _shares(study, evaluators.MeanDecreaseImpurityImportanceEvaluator(seed=0))
    found = [
        Importance(
            setting,
            float(np.mean([share[setting] for share in shares])),
            float(np.std([share[setting] for share in shares], ddof=1)),
            float(decrease[setting]),
        )
        for setting in history.space
    ]
    return sorted(found, key=lambda entry: -entry.share)


def _shares(study: Any, evaluator: Any) -> Mapping[str, float]:
    found: Mapping[str, float] = load_optuna().importance.get_param_importances(study, evaluator=evaluator)
    return found


def _study(optuna: Any, space: Mapping[str, Sequence[Any]], trials: Sequence[Trial], objective: int) -> Any:
    """A study in memory of one objective, so that the search's own file is not touched."""
    distributions = {key: _distribution(optuna.distributions, *entry) for key, entry in space.items()}
    study = optuna.create_study()
    for trial in trials:
        study.add_trial(
            optuna.trial.create_trial(
                params=dict(trial.params), distributions=distributions, value=trial.values[objective]
            )
        )
    return study


def _distribution(kinds: Any, kind: str, low: float, high: float, log: bool, values: Sequence[Any]) -> Any:
    if kind == "choice":
        return kinds.CategoricalDistribution(values)
    if kind == "whole":
        return kinds.IntDistribution(int(low), int(high), log=log)
    return kinds.FloatDistribution(low, high, log=log)
