"""What an answer cost: the second axis beside every score."""

from __future__ import annotations

import resource
import sys
from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class Cost:
    """Cost of one method on one task.

    Attributes:
        simulations: simulated spectra seen before test time, validation and tuning included.
        likelihood_calls: likelihood evaluations at inference, all test spectra together; zero for amortised methods.
        training_seconds: wall-clock seconds of `fit`.
        seconds_per_posterior: wall-clock seconds of sampling divided by the number of spectra.
        n_parameters: trained numbers.
        peak_memory_bytes: largest resident memory of the process; see `peak_rss_bytes`.
        peak_device_bytes: largest memory of the accelerator; None without one.
    """

    simulations: int
    likelihood_calls: int
    training_seconds: float
    seconds_per_posterior: float
    n_parameters: int
    peak_memory_bytes: int
    peak_device_bytes: int | None = None

    def to_dict(self) -> dict[str, int | float | None]:
        """Plain types only, for JSON."""
        return asdict(self)


def peak_rss_bytes() -> int:
    """Largest resident memory of this process since it started; it never falls, so it covers all that ran before."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    # Linux counts in KiB, macOS in bytes.
    return int(peak) if sys.platform == "darwin" else int(peak) * 1024
