"""What the columns of a table are, by the names that spectra are published under."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

_WAVE = r"(?:wave(?:length)?s?|wl|lambda|lam|wavenumber|frequency|freq|centralwavelng|bin_?cent(?:er|re)?)"
_DEPTH = r"(?:transit_?depth|tr_?depth|depth|transmission|dppm|pl_trandep|plntransdep|rp_?rs_?2|rp2_?rs2)"
_RATIO = r"(?:rp_?rs|rprs|rp_?rstar|radius_?ratio|k|pl_ratror|plnratror)"
_ERROR = r"(?:err(?:or)?|sigma|unc(?:ertainty)?|std|e)"

ROLES = {
    "wavelength": rf"{_WAVE}|.*_?centralwavelng",
    "low": rf"(?:{_WAVE}_)?(?:low(?:er)?|min|left|start)|low_?{_WAVE}",
    "high": rf"(?:{_WAVE}_)?(?:high|upper|max|right|end|stop)|high_?{_WAVE}",
    "width": r"(?:band|bin|wave(?:length)?)?_?width",
    "half_width": rf"half_?width|{_WAVE}_{_ERROR}|bin_?half_?width",
    "depth": _DEPTH,
    "ratio": _RATIO,
    "depth_error": rf"(?:{_DEPTH}|spectrum)?_?{_ERROR}|e_{_DEPTH}",
    "depth_upper": rf"{_DEPTH}_?{_ERROR}(?:1|_?up(?:per)?|_?pos|_?plus|_?high)|{_ERROR}(?:1|_?up(?:per)?|_?pos|_?plus)",
    "depth_lower": rf"{_DEPTH}_?{_ERROR}(?:2|_?low(?:er)?|_?neg|_?minus)|{_ERROR}(?:2|_?low(?:er)?|_?neg|_?minus)",
    "ratio_error": rf"{_RATIO}_?{_ERROR}|e_{_RATIO}",
    "ratio_upper": rf"{_RATIO}_?{_ERROR}(?:1|_?up(?:per)?|_?pos|_?plus)",
    "ratio_lower": rf"{_RATIO}_?{_ERROR}(?:2|_?low(?:er)?|_?neg|_?minus)",
}
"""Regular expressions of whole names in lower case, words joined by underscores."""

_IN_BRACKETS = re.compile(r"^(.*?)[\s_]*[\[(]([^\])]*)[\])]\s*$")
_LAST_WORD = re.compile(r"^(.+)_(um|microns?|nm|angstroms?|ppm|percent|pct|fraction)$", re.IGNORECASE)


class NamedColumn(NamedTuple):
    """One column of a table.

    Attributes:
        title: as in the file.
        name: in lower case, words joined by underscores, without its unit.
        unit: that the title names, or None.
    """

    title: str
    name: str
    unit: str | None


def named_column(title: str) -> NamedColumn:
    """Takes a unit such as ``depth (ppm)``, ``depth [ppm]`` or ``depth_ppm`` off a title."""
    text, unit = title.strip(), None
    found = _IN_BRACKETS.match(text) or _LAST_WORD.match(text)
    if found:
        text, unit = found.group(1), found.group(2).strip()
    name = re.sub(r"[^a-z0-9]+", "_", text.lower()).strip("_")
    if name == "dppm":
        unit = unit or "ppm"
    return NamedColumn(title, name, unit)


def find_role(columns: Sequence[NamedColumn], role: str) -> NamedColumn | None:
    """The first column whose name fits a role, or None."""
    pattern = re.compile(ROLES[role])
    return next((column for column in columns if pattern.fullmatch(column.name)), None)
