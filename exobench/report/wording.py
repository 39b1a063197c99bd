"""Numbers and names as people read them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

ABSENT = "not available"


def plus_minus(value: float, error: float | None, decimals: int = 3) -> str:
    """A value with its standard error, as many decimals as two digits of the error need, at most ``decimals`` + 2."""
    if error is None or not math.isfinite(error):
        return signed(f"{value:.{decimals}f}" if abs(value) < 1e6 else f"{value:.3g}")
    if error <= 0.0:
        return signed(f"{value:.{decimals}f} ± 0")
    places = min(max(1 - math.floor(math.log10(error)), 0), decimals + 2)
    return signed(f"{value:.{places}f} ± {error:.{places}f}") if abs(value) < 1e6 else signed(f"{value:.3g} ± {error:.2g}")


def signed(text: str) -> str:
    """The text with a true minus sign."""
    return text.replace("-", "\u2212") if text.startswith("-") else text


def duration(seconds: float | None) -> str:
    """Seconds, minutes or hours."""
    if seconds is None:
        return ABSENT
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


def differing(contents: list[Mapping[str, Any]]) -> list[str]:
    """Keys of the leaves that are not the same in all mappings, in the order of their first appearance."""
    flat = [dict(leaves(content)) for content in contents]
    keys = list(dict.fromkeys(key for leaf in flat for key in leaf))
    return [key for key in keys if len({plain(leaf.get(key, ABSENT)) for leaf in flat}) > 1]
