"""Numbers and names as people read them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from exobench.errors import ExobenchError

ABSENT = "not available"

BROKEN = (ExobenchError, OSError, TypeError, ValueError, KeyError, IndexError, ArithmeticError)
"""What a damaged record can raise; each becomes a line on a page."""


def plus_minus(value: float, error: float | None, decimals: int = 6) -> str:
    """A value with its standard error, to two digits of the error and at most so many decimals."""
    if error is None or not math.isfinite(error):
        small_or_large = value != 0.0 and not 10.0 ** -min(decimals, 3) <= abs(value) < 1e6
        return signed(f"{value:.3g}" if small_or_large else f"{value:.{min(decimals, 3)}f}")
    if abs(value) >= 1e6:
        return signed(f"{value:.4g} ± {error:.2g}")
    if error <= 1e-12 * abs(value):
        return signed(f"{value:.{min(decimals, 3)}f} ± 0")
    places = min(max(1 - math.floor(math.log10(error)), 0), decimals)
    step = 10.0**-places
    return signed(f"{value:.{places}f} ± {f'{error:.{places}f}' if error >= 0.5 * step else f'<{step:.{places}f}'}")


def signed(text: str) -> str:
    """The text with a true minus sign."""
    return text.replace("-", "\u2212") if text.startswith("-") else text


def duration(seconds: float | None) -> str:
    """Microseconds to hours."""
    if seconds is None:
        return ABSENT
    if 0.0 < seconds < 0.1:
        return f"{seconds * 1e3:.3g} ms" if seconds >= 1e-3 else f"{seconds * 1e6:.3g} µs"
    if seconds < 120:
        return f"{seconds:.3g} s"
    if seconds < 7200:
        return f"{seconds / 60:.3g} min"
    return f"{seconds / 3600:.3g} h"


def count(number: float | None) -> str:
    """A whole number with separators."""
    return ABSENT if number is None else f"{number:,.0f}"


def gibibytes(number: float | None) -> str:
    """Bytes as GiB."""
    return ABSENT if number is None else f"{number / 2**30:.2f} GiB"


def plain(value: Any) -> str:
    """A leaf of a record."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return signed(f"{value:g}")
    if isinstance(value, list):
        return ", ".join(plain(item) for item in value)
    return str(value)


def leaves(content: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """The leaves of nested mappings, with dotted keys; a list of plain values is one leaf."""
    if isinstance(content, Mapping):
        for key, value in content.items():
            yield from leaves(value, f"{prefix}.{key}" if prefix else str(key))
    elif isinstance(content, list) and any(isinstance(item, Mapping | list) for item in content):
        for index, value in enumerate(content):
            name = value.get("name", index) if isinstance(value, Mapping) else index
            yield from leaves(value, f"{prefix}.{name}" if prefix else str(name))
    else:
        yield prefix, content


def differing(contents: Sequence[Mapping[str, Any]]) -> list[str]:
    """Keys of the leaves that are not the same in all mappings, in the order of their first appearance."""
    flat = [dict(leaves(content)) for content in contents]
    keys = list(dict.fromkeys(key for leaf in flat for key in leaf))
    return [key for key in keys if len({plain(leaf.get(key, ABSENT)) for leaf in flat}) > 1]
