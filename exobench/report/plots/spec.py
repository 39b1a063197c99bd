"""What a figure of the page is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from exobench.report.cache import Cache

Shown = TypeVar("Shown", contravariant=True)
"""What a figure is drawn of: a `Section` or an `Entry`."""

Figure = dict[str, Any]
"""``data`` and ``layout`` of plotly.js, of plain lists and numbers that JSON can hold."""

Caches = Mapping[str, Cache]
"""The cache of each entry, by its anchor."""


@dataclass(frozen=True)
class FigureSpec(Generic[Shown]):
    """One figure that a page may show.

    Attributes:
        name: for anchors and names of files.
        title: heading, since the figure itself has none.
        for_astronomer: one sentence on what it says and how to read it.
        for_ml: the same for a machine-learning reader.
        needs: what records it takes, for the list of figures that are not there.
        draw: the figure of a section (or entry), given the caches of its entries; None where its records do not hold
            what the figure shows.
        describe: its content in words, for those who cannot see it; called with the same arguments and only where
            there is a figure.
    """

    name: str
    title: str
    for_astronomer: str
    for_ml: str
    needs: str
    draw: Callable[[Shown, Caches], Figure | None]
    describe: Callable[[Shown, Caches], str]
