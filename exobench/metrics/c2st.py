"""The classifier two-sample test: can a classifier tell a method's draws from the reference's?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from exobench.errors import ExobenchError, unknown_name
from exobench.metrics.resampling import count_draws, draw_weights, equal_draws

Array = NDArray[np.float64]
Classifier = Literal["hgb", "mlp"]

CLASSIFIERS: tuple[Classifier, ...] = ("hgb", "mlp")
N_C2ST = 5000
"""Draws of each side."""
N_FOLDS = 5
MIN_UNIQUE_SHARE = 0.1
"""Smallest share of distinct draws: repeats are held out together, so a point mass would look like the reference."""


class _Fittable(Protocol):
    def fit(self, features: Array, label: Array) -> Any: ...

    def predict(self, features: Array) -> Array: ...


@dataclass(frozen=True)
class C2ST:
    """Result of one classifier two-sample test.

    Attributes:
        accuracy: share of held-out draws whose side the classifier names; 0.5 for equal distributions, 1 for disjoint.
        standard_error: binomial, of held-out draws taken as independent; draws that repeat count once.
        n_draws: draws of each side.
        n_unique: distinct draws of the method's side, below n_draws where weighted draws were resampled.
    """

    accuracy: float
    standard_error: float
    n_draws: int
    n_unique: int


def c2st(
    reference: Array,
    theta: Array,
    *,
    log_weight: Array | None = None,
    reference_log_weight: Array | None = None,
    n_draws: int = N_C2ST,
    classifier: Classifier = "hgb",
    seed: int = 0,
) -> C2ST:
    """Accuracy of a classifier, cross-validated in five folds, that tells draws from reference draws.

    Each side gives equally many draws: without replacement from equal weights, by systematic resampling from unequal
    ones. Draws that repeat lie in one fold, so that a classifier cannot know a held-out draw by heart. Folds hold
    equal shares of both sides. ``"hgb"`` is gradient boosting over histograms with early stopping, fed the parameters
    standardised by the reference and the reference's principal components, since trees see little across narrow
    diagonals. ``"mlp"`` has the settings of sbibm (two layers of ten units a parameter, Adam, up to 10,000 epochs) on
    standardised parameters, for comparison with published values.

    What it cannot see: differences below about 2/sqrt(n_draws) in accuracy, anything beyond the classifier's power
    (the result is a lower bound on the best classifier's), and whether a difference matters. Read it beside its floor,
    reference against reference.

    Args:
        reference: reference draws, (draw, param).
        theta: draws of a method for the same spectrum, (draw, param).
        log_weight: natural log of their weights, (draw,); None for equal weights.
        reference_log_weight: of the reference.
        n_draws: draws of each side; fewer where a side has fewer.
        classifier: ``"hgb"`` or ``"mlp"``.
        seed: of the choice of draws, the folds and the classifier.

    Returns:
        The accuracy. Sources: Lopez-Paz & Oquab 2017, arXiv:1610.06545; Lueckmann et al. 2021, arXiv:2101.04653.

    Raises:
        ExobenchError: if shapes do not fit, a draw that counts is not finite, there are fewer than ten draws, or fewer
            than a tenth of those drawn are distinct.
    """
    if classifier not in CLASSIFIERS:
        raise unknown_name("classifier", classifier, CLASSIFIERS)
    _check_pair(reference, theta)
    rng = np.random.default_rng(seed)
    for draws, logs, what in ((reference, reference_log_weight, "reference draws"), (theta, log_weight, "draws")):
        draw_weights(draws, logs, what)
    n = min(n_draws, count_draws(reference, reference_log_weight), count_draws(theta, log_weight))
    if n < 2 * N_FOLDS:
        raise ExobenchError(f"c2st needs {2 * N_FOLDS} draws of each side at least; got {n}.")
    sides = (
        equal_draws(reference, reference_log_weight, n, rng, "reference draws"),
        equal_draws(theta, log_weight, n, rng, "draws"),
    )
    features = _features(*sides, components=classifier == "hgb")
    label = np.repeat([0.0, 1.0], n)
    group, n_unique = _groups(np.concatenate(sides), n)
    if n_unique < MIN_UNIQUE_SHARE * n:
        raise ExobenchError(f"c2st is undefined: {n} draws hold {n_unique} distinct ones, too few to hold some out.")
    fold = _folds(group, label, rng)
    hits = _held_out_hits(features, label, fold, classifier, seed)
    accuracy = float(hits.mean())
    n_effective = float(n + n_unique)
    return C2ST(accuracy, float(np.sqrt(max(accuracy * (1.0 - accuracy), 1e-12) / n_effective)), n, n_unique)


def _check_pair(reference: Array, theta: Array) -> None:
    if reference.ndim != 2 or theta.ndim != 2 or reference.shape[1] != theta.shape[1]:
        raise ExobenchError(
            f"c2st compares draws (draw, param) of equal parameters; got {reference.shape} and {theta.shape}."
        )


def _features(reference: Array, theta: Array, *, components: bool) -> Array:
    """Both sides standardised by the reference; with its principal components of unit variance beside."""
    centre, spread = reference.mean(axis=0), reference.std(axis=0)
    spread = np.where(spread > 1e-12 * (1.0 + np.abs(centre)), spread, 1.0)
    standard = (np.concatenate([reference, theta]) - centre) / spread
    if not components or standard.shape[1] == 1:
        return standard
    variance, axes = np.linalg.eigh(np.cov(standard[: len(reference)], rowvar=False))
    principal = standard @ axes / np.sqrt(np.maximum(variance, 1e-12))
    return np.concatenate([standard, principal], axis=1)


def _groups(draws: Array, n: int) -> tuple[NDArray[np.intp], int]:
    """Number of the distinct value of each draw, and how many distinct values the second side has."""
    _, group = np.unique(draws, axis=0, return_inverse=True)
    group = group.reshape(-1)
    return group, len(np.unique(group[n:]))


def _folds(group: NDArray[np.intp], label: Array, rng: np.random.Generator) -> NDArray[np.intp]:
    """Fold of each draw: equal draws share one, and each side is spread evenly."""
    first = np.full(group.max() + 1, -1)
    first[group[::-1]] = np.arange(len(group))[::-1]
    fold_of_group = np.empty(len(first), dtype=np.intp)
    for side in (0.0, 1.0):
        members = np.flatnonzero(label[first] == side)
        fold_of_group[rng.permutation(members)] = np.arange(len(members)) % N_FOLDS
    return fold_of_group[group]


def _held_out_hits(
    features: Array, label: Array, fold: NDArray[np.intp], classifier: Classifier, seed: int
) -> NDArray[np.bool_]:
    from threadpoolctl import threadpool_limits

    hits = np.zeros(len(label), dtype=bool)
    # Fits take a tenth of a second: more threads than one mostly wait for each other.
    with threadpool_limits(1):
        for held_out in range(N_FOLDS):
            test = fold == held_out
            model = _build(classifier, features.shape[1], seed * N_FOLDS + held_out)
            model.fit(features[~test], label[~test])
            hits[test] = model.predict(features[test]) == label[test]
    return hits


def _build(classifier: Classifier, n_features: int, seed: int) -> _Fittable:
    # Imported here: scikit-learn takes a second, and no other score needs it.
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.neural_network import MLPClassifier

    seed %= 2**32
    model: _Fittable
    if classifier == "hgb":
        # scikit-learn's defaults (31 leaves, rate 0.1, 100 rounds) overfit 8,000 draws: less power on every defect.
        model = HistGradientBoostingClassifier(
            learning_rate=0.05, max_leaf_nodes=15, max_iter=300, early_stopping=True, random_state=seed
        )
    else:
        width = 10 * n_features
        model = MLPClassifier(
            activation="relu", hidden_layer_sizes=(width, width), solver="adam", max_iter=10_000, random_state=seed
        )
    return model
