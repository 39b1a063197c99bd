"""Cells of tables as markup: a page has a thousand of them, each of which a template would take far longer to fill."""

from __future__ import annotations

from collections.abc import Iterable

from markupsafe import Markup, escape

from exobench.report.regions import RegionCell
from exobench.report.tables import Cell


def value_cells(cells: Iterable[Cell], prefix: str) -> Markup:
    """Cells of a score's table.

    Args:
        cells: of a row.
        prefix: of the table's notes, to which the cells' marks lead.
    """
    return Markup("".join(_value_cell(cell, prefix) for cell in cells))


def region_cells(cells: Iterable[RegionCell]) -> Markup:
    """Cells of a table of regions."""
    return Markup("".join(_region_cell(cell) for cell in cells))


def note_mark(number: int | None, prefix: str) -> Markup:
    """The mark of a note, which leads to it; empty for none."""
    if not number:
        return Markup("")
    link = f'href="#{escape(prefix)}-note-{number}" aria-label="note {number}"'
    return Markup(f'<sup><a class="mark" {link}>{number}</a></sup>')


def _value_cell(cell: Cell, prefix: str) -> str:
    heat = "" if cell.shade is None else " heat below" if cell.below_zero else " heat"
    style = "" if cell.shade is None else f' style="--share:{cell.shade}"'
    value = "" if cell.value is None else f' data-value="{cell.value}"'
    text = f"{escape(cell.text)}{note_mark(cell.note, prefix) if cell.note else ''}"
    return f'<td class="num{" gap" if cell.is_gap else ""}{heat}"{style}{value}>{text}</td>\n'


def _region_cell(cell: RegionCell) -> str:
    if cell.shade is None:
        return f'<td class="num">{escape(cell.text)}</td>'
    heat = " heat below" if cell.below else " heat"
    return f'<td class="num{heat}" style="--share:{cell.shade}">{escape(cell.text)}</td>'
