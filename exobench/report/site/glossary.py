"""Every column and symbol in two sentences: one for an astronomer, one for a machine-learning reader."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple


class Term(NamedTuple):
    """A symbol or column with its two explanations."""

    name: str
    for_astronomer: str
    for_ml: str


LEADERBOARD = (
    Term(
        "#",
        "Place by energy score; the ceiling is the best answer that the noise allows, the floor (the prior) one that "
        "never looks at the spectrum.",
        "Order of the mean energy score; ceiling: draws of the exact posterior; floor: draws of the prior, so that a "
        "method below it has learnt something wrong.",
    ),
    Term(
        "Rank",
        "Methods with the same rank cannot be told apart on these spectra.",
        "One more than the number of methods with a truly lower energy score: each pair by a paired t over the "
        "spectra, Holm's correction over all pairs, and a paired bootstrap that must agree; runs that differ in the "
        "seed alone are one method, and from five seeds on their spread enters.",
    ),
    Term(
        "Energy score",
        "How far a method's answers lie from the true planet, all parameters together and error bars included; lower "
        "is better.",
        "Mean E|u - u*| - E|u - u'|/2 of draws in unit-cube coordinates: a strictly proper score of the joint "
        "posterior.",
    ),
    Term(
        "±",
        "How much the number would change with another set of test planets.",
        "One bootstrap standard error over test spectra.",
    ),
    Term(
        "Behind the first",
        "How much worse than the best method, planet by planet; a tie is a difference that chance explains.",
        "Mean paired difference of the energy score to the first row with its standard error, a tie within three of "
        "them; sharper than comparing the two ±.",
    ),
    Term(
        "nltp",
        "How surprised a method is by the true planet; lower is better.",
        "Mean negative log probability of the truth under the posterior density, for methods that give one.",
    ),
    Term(
        "Calibration",
        "Whether error bars mean what they say; it is no ranking, since the prior's are honest too.",
        "Uniform ranks and coverage of central 68 and 95 % intervals of all parameters as one family: pass from "
        "family-wise p = 0.01 on, warn below it, fail below 0.001, undefined with fewer than 100 spectra.",
    ),
    Term(
        "Track",
        "Whether a method answers at once after training (amortised) or computes the physics again for each spectrum.",
        "amortised: no simulator or likelihood at test time; likelihood-using: evaluates it for each spectrum; "
        "unlimited: may simulate while it answers.",
    ),
    Term(
        "Budget, Simulations",
        "How many simulated planets a method was allowed to learn from, and how many it used.",
        "Distinct simulator calls before test time, validation and tuning included.",
    ),
    Term(
        "Seed",
        "Another seed is the same method tried again; the spectra stay the same.",
        "Moves initialisation, batches and draws, never the data.",
    ),
    Term(
        "Training, Per posterior",
        "Time to train once, and time for the answer to one spectrum.",
        "Wall-clock time of the fit, and of sampling over the number of spectra, on the run's own hardware, which its "
        "page names.",
    ),
)

SHIFTED = (
    Term(
        "Change",
        "How much accuracy is lost when the planet is unlike those that the method was trained on.",
        "Paired difference of the energy score to the unshifted spectra, with its standard error.",
    ),
    Term(
        "AUROC",
        "Whether the method notices that the spectrum is odd: 1 always, 0.5 never.",
        "Area under the ROC curve of the method's own surprise, shifted against unshifted spectra.",
    ),
)

OVERVIEW = tuple(term for term in LEADERBOARD if term.name in ("#", "Rank", "Energy score", "Calibration"))
"""What the tables of the first page need; the first one tells of ceiling and floor."""

REGIONS = (
    Term(
        "Region",
        "A part of the test planets: a fifth by the true value of a parameter, a noise level, or those whose spectrum "
        "shows a gas beyond doubt.",
        "Spectra by quintile of theta_true, by noise level, or by an exact log Bayes factor above 3 for the gas.",
    ),
)

PARAMETERS = {
    "log10_": Term(
        "log10_…",
        "Abundance of a gas: the power of ten of its share of all molecules (volume mixing ratio), so -4 is one in "
        "10,000.",
        "Base-ten logarithm of a mole fraction, uniform over its range in the prior.",
    ),
    "mass_mjup": Term(
        "mass_mjup",
        "Mass of the planet in masses of Jupiter.",
        "Enters through gravity: a heavier planet has weaker features.",
    ),
    "radius_rjup": Term(
        "radius_rjup",
        "Radius of the planet, at the highest pressure of the model, in radii of Jupiter.",
        "Sets the level of the whole spectrum and, through gravity, the size of its features.",
    ),
    "temperature_k": Term(
        "temperature_k",
        "Temperature of the atmosphere, the same at all heights, in kelvin.",
        "Sets the size of the features together with gravity, and changes the absorption itself.",
    ),
}
"""By how the name of a parameter begins."""

DEFINITION = (
    Term(
        "task id",
        "Spectra of tasks with different ids cannot be compared, however alike their names.",
        "Hash of prior, simulator, opacities, wavelength grid, noise model and test set.",
    ),
    Term(
        "kind, flavour",
        "Which physical model makes the spectra, and whose constants and conventions it follows.",
        "The simulator and its variant.",
    ),
    Term(
        "opacity source, k table overlap",
        "Where the absorption of the gases comes from, and how overlapping gases are combined.",
        "Tables inside the simulator.",
    ),
    Term(
        "noise, noise ppm, floor ppm, level ppm",
        "Size of the error bars of the observed spectra, in millionths of the star's light.",
        "Model and standard deviation of the Gaussian noise of each bin; it may differ between spectra and bins.",
    ),
    Term(
        "n",
        "Number of test planets that a number rests on.",
        "Leading spectra of one fixed, nested test set.",
    ),
)


def parameter_terms(names: Iterable[str]) -> list[Term]:
    """Explanations of the parameters among these names, each once."""
    known = [(name, start) for name in names for start in PARAMETERS if name.startswith(start)]
    return [PARAMETERS[start] for start in dict.fromkeys(start for _, start in known)]
