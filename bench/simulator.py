"""Speed and agreement of the transmission simulators, on one thread: `python bench/simulator.py --out FILE`.

The same tables, draws and process serve every simulator; rounds alternate between them, so that a change in the
machine's load meets all of them, and the median over rounds is reported.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import json
import platform
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from exobench.errors import MissingDependencyError
from exobench.opacities.band_model import band_model_opacities
from exobench.opacities.grids import exogan_grid
from exobench.opacities.tables import OpacitySet
from exobench.simulators.base import Simulator
from exobench.simulators.build import build_simulator

NAMES = ("log10_h2o", "log10_co2", "log10_co", "log10_ch4", "mass_mjup", "radius_rjup", "temperature_k")
LOW = torch.tensor([-8.0, -8.0, -8.0, -8.0, 0.8, 0.8, 1000.0], dtype=torch.float64)
HIGH = torch.tensor([-1.0, -1.0, -1.0, -1.0, 2.0, 1.5, 2000.0], dtype=torch.float64)
REFERENCE = "taurex 3"
N_AGREEMENT = 100


@dataclass(frozen=True)
class Case:
    """One simulator to time, with the number of draws a call."""

    name: str
    simulator: Simulator
    n_draws: int
    backward: bool = False

    def run(self, theta: torch.Tensor) -> None:
        """One timed call."""
        leaf = theta[: self.n_draws].clone().requires_grad_(self.backward)
        depth = self.simulator(leaf)
        if self.backward:
            depth.sum().backward()


def prior_draws(n: int, seed: int) -> torch.Tensor:
    """Draws of the hotjupiter prior, shape (n, 7)."""
    generator = torch.Generator().manual_seed(seed)
    return LOW + (HIGH - LOW) * torch.rand(n, len(NAMES), generator=generator, dtype=torch.float64)


def agreement_draws() -> torch.Tensor:
    """Draws of the prior, a third of them corners of its box."""
    ends = torch.tensor(list(itertools.product((0.0, 1.0), repeat=len(NAMES))), dtype=torch.float64)
    corners = (LOW + (HIGH - LOW) * ends)[::4]
    return torch.cat([corners, prior_draws(N_AGREEMENT - len(corners), seed=1)])


def build_cases(opacities: OpacitySet, n_draws: int) -> list[Case]:
    """Every simulator that can run here; the taurex package first."""

    def build(kind: str, **settings: object) -> Simulator:
        return build_simulator(kind, opacities, NAMES, **settings)

    cases = []
    try:
        cases.append(Case(REFERENCE, build("taurex3"), 20))
    except MissingDependencyError as error:
        print(f"without the taurex package: {error}")
    return [
        *cases,
        Case("literal float64", build("transmission_literal"), 40),
        Case("nodes float64", build("transmission_torch", dtype=torch.float64), n_draws // 4),
        Case("nodes float32", build("transmission_torch"), n_draws),
        Case("nodes float32, 64 draws a call", build("transmission_torch"), 64),
        Case("nodes float32, with gradient", build("transmission_torch"), n_draws // 4, backward=True),
        *_fused_cases(build, n_draws),
    ]


def _fused_cases(build: Callable[..., Simulator], n_draws: int) -> list[Case]:
    try:
        fused = build("transmission_fused")
    except MissingDependencyError as error:
        print(f"without the compiled kernel: {error}")
        return []
    start = time.perf_counter()
    fused(prior_draws(1, seed=0))
    print(f"first call of the fused kernel (compiled, or read from numba's cache): {time.perf_counter() - start:.2f} s")
    return [Case("fused float32", fused, n_draws), Case("fused float32, 64 draws a call", fused, 64)]


def milliseconds(run: Callable[[torch.Tensor], None], theta: torch.Tensor, n_draws: int) -> float:
    """Wall time of one call over its number of draws."""
    start = time.perf_counter()
    run(theta)
    return 1e3 * (time.perf_counter() - start) / n_draws


def time_cases(cases: list[Case], repetitions: int, n_draws: int) -> dict[str, list[float]]:
    """Milliseconds a spectrum of every case and round."""
    theta = prior_draws(n_draws, seed=0)
    for case in cases:
        case.run(theta[: min(case.n_draws, 256)])
    times: dict[str, list[float]] = {case.name: [] for case in cases}
    for _ in range(repetitions):
        for case in cases:
            times[case.name].append(milliseconds(case.run, theta, case.n_draws))
    return times


def agreement_ppm(opacities: OpacitySet) -> dict[str, float]:
    """Largest differences over prior draws and corners of the prior, in ppm."""
    theta = agreement_draws()

    def spectra(kind: str, **settings: object) -> torch.Tensor:
        return build_simulator(kind, opacities, NAMES, **settings)(theta).double()

    def largest(a: torch.Tensor, b: torch.Tensor) -> float:
        return 1e6 * float((a - b).abs().max())

    literal, single = spectra("transmission_literal"), spectra("transmission_torch")
    found = {
        "nodes float64 - literal": largest(spectra("transmission_torch", dtype=torch.float64), literal),
        "nodes float32 - literal": largest(single, literal),
    }
    fused = None
    with contextlib.suppress(MissingDependencyError):
        fused = spectra("transmission_fused")
        found |= {"fused - literal": largest(fused, literal), "fused - nodes float32": largest(fused, single)}
    try:
        package, whole = spectra("taurex3"), spectra("taurex3", early_exit=False)
    except MissingDependencyError:
        return found
    if fused is not None:
        found["fused - taurex 3"] = largest(fused, package)
    return found | {
        "literal - taurex 3 without early exit": largest(literal, whole),
        "literal - taurex 3": largest(literal, package),
        "nodes float32 - taurex 3": largest(single, package),
    }


def main() -> None:
    """Prints the table and writes the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, help="JSON file to write")
    parser.add_argument("--repetitions", type=int, default=9)
    parser.add_argument("--n-draws", type=int, default=4000, help="draws a call of the batched simulator")
    arguments = parser.parse_args()
    torch.set_num_threads(1)  # TauREx's compiled loops are serial already

    opacities = band_model_opacities(*exogan_grid())
    times = time_cases(build_cases(opacities, arguments.n_draws), arguments.repetitions, arguments.n_draws)
    medians = {name: statistics.median(values) for name, values in times.items()}
    reference = medians.get(REFERENCE)
    print(f"\n{len(opacities.wavelength_um)} bins, one thread, median of {arguments.repetitions} rounds")
    print(f"{'simulator':34}{'ms a spectrum':>15}{'spectra a second':>18}{'times taurex 3':>16}")
    for name, median in medians.items():
        ratio = f"{reference / median:16.0f}" if reference else f"{'-':>16}"
        print(f"{name:34}{median:15.4f}{1e3 / median:18.0f}{ratio}")
    differences = agreement_ppm(opacities)
    print(f"\nlargest difference over {N_AGREEMENT} draws of the prior, corners included, in ppm")
    for name, value in differences.items():
        print(f"{name:44}{value:12.3g}")
    if arguments.out:
        record = {
            "n_bin": len(opacities.wavelength_um),
            "opacities": {"source": opacities.source, "hash": opacities.content_hash()},
            "threads": 1,
            "n_draws": arguments.n_draws,
            "milliseconds": times,
            "median_milliseconds": medians,
            "ratio_to_taurex3": {name: reference / median for name, median in medians.items()} if reference else None,
            "largest_difference_ppm": differences,
            "torch": torch.__version__,
            "python": platform.python_version(),
            "processor": platform.processor() or platform.machine(),
        }
        arguments.out.write_text(json.dumps(record, indent=2) + "\n")


if __name__ == "__main__":
    main()
