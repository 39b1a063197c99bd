"""Rows of text with straight columns."""

from __future__ import annotations

from collections.abc import Collection, Sequence


def aligned(rows: Sequence[Sequence[str]], right: Collection[str] = ()) -> list[str]:
    """Each row as a line.

    Args:
        rows: of cells, the heading first; a row may end early.
        right: headings of the columns whose cells stand to the right, as numbers do.
    """
    heading = rows[0]
    widths = [max(len(row[k]) for row in rows if k < len(row)) for k in range(len(heading))]
    to_the_right = [name in right for name in heading]
    return [
        "  ".join(
            cell.rjust(width) if at_right else cell.ljust(width)
            for cell, width, at_right in zip(row, widths, to_the_right, strict=False)
        ).rstrip()
        for row in rows
    ]
