"""What the scores are computed from, checked once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from exobench.errors import ExobenchError

Array = NDArray[np.float64]

BOX_TOLERANCE = 1e-6
"""Fraction of the range by which a value may pass the box's edge: what float32 storage rounds."""


_OPTIONAL = (
    "log_weight",
    "log_prob_true",
    "prior_log_prob",
    "log_prob",
    "log_likelihood_true",
    "log_likelihood",
    "log_likelihood_peak",
    "n_bin",
    "reference_point",
)


@dataclass(frozen=True, eq=False)
class ScoringInputs:
    """Truths and draws of n_obs test spectra.

    A draw does not exist where its log_weight is -inf: a method with fewer draws for some spectra pads with that.
    Draws that are not finite are left out of every score and counted in ``nan_draw_share``.

    What is costly to compute may be given for a part: for the first spectra alone, as many as ``part_draw`` has rows,
    and for those of their draws that it names. The other spectra then have no rank by it, and scores that rest on it
    say how many have.

    Attributes:
        names: parameter names, in the column order of theta.
        units: their units, in the same order.
        low: lower ends of the prior's box, (param,).
        high: upper ends, (param,).
        theta_true: truths, (obs, param), inside the box.
        theta: posterior draws, (obs, draw, param), float32 or float64.
        log_weight: natural log of importance weights, (obs, draw), not normalised; None for equal weights.
        log_prob_true: natural log of q(theta_true | x), (obs,), density over theta as declared; None without a density.
        prior_log_prob: natural log of the prior's density at theta_true, (obs,).
        log_prob: natural log of q(theta | x) of the draws themselves, (part, draw); with log_prob_true it gives the
            calibration of the joint density.
        log_likelihood_true: exact log-likelihood of theta_true, (part,), where there is one.
        log_likelihood: that of the draws, (part, draw).
        log_likelihood_peak: what a perfect fit would have, -sum(log sigma) - n_bin log(2 pi)/2, (part,); see
            `exobench.metrics.predictive.log_likelihood_peak`.
        n_bin: bins that are not missing, (part,).
        part_draw: which draws log_prob and log_likelihood are of, (part, some), -1 for none; the draws named count
            equally, so weighted ones are chosen by their weights: see `exobench.metrics.draws.spread_draws`. None for
            all draws.
        reference_point: centre of TARP's balls, a function of the spectrum, (obs, param); see
            `exobench.metrics.tarp.reference_points`.

    Raises:
        ExobenchError: if shapes differ, the box is not one, a truth is not finite or lies outside the box, or a
            weight is NaN or +inf.
    """

    names: tuple[str, ...]
    units: tuple[str, ...]
    low: Array
    high: Array
    theta_true: Array
    theta: NDArray[np.floating[Any]]
    log_weight: Array | None = None
    log_prob_true: Array | None = None
    prior_log_prob: Array | None = None
    log_prob: Array | None = None
    log_likelihood_true: Array | None = None
    log_likelihood: Array | None = None
    log_likelihood_peak: Array | None = None
    n_bin: Array | None = None
    reference_point: Array | None = None
    part_draw: NDArray[np.int64] | None = None

    def __post_init__(self) -> None:
        for name in ("low", "high", "theta_true"):
            object.__setattr__(self, name, np.asarray(getattr(self, name), dtype=np.float64))
        for name in _OPTIONAL:
            if getattr(self, name) is not None:
                object.__setattr__(self, name, np.asarray(getattr(self, name), dtype=np.float64))
        theta = np.asarray(self.theta)
        if not np.issubdtype(theta.dtype, np.floating):
            theta = theta.astype(np.float64)
        object.__setattr__(self, "theta", theta)
        self._check_shapes()
        check_box(self.names, self.low, self.high)
        self._check_truths()
        self._check_weights()

    @property
    def n_obs(self) -> int:
        """Number of spectra."""
        return int(self.theta.shape[0])

    @property
    def n_draws(self) -> int:
        """Draws stored for each spectrum, padding included."""
        return int(self.theta.shape[1])

    @property
    def n_part(self) -> int:
        """Leading spectra for which what depends on ``part_draw`` is given; all without it."""
        return self.n_obs if self.part_draw is None else len(self.part_draw)

    def _check_shapes(self) -> None:
        if self.theta.ndim != 3 or 0 in self.theta.shape:
            raise ExobenchError(f"theta must have shape (obs, draw, param), none of them zero; got {self.theta.shape}.")
        n_obs, n_draws, n_param = self.theta.shape
        self._check_part_draw()
        part = (self.n_part,)
        part_draws = (*part, n_draws if self.part_draw is None else self.part_draw.shape[1])
        wanted: dict[str, tuple[int, ...]] = {
            "low": (n_param,),
            "high": (n_param,),
            "theta_true": (n_obs, n_param),
            "log_weight": (n_obs, n_draws),
            "log_prob_true": (n_obs,),
            "prior_log_prob": (n_obs,),
            "log_prob": part_draws,
            "log_likelihood_true": part,
            "log_likelihood": part_draws,
            "log_likelihood_peak": part,
            "n_bin": part,
            "reference_point": (n_obs, n_param),
        }
        for name, shape in wanted.items():
            value = getattr(self, name)
            if value is not None and value.shape != shape:
                raise ExobenchError(f"{name} has shape {value.shape}; theta {self.theta.shape} asks for {shape}.")
        for name in ("names", "units"):
            if len(getattr(self, name)) != n_param:
                raise ExobenchError(f"{name} has {len(getattr(self, name))} entries; theta has {n_param} parameters.")

    def _check_truths(self) -> None:
        slack = BOX_TOLERANCE * (self.high - self.low)
        inside = (self.theta_true >= self.low - slack) & (self.theta_true <= self.high + slack)
        if not inside.all():
            row, column = (int(index) for index in np.argwhere(~inside)[0])
            raise ExobenchError(
                f"theta_true of {self.names[column]}, spectrum {row}, is {self.theta_true[row, column]:g}; "
                f"it must lie in the prior's [{self.low[column]:g}, {self.high[column]:g}]."
            )

    def _check_weights(self) -> None:
        if self.log_weight is None:
            return
        bad = np.isnan(self.log_weight) | np.isposinf(self.log_weight)
        if bad.any():
            row, draw = (int(index) for index in np.argwhere(bad)[0])
            raise ExobenchError(
                f"log_weight of spectrum {row}, draw {draw}, is {self.log_weight[row, draw]}; "
                "it must be finite, or -inf for a draw that does not count."
            )

    def _check_part_draw(self) -> None:
        if self.part_draw is None:
            return
        shape, whole = np.shape(self.part_draw), np.issubdtype(self.part_draw.dtype, np.integer)
        if not whole or len(shape) != 2 or 0 in shape or shape[0] > self.n_obs:
            raise ExobenchError(
                f"part_draw must be whole numbers, (part, some) with at most {self.n_obs} rows; "
                f"got {self.part_draw.dtype} of shape {shape}."
            )
        if not (self.part_draw.min() >= -1 and self.part_draw.max() < self.n_draws):
            raise ExobenchError(f"part_draw names draws 0 to {self.n_draws - 1}, or -1 for none.")


def check_box(names: tuple[str, ...], low: Array, high: Array) -> None:
    """Checks the prior's box.

    Raises:
        ExobenchError: if an end is not finite or a low end is not below its high end.
    """
    for name, lower, upper in zip(names, low, high, strict=True):
        if not (np.isfinite(lower) and np.isfinite(upper) and lower < upper):
            raise ExobenchError(
                f"the prior's range of {name} is [{lower}, {upper}]; both ends must be finite, low < high."
            )
