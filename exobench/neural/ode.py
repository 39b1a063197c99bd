"""Fixed-step solvers of an ordinary differential equation, with and without the change of volume."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Literal

import torch

Solver = Literal["euler", "midpoint", "heun", "rk4"]
Field = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
"""dx/dt of a state (row, d) at a time (); shape (row, d)."""
FieldWithDivergence = Callable[[torch.Tensor, torch.Tensor], tuple[torch.Tensor, torch.Tensor]]
"""dx/dt (row, d) and its divergence (row,)."""


def solve(
    field: Field, state: torch.Tensor, times: torch.Tensor, solver: Solver, *, limit: float | None = None
) -> torch.Tensor:
    """The state at the last of the times, started at the first.

    Args:
        field: dx/dt.
        state: (row, d).
        times: ascending or descending, (n_steps + 1,).
        solver: one step's rule.
        limit: the state is clamped to +- limit after each step; None for no bound.

    Returns:
        (row, d).
    """
    for begin, end in itertools.pairwise(times):
        state = state + _increment(field, state, begin, end, solver)
        if limit is not None:
            state = state.clamp(-limit, limit)
    return state


def solve_with_log_det(
    field: FieldWithDivergence, state: torch.Tensor, times: torch.Tensor, solver: Solver
) -> tuple[torch.Tensor, torch.Tensor]:
    """The state at the last time, and the integral of the divergence: log |d end/d start|, (row,).

    The divergence is one more component of the state (Chen et al. 2018, Neural ordinary differential equations), so
    that it has the solver's order.
    """

    def joint(extended: torch.Tensor, time: torch.Tensor) -> torch.Tensor:
        velocity, divergence = field(extended[:, :-1], time)
        return torch.cat([velocity, divergence[:, None]], dim=1)

    start = torch.cat([state, torch.zeros_like(state[:, :1])], dim=1)
    end = solve(joint, start, times, solver)
    return end[:, :-1], end[:, -1]


def divergence_of(field: Field) -> FieldWithDivergence:
    """The field with its exact divergence, by one backward pass for each component of the state."""

    def both(state: torch.Tensor, time: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        with torch.enable_grad():
            leaf = state.detach().requires_grad_(True)
            velocity = field(leaf, time)
            divergence = torch.zeros_like(velocity[:, 0])
            n_param = state.shape[1]
            for column in range(n_param):
                last = column == n_param - 1
                (row_of_jacobian,) = torch.autograd.grad(velocity[:, column].sum(), leaf, retain_graph=not last)
                divergence = divergence + row_of_jacobian[:, column]
        return velocity.detach(), divergence.detach()

    return both


def _increment(
    field: Field, state: torch.Tensor, begin: torch.Tensor, end: torch.Tensor, solver: Solver
) -> torch.Tensor:
    step, middle = end - begin, 0.5 * (begin + end)
    first = field(state, begin)
    if solver == "euler":
        return step * first
    if solver == "midpoint":
        return step * field(state + 0.5 * step * first, middle)
    if solver == "heun":
        return 0.5 * step * (first + field(state + step * first, end))
    second = field(state + 0.5 * step * first, middle)
    third = field(state + 0.5 * step * second, middle)
    fourth = field(state + step * third, end)
    return step / 6.0 * (first + 2.0 * (second + third) + fourth)
