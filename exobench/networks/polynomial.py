"""Polynomials of third degree in a few components: the terms, and how many of them examples can tell."""

from __future__ import annotations

import math

import torch

_ROWS_A_COEFFICIENT = 10


def n_terms(n_component: int, n_squared: int, n_cubed: int) -> int:
    """Number of coefficients: a constant, the components, their squares and products, and those of three."""
    return 1 + n_component + math.comb(n_squared + 1, 2) + math.comb(n_cubed + 2, 3)


def polynomial_sizes(n_fitted: int, n_component: int, n_squared: int, n_cubed: int) -> tuple[int, int, int]:
    """Sizes no larger than those wanted that n_fitted examples can tell: ten examples a coefficient.

    Args:
        n_fitted: examples in the fit.
        n_component: components wanted.
        n_squared: how many of them multiplied in pairs.
        n_cubed: how many of them multiplied in threes.
    """
    most = int(n_fitted / _ROWS_A_COEFFICIENT) - 1
    n_component = max(min(n_component, most), 0)
    n_squared = min(n_squared, n_component)
    while n_squared and n_terms(n_component, n_squared, 0) > most:
        n_squared -= 1
    n_cubed = min(n_cubed, n_squared)
    while n_cubed and n_terms(n_component, n_squared, n_cubed) > most:
        n_cubed -= 1
    return n_component, n_squared, n_cubed


def index_pairs(n: int) -> torch.Tensor:
    """Two of the first n components with repetition, (pair, 2)."""
    return torch.combinations(torch.arange(n), 2, True)


def index_threes(n: int) -> torch.Tensor:
    """Three of the first n components with repetition, (triple, 3)."""
    return torch.combinations(torch.arange(n), 3, True)


def polynomial_terms(z: torch.Tensor, pairs: torch.Tensor, threes: torch.Tensor) -> torch.Tensor:
    """One, z (n, component), its products of pairs and those of threes: (n, term)."""
    two = z[:, pairs[:, 0]] * z[:, pairs[:, 1]]
    three = z[:, threes[:, 0]] * z[:, threes[:, 1]] * z[:, threes[:, 2]]
    return torch.cat([torch.ones_like(z[:, :1]), z, two, three], dim=1)


def least_squares(terms: torch.Tensor, wanted: torch.Tensor, ridge: float) -> torch.Tensor:
    """Coefficients (term, param) that bring terms (n, term) nearest to what is wanted, (n, param).

    Args:
        terms: of each example.
        wanted: of each example.
        ridge: penalty on squared coefficients, for each example.
    """
    gram = terms.T @ terms
    gram += ridge * len(terms) * torch.eye(len(gram), dtype=gram.dtype)
    return torch.linalg.solve(gram, terms.T @ wanted)
