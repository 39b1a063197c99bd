"""Figures as the pages embed them: plotly's JSON with texts, kept in a file until a record changes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from markupsafe import Markup

from exobench.report.cache import Cache, write_text
from exobench.report.plots import Caches, FigureSpec
from exobench.report.wording import BROKEN

_FILE = "figures.json"
_MANY_PANELS = 10
_UNSAFE = {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"}


@dataclass(frozen=True)
class Drawn:
    """One figure of a page.

    Attributes:
        name: for anchors and names of files.
        title: its heading.
        for_astronomer: how to read it.
        for_ml: the same for a machine-learning reader.
        words: its content in words.
        height_px: of the drawing.
        figure: plotly's data and layout, as JSON.
    """

    name: str
    title: str
    for_astronomer: str
    for_ml: str
    words: str
    height_px: int
    figure: str

    @property
    def markup(self) -> Markup:
        """The JSON, safe inside a script element whatever the names in it are."""
        return Markup(self.figure)

    @property
    def is_dense(self) -> bool:
        """Whether its cells or panels are too many for the width of a phone, where it then scrolls sideways."""
        return '"heatmap"' in self.figure or f'"xaxis{_MANY_PANELS}"' in self.figure


@dataclass(frozen=True)
class Drawing:
    """The figures of a page, and why some are missing."""

    figures: tuple[Drawn, ...] = ()
    notes: tuple[str, ...] = ()


def drawing(specs: Sequence[FigureSpec[Any]], shown: Any, caches: Caches, own: Cache) -> Drawing:
    """The figures of a section or a run, drawn where the cache of its own has none that are up to date."""
    path = own.folder / _FILE
    if "figures" in own.values and path.is_file():
        content = json.loads(path.read_text(encoding="utf-8"))
        return Drawing(tuple(Drawn(**figure) for figure in content), tuple(own.values["figures"]))
    made, notes = _draw(specs, shown, caches)
    own.folder.mkdir(parents=True, exist_ok=True)
    write_text(path, json.dumps([asdict(figure) for figure in made]))
    own.values.pop("figures", None)
    own.get("figures", lambda: notes)
    return Drawing(tuple(made), tuple(notes))


def safe_json(content: Any) -> str:
    """JSON that ends no script element."""
    text = json.dumps(content, separators=(",", ":"), allow_nan=False)
    for letter, escaped in _UNSAFE.items():
        text = text.replace(letter, escaped)
    return text


def _draw(specs: Sequence[FigureSpec[Any]], shown: Any, caches: Caches) -> tuple[list[Drawn], list[str]]:
    made, notes = [], []
    for spec in specs:
        try:
            figure = spec.draw(shown, caches)
            if figure is None:
                continue
            words, text = spec.describe(shown, caches), safe_json(figure)
        except BROKEN as error:
            # One figure that cannot be drawn must not cost the page.
            notes.append(f"{spec.title}: the figure could not be drawn ({' '.join(str(error).split())[:200]}).")
            continue
        height = int(figure["layout"].get("height", 420))
        made.append(Drawn(spec.name, spec.title, spec.for_astronomer, spec.for_ml, words, height, text))
    return made, notes
