"""Figures of the page as plain plotly.js dictionaries: one catalogue for tasks, one for runs."""

from __future__ import annotations

from exobench.report.plots.catalogue import RUN_FIGURES, TASK_FIGURES
from exobench.report.plots.palette import DARK, LIGHT
from exobench.report.plots.spec import Caches, Figure, FigureSpec

__all__ = ["DARK", "LIGHT", "RUN_FIGURES", "TASK_FIGURES", "Caches", "Figure", "FigureSpec"]
