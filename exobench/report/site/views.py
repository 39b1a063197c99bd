"""What each page shows, gathered before anything is written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from exobench.metrics.rank_metrics import what_the_badge_covers
from exobench.report.artwork import Artwork, artwork
from exobench.report.cache import Cache
from exobench.report.entries import Entry
from exobench.report.regions import RegionSheet, worst_region
from exobench.report.sections import Section, settings_apart
from exobench.report.site.drawn import Drawing
from exobench.report.tables import Leaderboard, ScoreSheet, leaderboards

KNOWN_FIELDS = frozenset(
    {
        *("schema_version", "metrics_version", "versions", "packages", "hardware", "config", "config_hash", "seed"),
        *("task", "task_id", "task_description", "parameters", "method", "capabilities", "track", "budget", "status"),
        *("n_train", "n_validation", "n_test", "n_draws", "n_draws_returned", "reason", "cost", "scores", "figures"),
        *("calibration", "diagnostics", "fits_used", "limit", "draw_densities"),
    }
)
"""Fields of a record that this version knows."""

EXPECTED_FIELDS = (
    "task_description",
    "capabilities",
    "track",
    "n_draws",
    "config",
    "config_hash",
    "versions",
    "hardware",
    "cost",
    "scores",
    "calibration",
)
"""Fields that a whole run writes beside those without which a record cannot be read."""


@dataclass(frozen=True)
class RunLine:
    """One run in the list of a task's page."""

    entry: Entry
    apart: str
    worst: str


@dataclass(frozen=True)
class TaskView:
    """The page of one task.

    Attributes:
        section: its records.
        boards: its leaderboards, the main one first.
        runs: its runs with scores.
        drawing: its figures.
        shifts: rows of the table of shifts.
        with_pictures: runs whose methods brought pictures of their own.
    """

    section: Section
    boards: Sequence[Leaderboard]
    runs: Sequence[RunLine]
    drawing: Drawing
    shifts: Sequence[Mapping[str, object]]
    with_pictures: Sequence[Entry]

    @property
    def budgets(self) -> list[int]:
        """Budgets of the runs shown, the smallest first."""
        return sorted({entry.record["budget"] for entry in self.section.scored if not entry.is_reference})

    @property
    def tracks(self) -> list[str]:
        """Tracks of the runs shown."""
        return sorted({str(entry.get("track")) for entry in self.section.scored if entry.get("track")})


@dataclass(frozen=True)
class RunView:
    """The page of one run; of its section the names alone are needed."""

    section: Section
    entry: Entry
    apart: str
    sheet: ScoreSheet
    art: Artwork
    regions: RegionSheet | None
    drawing: Drawing

    @property
    def badge_covers(self) -> str:
        """What the badge of calibration is about, and low p-values beside it."""
        return what_the_badge_covers(self.entry.stored_scores)

    @property
    def unknown(self) -> list[str]:
        """Fields of the record that this version does not know."""
        return sorted(str(key) for key in self.entry.record.content if key not in KNOWN_FIELDS)

    @property
    def missing(self) -> list[str]:
        """Fields that the record lacks, though runs write them."""
        return [key for key in EXPECTED_FIELDS if self.entry.is_ok and key not in self.entry.record.content]


def task_view(
    section: Section, caches: dict[str, Cache], drawing: Drawing, shifts: Sequence[Mapping[str, object]]
) -> TaskView:
    """Tables of a task."""
    apart = settings_apart(section.entries)
    lines = [RunLine(e, apart[e.anchor], worst_region(e, caches[e.anchor])) for e in section.scored]
    pictures = [entry for entry in section.scored if artwork(entry, caches[entry.anchor])["own"]]
    return TaskView(section, leaderboards(section, caches), lines, drawing, shifts, pictures)
