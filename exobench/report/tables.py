"""The tables of the page: plain text in, ready for the template."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from exobench.metrics.catalogue import METRICS, find_metric
from exobench.metrics.paired import STANDARD_ERRORS_NEEDED
from exobench.metrics.score import Score
from exobench.report.cache import Cache
from exobench.report.entries import Entry, ParameterNote
from exobench.report.ranks import Ranks, ranks
from exobench.report.scores import HEAT, TOGETHER, Evidence, behind, evidence
from exobench.report.sections import Section, Selection, selections, settings_apart
from exobench.report.wording import ABSENT, count, duration, plus_minus

_HEAT_DECIMALS, _JOINT_DECIMALS = 3, 4


@dataclass(frozen=True)
class Cell:
    """One cell.

    Attributes:
        text: what it says.
        note: number of the footnote with the reason of a gap or remark.
        shade: depth of colour in tenths; None for a cell without.
        below_zero: whether the colour is that of worse than knowing nothing.
        is_gap: whether there is no value.
        value: the number itself, which the page sorts by.
    """

    text: str
    note: int | None = None
    shade: int | None = None
    below_zero: bool = False
    is_gap: bool = False
    value: float | None = None


@dataclass
class Notes:
    """Footnotes of one table with their numbers, each reason once."""

    texts: dict[str, int] = field(default_factory=dict)

    def number(self, text: str | None) -> int | None:
        """The number of a note; None for none."""
        return self.texts.setdefault(text, len(self.texts) + 1) if text else None

    def cell(self, score: Score, decimals: int = 6, *, shaded: bool = False) -> Cell:
        """A score with at most so many decimals as a cell, its reason as a note."""
        if score.value is None:
            return Cell(score.status, self.number(score.reason), is_gap=True)
        text = plus_minus(score.value, score.standard_error, decimals)
        shade = round(10 * min(abs(score.value), 1.0)) if shaded else None
        return Cell(text, self.number(score.reason), shade, score.value < 0, value=score.value)


@dataclass(frozen=True)
class Row:
    """One run in a leaderboard."""

    place: str
    rank: Cell
    entry: Entry
    apart: str
    track: str
    budget: str
    energy: Cell
    behind: Cell
    nltp: Cell
    badge: str
    badge_note: int | None
    training: str
    sampling: str
    simulations: str


@dataclass(frozen=True)
class HeatTable:
    """One score for each run and parameter."""

    metric: str
    doc: str
    rows: tuple[tuple[Entry, str, tuple[Cell, ...]], ...]


@dataclass(frozen=True)
class Leaderboard:
    """A leaderboard with its heat tables.

    Attributes:
        n_obs: spectra that all rows have in common.
        rows: by energy score, the best first.
        heat: the tables of each parameter's scores, the first ones for all readers.
        together: calibration of all parameters together, a cell for each of `exobench.report.scores.TOGETHER`.
        notes: footnotes of all of them.
        fewer: records of the section that have fewer spectra.
        absent: methods of the section without a row here, for they have fewer spectra.
        claim: what the ranks say; empty where there are none.
        crowded: whether runs of larger tables were left out but for the best of each method.
        found: the scores behind the rows, in their order.
    """

    n_obs: int
    rows: tuple[Row, ...]
    heat: tuple[HeatTable, ...]
    together: tuple[tuple[Entry, str, tuple[Cell, ...]], ...]
    notes: tuple[str, ...]
    fewer: int
    absent: tuple[str, ...]
    claim: str
    crowded: bool = False
    found: tuple[Evidence, ...] = field(default=(), compare=False, repr=False)

    @property
    def leaders(self) -> tuple[tuple[Row, int], ...]:
        """The best row of each method and the number of its spectra, in their order."""
        best: dict[str, tuple[Row, int]] = {}
        for row, found in zip(self.rows, self.found, strict=True):
            best.setdefault(row.entry.method, (row, found.n_obs))
        return tuple(best.values())


@dataclass(frozen=True)
class ScoreLine:
    """One score of a run over all its test spectra: for each parameter, or one joint cell."""

    metric: str
    doc: str
    cells: tuple[Cell, ...]


@dataclass(frozen=True)
class ScoreSheet:
    """All scores that a run wrote."""

    joint: tuple[ScoreLine, ...]
    marginal: tuple[ScoreLine, ...]
    notes: tuple[str, ...]


def leaderboards(section: Section, caches: dict[str, Cache]) -> list[Leaderboard]:
    """The leaderboards of a section, the main one first."""
    return [_leaderboard(section, selection, caches) for selection in selections(section)]


def score_sheet(entry: Entry) -> ScoreSheet:
    """All scores of a run, as it wrote them."""
    notes = Notes()
    by_metric: dict[str, dict[str | None, Score]] = {}
    for score in entry.stored_scores:
        by_metric.setdefault(score.metric, {})[score.parameter] = score
    joint, marginal = [], []
    for metric, found in by_metric.items():
        if None in found:
            joint.append(ScoreLine(metric, doc(metric), (notes.cell(found[None]),)))
            continue
        gap = Score(metric, None, None, None, 0, "not available", "the record holds no such score")
        cells = tuple(notes.cell(found.get(name, gap)) for name in entry.names)
        marginal.append(ScoreLine(metric, doc(metric), cells))
    return ScoreSheet(tuple(joint), tuple(marginal), tuple(notes.texts))


def doc(metric: str) -> str:
    """What a score is, from the catalogue; empty for a score of another version."""
    return find_metric(metric).doc if metric in {known.name for known in METRICS} else ""


def _leaderboard(section: Section, selection: Selection, caches: dict[str, Cache]) -> Leaderboard:
    found = [evidence(entry, caches[entry.anchor], selection.n_obs) for entry in selection.entries]
    found = [*_ceiling(section, selection, caches), *(row for row in found if not row.entry.is_ceiling)]
    found.sort(key=_order)
    best = next((row for row in found if not row.entry.is_ceiling), found[0])
    apart, notes = settings_apart([row.entry for row in found]), Notes()
    rows, place, ranking, differences = [], 0, ranks(found), behind(found, best)
    for row in found:
        place += not row.entry.is_reference
        label = _reference(row.entry) or str(place)
        difference = Cell("first") if row is best else _behind(differences[row.entry.anchor], row, best, notes)
        rows.append(_row(row, difference, label, _rank(row, ranking, notes), apart[row.entry.anchor], notes))
    heat = tuple(_heat(metric, found, apart, section.parameters, notes) for metric in HEAT)
    together = tuple((row.entry, apart[row.entry.anchor], _together(row, notes)) for row in found)
    fewer = sum(entry.n_test < selection.n_obs and not entry.is_ceiling for entry in section.scored)
    absent = {e.method for e in section.scored if not e.is_reference} - {row.entry.method for row in found}
    return Leaderboard(
        n_obs=selection.n_obs,
        rows=tuple(rows),
        heat=heat,
        together=together,
        notes=tuple(notes.texts),
        fewer=fewer,
        absent=tuple(sorted(absent)),
        claim=ranking.claim,
        crowded=selection.crowded,
        found=tuple(found),
    )


def _ceiling(section: Section, selection: Selection, caches: dict[str, Cache]) -> list[Evidence]:
    """The exact posterior stands in every table, on its own spectra where it has fewer than the table."""
    if section.ceiling is None or section.ceiling.anchor not in caches:
        return []
    n_obs = min(selection.n_obs, section.ceiling.n_test)
    return [evidence(section.ceiling, caches[section.ceiling.anchor], n_obs)]


def _reference(entry: Entry) -> str:
    return "floor" if entry.is_floor else "ceiling" if entry.is_ceiling else ""


def _together(row: Evidence, notes: Notes) -> tuple[Cell, ...]:
    return tuple(notes.cell(row.score(metric), _HEAT_DECIMALS) for metric in TOGETHER)


def _order(row: Evidence) -> tuple[bool, bool, float, str]:
    value = row.score("energy_score").value
    return not row.entry.is_ceiling, value is None, value or 0.0, row.entry.relative


def _rank(row: Evidence, ranking: Ranks, notes: Notes) -> Cell:
    if row.entry.is_reference:
        return Cell(_reference(row.entry))
    rank = ranking.by_anchor[row.entry.anchor]
    if isinstance(rank, str):
        return Cell("undefined", notes.number(rank), is_gap=True)
    return Cell(str(rank), value=float(rank))


def _row(row: Evidence, difference: Cell, place: str, rank: Cell, apart: str, notes: Notes) -> Row:
    entry = row.entry
    return Row(
        place=place,
        rank=rank,
        entry=entry,
        apart=apart,
        track=str(entry.get("track") or ABSENT),
        budget="none" if entry.is_floor else count(entry.number("budget")),
        energy=_energy(row, notes),
        behind=difference,
        nltp=notes.cell(row.score("nltp"), _JOINT_DECIMALS),
        badge=row.badge,
        badge_note=notes.number(row.badge_reason) if row.badge != "pass" else None,
        training=duration(entry.number("cost", "training_seconds")),
        sampling=duration(entry.number("cost", "seconds_per_posterior")),
        simulations=count(entry.number("cost", "simulations")),
    )


def _energy(row: Evidence, notes: Notes) -> Cell:
    score = row.score("energy_score")
    expected = limit_of(row.entry, "energy_score", "posterior")
    if expected is None or score.value is None:
        return notes.cell(score, _JOINT_DECIMALS)
    told = f"over {row.n_obs:,} spectra; without the chance of the truths, the exact posterior's expectation is "
    told += plus_minus(*expected, _JOINT_DECIMALS)
    return notes.cell(replace(score, reason=told), _JOINT_DECIMALS)


def limit_of(entry: Entry, metric: str, of: str) -> tuple[float, float] | None:
    """An expected score of the exact posterior with its standard error, from the records of the ceiling alone."""
    listed = entry.get("limit", "scores")
    for row in listed if isinstance(listed, list) else []:
        if isinstance(row, Mapping) and (row.get("metric"), row.get("of")) == (metric, of):
            found = row.get("value"), row.get("standard_error")
            if all(isinstance(number, float) for number in found):
                return found  # type: ignore[return-value]
    return None


def _behind(found: tuple[float, float] | str, row: Evidence, best: Evidence, notes: Notes) -> Cell:
    if isinstance(found, str):
        return Cell("undefined", notes.number(found), is_gap=True)
    difference, error = found
    # The exact posterior may lie ahead of the first method, by less than chance explains or by more.
    tie = abs(difference) <= STANDARD_ERRORS_NEEDED * error
    text = ("tie: " if tie else "") + plus_minus(difference, error, _JOINT_DECIMALS)
    fewer = f"both on the {row.n_obs:,} spectra of the exact posterior" if row.n_obs < best.n_obs else None
    return Cell(text, notes.number(fewer), value=difference)


def _heat(
    metric: str, found: Sequence[Evidence], apart: dict[str, str], parameters: Sequence[ParameterNote], notes: Notes
) -> HeatTable:
    rows = []
    for row in found:
        scores = (row.score(metric, parameter.name) for parameter in parameters)
        cells = tuple(notes.cell(score, _HEAT_DECIMALS, shaded=True) for score in scores)
        rows.append((row.entry, apart[row.entry.anchor], cells))
    return HeatTable(metric, doc(metric), tuple(rows))
