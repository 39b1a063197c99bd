"""The posterior table: printed, and as CSV."""

from __future__ import annotations

import csv
import io

from exobench.retrieve.admission import NOT_FOR_SCIENCE
from exobench.retrieve.answer import LEVELS, Answer

LARGEST_MISFIT = 3.0
"""Chi-square per bin of the best draw, beyond which the draws are called imprecise."""


def csv_text(answer: Answer) -> str:
    """One row a parameter: ends of the 95 and 68 % intervals, and what must be said with them."""
    intervals = answer.intervals()
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    given = [] if answer.given is None else ["given"]
    writer.writerow(["parameter", "unit", *LEVELS, *given, "prior_low", "prior_high", "like_training", "mark"])
    for column, parameter in enumerate(answer.space.parameters):
        writer.writerow(
            [
                parameter.name,
                parameter.unit,
                *(f"{intervals[name][column]:.8g}" for name in LEVELS),
                *([] if answer.given is None else [f"{answer.given[column]:.8g}"]),
                parameter.low,
                parameter.high,
                "no" if answer.warning else "yes",
                NOT_FOR_SCIENCE if answer.mark else "",
            ]
        )
    return text.getvalue()


def printed(answer: Answer, run_name: str) -> str:
    """The table for the terminal with all notes."""
    intervals = answer.intervals()
    lines = [f"{answer.spectrum.path.name} retrieved by {answer.made_by(run_name)}", ""]
    if answer.mark:
        lines[1:1] = [f"*** {NOT_FOR_SCIENCE.upper()}: {answer.mark} ***"]
    given = "" if answer.given is None else f"{'in .par':>12}"
    lines.append(f"{'parameter':16}{'median':>12}{'68 %':>26}{'95 %':>26}{given}  unit")
    for column, parameter in enumerate(answer.space.parameters):
        low_95, low_68, median, high_68, high_95 = (intervals[name][column] for name in LEVELS)
        own = "" if answer.given is None else f"{answer.given[column]:12.5g}"
        both = _interval(low_68, high_68) + _interval(low_95, high_95)
        lines.append(f"{parameter.name:16}{median:12.5g}{both}{own}  {parameter.unit}")
    lines.append("")
    lines.extend(f"- {note}" for note in answer.notes)
    calm = "; ".join(finding.words for finding in answer.findings)
    if calm:
        lines.append(answer.warning or f"The spectrum is like those the run was trained on: {calm}.")
    lines.extend(_far_off(answer))
    return "\n".join(lines)


def _far_off(answer: Answer) -> list[str]:
    """What an imprecise fit must say, which is usual for it and so is no finding."""
    misfits = [finding.value for finding in answer.findings if finding.name == "misfit"]
    if not misfits or misfits[0] <= LARGEST_MISFIT:
        return []
    return [
        f"The run's draws are far less precise than the spectrum: the best one's chi-square is {misfits[0]:.3g} a bin. "
        "A longer training, refine=importance or refine=nested gets closer."
    ]


def _interval(low: float, high: float) -> str:
    return f"{f'{low:.5g} to {high:.5g}':>26}"
