"""Figures of matplotlib as files, without pyplot's global state."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

_STYLE: Any = {
    "svg.hashsalt": "exobench",
    "font.family": "DejaVu Sans",
    "font.size": 9.0,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.7,
    "legend.frameon": False,
    "legend.fontsize": 8.0,
}


def save(figure: Figure, stem: Path) -> None:
    """Writes ``stem``.png and ``stem``.svg; equal figures give equal bytes."""
    stem.parent.mkdir(parents=True, exist_ok=True)
    with mpl.rc_context(_STYLE):
        # The layout is found once: each further search would cost as much as drawing.
        layout = figure.get_layout_engine()
        if layout is not None:
            layout.execute(figure)
            figure.set_layout_engine("none")
        for kind, metadata in (("png", {"Software": None}), ("svg", {"Date": None})):
            path = stem.with_suffix(f".{kind}")
            part = path.with_name(f"{path.name}.{os.getpid()}.part")
            figure.savefig(part, format=kind, dpi="figure", metadata=metadata)
            os.replace(part, path)
