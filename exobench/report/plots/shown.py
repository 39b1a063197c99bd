"""Which runs of a section a figure shows: one a method, on spectra that they share."""

from __future__ import annotations

from collections.abc import Sequence

from exobench.report.entries import Entry
from exobench.report.plots.text import short_label
from exobench.report.sections import NESTED_SIZES, Section

_LOGARITHM = "log<sub>10</sub> "


def representatives(section: Section, at_least: int = 0) -> list[Entry]:
    """One run a method, in the order of names: of the largest budget, then most spectra, then the lowest seed.

    The scores have no say, so that no method is shown by its luckiest run.

    Args:
        section: of the page; one scored by another version of the scores shows none.
        at_least: test spectra that a run must have.
    """
    best: dict[str, Entry] = {}
    for entry in section.scored:
        if entry.is_current and entry.n_test >= at_least:
            known = best.get(entry.method)
            if known is None or _weight(entry) > _weight(known):
                best[entry.method] = entry
    return [best[method] for method in sorted(best)]


def shared_size(section: Section) -> int | None:
    """The largest nested test set that two methods have (or the only one has); None without scores."""
    most = _most_spectra(section)
    return _nested(most[min(1, len(most) - 1)]) if most else None


def common_size(section: Section) -> int | None:
    """The nested test set that every method has, if it is one at least; None without scores."""
    most = [n for n in _most_spectra(section) if n >= min(NESTED_SIZES)] or _most_spectra(section)
    return _nested(most[-1]) if most else None


def own_size(entry: Entry, at_most: int) -> int:
    """The largest nested test set of a run that is no larger than another."""
    return at_most if entry.n_test > at_most else min(_nested(entry.n_test), at_most)


def compared(section: Section) -> list[tuple[Entry, int]]:
    """One run a method with the spectra that each is shown on: those that two share, or the fewer that a run has.

    Those on most spectra come first, the prior last among them, then in the order of names.
    """
    n_obs = shared_size(section)
    if n_obs is None:
        return []
    found = [(entry, own_size(entry, n_obs)) for entry in representatives(section)]
    return sorted(found, key=lambda pair: (-pair[1], pair[0].is_floor, pair[0].method))


def row_names(rows: Sequence[tuple[Entry, int]]) -> list[str]:
    """Names of methods as they are, with their spectra in brackets where they are fewer than others'."""
    most = max((n_obs for _, n_obs in rows), default=0)
    return [entry.method + (f" ({n_obs:,})" if n_obs < most else "") for entry, n_obs in rows]


def column_names(section: Section) -> list[str]:
    """Labels short enough for columns on a phone: without the logarithm, whose base is that of all."""
    return [short_label(parameter).removeprefix(_LOGARITHM) for parameter in section.parameters]


def learners(entries: Sequence[Entry]) -> list[Entry]:
    """Without the prior and the limit."""
    return [entry for entry in entries if not entry.is_reference]


def _most_spectra(section: Section) -> list[int]:
    """Of each method but the prior, the most spectra; the largest first."""
    most: dict[str, int] = {}
    for entry in section.scored:
        if entry.is_current and not entry.is_floor:
            most[entry.method] = max(most.get(entry.method, 0), entry.n_test)
    return sorted(most.values(), reverse=True)


def _nested(n_test: int) -> int:
    return next((n for n in NESTED_SIZES if n <= n_test), n_test)


def _weight(entry: Entry) -> tuple[float, ...]:
    budget = entry.number("budget") or 0.0
    return budget, entry.n_test, -(entry.number("seed") or 0.0)
