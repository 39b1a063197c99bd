"""What a shift is: a pure function from a task's test spectra to others with the same truths."""

from __future__ import annotations

import abc
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from exobench.data.source import TestSpectra
from exobench.seeds import rng_for
from exobench.task import Task

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Unshifted:
    """The first test spectra of a task, and what they were made from.

    Attributes:
        task: the task.
        depth: noise-free depth fractions, (obs, bin).
        test: the same with the task's own test noise.
        opacities_path: folder of opacities that the user gave for shifts that need one, or None.
    """

    task: Task
    depth: Array
    test: TestSpectra
    opacities_path: str | None = None

    @property
    def normal(self) -> Array:
        """The noise of the test spectra in units of sigma, (obs, bin); NaN where a bin is missing."""
        return (self.test.x - self.depth) / self.test.sigma

    def with_spectra(self, x: Array, sigma: Array) -> TestSpectra:
        """Other spectra (obs, bin) of the same truths."""
        return TestSpectra(self.test.theta_true, x, sigma)

    def rng(self, name: str) -> np.random.Generator:
        """Random numbers that depend on the task and on a name alone, never on a method or its seed."""
        return rng_for(self.task.task_id, "shift", name)


class Shift(abc.ABC):
    """One kind of shift with its numbers; subclasses are frozen dataclasses whose fields are those of the YAML."""

    misses_bins: ClassVar[bool] = False
    """Whether bins go missing that the task's spectra have."""
    exact: ClassVar[str] = "the likelihood of the task at the told sigma"
    """Which posterior a comparison with an exact one takes."""
    exact_is_right: ClassVar[bool] = False
    """Whether that posterior is the right answer to the shifted spectra, and so calibrated on them."""

    def refuse(self, base: Unshifted) -> str | None:
        """Why the shift makes no sense here, or None."""
        del base
        return None

    def opacity_hash(self, base: Unshifted) -> str | None:
        """Hash of the numbers of the user's opacities; None for a shift that does not rest on them.

        Raises:
            ExobenchError: if they cannot be read.
        """
        del base
        return None

    @abc.abstractmethod
    def apply(self, base: Unshifted) -> TestSpectra:
        """The shifted spectra; row by row, so that the first n do not depend on how many there are.

        Raises:
            ExobenchError: if they cannot be made.
        """

    def describe(self) -> dict[str, Any]:
        """What determines the shifted spectra besides the task; JSON-able."""
        return asdict(self)  # type: ignore[call-overload]


class NoShift(Shift):
    """The test spectra as they are: what every shift is compared with."""

    exact_is_right: ClassVar[bool] = True

    def apply(self, base: Unshifted) -> TestSpectra:
        """The test spectra themselves."""
        return base.test

    def describe(self) -> dict[str, Any]:
        """Nothing determines them but the task."""
        return {}
