"""Names, units and labels as plotly shows them: its own few tags, and nothing that a plugin could slip in."""

from __future__ import annotations

import html
import re
from functools import cache

from exobench.report.entries import Entry, ParameterNote
from exobench.report.wording import count

_GREEK = dict(
    zip(
        ["alpha", "beta", "gamma", "delta", "kappa", "lambda", "rho", "sigma", "tau", "theta"],
        "αβγδκλρστθ",
        strict=True,
    )
)
_COMMANDS = {r"\log": "log", r"\ ": " ", r"\,": " ", r"\rm": "", r"\mathrm": "", r"\mu": "µ", r"\odot": "☉"}
_COMMANDS |= {rf"\{name}": letter for name, letter in _GREEK.items()}
_UNITS = {"M_Jup": "M<sub>Jup</sub>", "R_Jup": "R<sub>Jup</sub>", "um": "µm"}


def safe(name: str) -> str:
    """A name from a record or plugin without effect as markup."""
    return html.escape(name, quote=False)


@cache
def label(parameter: ParameterNote) -> str:
    """The label of a parameter; its name where its LaTeX has more than subscripts, superscripts and plain letters."""
    text = safe(parameter.label)
    if "$" not in text:
        return text
    inner = text.replace("$", "")
    for command, plain in _COMMANDS.items():
        inner = inner.replace(command, plain)
    # Innermost groups first, so that a subscript within a subscript is found as well.
    for _ in range(3):
        inner = re.sub(r"_\{([^{}]*)\}", r"<sub>\1</sub>", inner)
        inner = re.sub(r"\^\{([^{}]*)\}", r"<sup>\1</sup>", inner)
        inner = re.sub(r"_(\w)", r"<sub>\1</sub>", inner)
        inner = re.sub(r"(?<![_^])\{([^{}]*)\}", r"\1", inner)
    inner = re.sub(r"\[\s+", "[", inner)
    inner = re.sub(r"<(su[bp])>\s+", r"<\1>", re.sub(r"\s+", " ", inner)).strip()
    return safe(parameter.name) if re.search(r"[\\{}^]", inner) else inner


@cache
def short_label(parameter: ParameterNote) -> str:
    """The label without a unit in brackets."""
    return re.sub(r"\s*\[.*\]\s*$", "", label(parameter))


def unit(parameter: ParameterNote) -> str:
    """The unit with its subscripts; empty for pure numbers and logarithms."""
    return _UNITS.get(parameter.unit_text, safe(parameter.unit_text))


def of_run(entry: Entry) -> str:
    """What a pointer over a curve says of its run: method, budget and seed."""
    if entry.is_floor:
        return safe(entry.method)
    return f"{safe(entry.method)}, budget {count(entry.number('budget'))}, seed {entry.record['seed']}"


def joined(parts: list[str], most: int = 12) -> str:
    """Parts of a sentence, the first ones if they are many."""
    more = len(parts) - most
    return "; ".join(parts[:most]) + (f"; and {more} more" if more > 0 else "")
