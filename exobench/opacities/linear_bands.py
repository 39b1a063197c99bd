"""Bands of a linear molecule: lower vibrational states, P, Q and R branches, as a sum over rotational states.

The lower states are labelled by two numbers: ``bend``, the polyad number (2 v1 + v2 of CO2, 0 for CO), and
``stretch`` (v3 of CO2, v of CO). Each *family* of bands is one change of quantum numbers. It starts from every
lower state, with a strength that grows with the lower quanta, a centre that moves with them (anharmonicity) and the
Boltzmann weight of the state; the hot-band continuum of the molecule follows from this sum alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

SECOND_RADIATION_CONSTANT_CM_K = 1.438776877
GRID_STEP_CM = 1.0
GRID_END_CM = 34000.0


@dataclass(frozen=True)
class Family:
    """One change of the vibrational quantum numbers.

    Attributes:
        d_bend: change of the polyad number.
        d_stretch: change of the stretch number.
        centre_cm: band origin from the lowest state that the family can start from.
        log10_strength: of the band of the lowest lower state, cm/molecule, that state fully populated.
        shift_bend_cm: change of the origin for each quantum of the lower polyad number.
        shift_stretch_cm: the same for each quantum of the lower stretch.
        bend_power: the strength grows as (1 + extra bend quanta / 2) to this power.
        spread_cm: standard deviation that the components of a polyad add for each bend quantum's square root.
        rotation_change_cm: B' - B'' for the family.
        herman_wallis: linear coefficient of the intensity in m.
        q_branch: share of the strength in the Q branch (0 for parallel bands, 1/2 for perpendicular ones).
    """

    d_bend: int
    d_stretch: int
    centre_cm: float
    log10_strength: float
    shift_bend_cm: float = 0.0
    shift_stretch_cm: float = 0.0
    bend_power: float = 0.0
    spread_cm: float = 0.0
    rotation_change_cm: float = 0.0
    herman_wallis: float = 0.0
    q_branch: float = 0.0


@dataclass(frozen=True)
class LinearMolecule:
    """Spectroscopic constants of a linear molecule.

    Attributes:
        rotation_cm: B of the ground state.
        distortion_cm: centrifugal constant D.
        bend_cm: energy of one quantum of the polyad number (0: the molecule does not bend).
        stretch_cm: energy of the first quantum of the stretch.
        stretch_anharmonicity_cm: ``x`` in E = stretch v - x v (v - 1).
        max_bend: highest polyad number.
        max_stretch: highest stretch number.
        max_rotation: highest J.
        rotation_step: step of J, below one where lines stand further apart than the grid: the model keeps contours.
    """

    rotation_cm: float
    distortion_cm: float
    bend_cm: float
    stretch_cm: float
    stretch_anharmonicity_cm: float
    max_bend: int
    max_stretch: int
    max_rotation: int
    rotation_step: float

    @classmethod
    def from_mapping(cls, constants: Mapping[str, Any]) -> LinearMolecule:
        """Builds the molecule from the `molecule` entry of the coefficient file."""
        return cls(**constants)

    def lower_states(self) -> tuple[Array, Array, Array, Array]:
        """Polyad number, stretch number, degeneracy and energy (cm-1) of every lower state, flat."""
        bend, stretch = (
            a.ravel().astype(float)
            for a in np.meshgrid(np.arange(self.max_bend + 1), np.arange(self.max_stretch + 1), indexing="ij")
        )
        energy = bend * self.bend_cm + stretch * self.stretch_cm
        energy = energy - self.stretch_anharmonicity_cm * stretch * (stretch - 1)
        return bend, stretch, polyad_degeneracy(bend), energy

    def partition_function(self, temperature_k: Array) -> tuple[Array, Array]:
        """Vibrational and rotational sums over states, each of shape (n_temperature,)."""
        _, _, weight, energy = self.lower_states()
        beta = SECOND_RADIATION_CONSTANT_CM_K / temperature_k
        vibration = (weight[:, None] * np.exp(-energy[:, None] * beta)).sum(axis=0)
        j = self.rotational_states()
        rotational = (2 * j + 1)[:, None] * np.exp(-self.rotational_energy(j)[:, None] * beta)
        return vibration, rotational.sum(axis=0) * self.rotation_step

    def rotational_states(self) -> Array:
        """J from zero to the highest, in steps of `rotation_step`."""
        return np.arange(0.0, self.max_rotation + 1, self.rotation_step)

    def rotational_energy(self, j: Array) -> Array:
        """Energy of J in the ground state, cm-1."""
        square = j * (j + 1)
        return self.rotation_cm * square - self.distortion_cm * square**2


def polyad_degeneracy(bend: Array) -> Array:
    """Number of states (v1, v2, l) with 2 v1 + v2 = bend: sum of v2 + 1 over v2 = bend, bend - 2, ..."""
    half = np.floor(bend / 2)
    return (half + 1) * (bend - half + 1)


def binned_integral(
    molecule: LinearMolecule, families: list[Family], temperature_k: Array, low_cm: Array, high_cm: Array
) -> Array:
    """Integrates the families over wavenumber intervals.

    Args:
        molecule: the constants.
        families: the bands.
        temperature_k: shape (n_temperature,).
        low_cm: lower ends of the intervals in cm-1, shape (n_bin,).
        high_cm: upper ends, shape (n_bin,).

    Returns:
        cm/molecule, shape (n_temperature, n_bin).
    """
    centres = GRID_STEP_CM * (np.arange(int(GRID_END_CM / GRID_STEP_CM)) + 0.5)
    beta = SECOND_RADIATION_CONSTANT_CM_K / temperature_k[:, None]
    density = np.zeros((len(temperature_k), len(centres)))
    for family in families:
        position, strength = _contour(molecule, family, temperature_k)
        reference = family.centre_cm or 1.0  # pure rotation has no origin: its strength is given for 1 cm-1
        density += _deposit(position, strength, len(centres)) * (centres / reference)
    density *= -np.expm1(-centres * beta)  # stimulated emission
    cumulative = np.concatenate([np.zeros((len(density), 1)), np.cumsum(density, axis=1)], axis=1)
    nodes = GRID_STEP_CM * np.arange(cumulative.shape[1])
    return np.stack([np.interp(high_cm, nodes, row) - np.interp(low_cm, nodes, row) for row in cumulative])


def _deposit(position: Array, strength: Array, n_cell: int) -> Array:
    """Adds components (n,) with strengths (n_temperature, n) to the grid; those off the grid are lost."""
    cell = (position / GRID_STEP_CM).astype(np.int64)
    inside = (position > 0) & (cell < n_cell)
    cell = cell[inside]
    return np.stack([np.bincount(cell, weights=row[inside], minlength=n_cell) for row in strength])


def _contour(molecule: LinearMolecule, family: Family, temperature_k: Array) -> tuple[Array, Array]:
    """Positions (n,) in cm-1 and strengths (n_temperature, n) in cm/molecule of all components of a family."""
    bend, stretch, weight, energy = molecule.lower_states()
    extra_bend = bend - max(0, -family.d_bend)
    keep = (extra_bend >= 0) & (stretch + family.d_stretch >= 0)
    bend, stretch, weight, energy, extra_bend = (a[keep] for a in (bend, stretch, weight, energy, extra_bend))
    origin = family.centre_cm + family.shift_bend_cm * extra_bend + family.shift_stretch_cm * stretch
    growth = (1 + extra_bend / 2) ** family.bend_power * _binomial(stretch + family.d_stretch, family.d_stretch)
    nodes, node_weight = _spread(family.spread_cm)
    bands = (origin[:, None] + np.sqrt(extra_bend)[:, None] * nodes).ravel()
    j = molecule.rotational_states()
    offset, share = _branches(molecule, family, j)

    beta = SECOND_RADIATION_CONSTANT_CM_K / temperature_k[:, None]
    q_vibration, q_rotation = (q[:, None] for q in molecule.partition_function(temperature_k))
    vibration = 10.0**family.log10_strength * weight * growth * np.exp(-energy * beta) / q_vibration
    vibration = (vibration[:, :, None] * node_weight).reshape(len(temperature_k), -1)
    rotation = np.exp(-molecule.rotational_energy(j) * beta) / q_rotation * molecule.rotation_step
    rotation = (rotation[:, None, :] * share).reshape(len(temperature_k), -1)
    strength = vibration[:, :, None] * rotation[:, None, :]
    return (bands[:, None] + offset.ravel()).ravel(), strength.reshape(len(temperature_k), -1)


def _branches(molecule: LinearMolecule, family: Family, j: Array) -> tuple[Array, Array]:
    """Offsets from the origin and intensity factors (sum over branches: 2J + 1), each (n_branch, n_j)."""
    change = family.rotation_change_cm
    offsets, shares = [], []
    for m in (-j, j + 1):
        offsets.append((2 * molecule.rotation_cm + change) * m + change * m**2 - 4 * molecule.distortion_cm * m**3)
        shares.append((1 - family.q_branch) * np.abs(m) * np.clip(1 + family.herman_wallis * m, 0.0, None) ** 2)
    if family.q_branch > 0:
        offsets.append(change * j * (j + 1))
        shares.append(family.q_branch * (2 * j + 1))
    return np.stack(offsets), np.stack(shares)


def _spread(width_cm: float) -> tuple[Array, Array]:
    """Five-point Gauss-Hermite rule of a normal distribution with standard deviation `width_cm`."""
    if width_cm == 0.0:
        return np.zeros(1), np.ones(1)
    nodes, weights = np.polynomial.hermite_e.hermegauss(5)
    return width_cm * nodes, weights / weights.sum()


def _binomial(top: Array, bottom: int) -> Array:
    """Harmonic growth of the strength with the lower quanta: ``top`` over ``bottom``."""
    value = np.ones_like(top)
    for i in range(max(bottom, 0)):
        value = value * (top - i) / (i + 1)
    return value
