"""``python -m exobench.metrics``: scores of posterior draws that no run of exobench made."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from exobench.errors import ExobenchError
from exobench.small_commands import command_arguments, failing_in_one_line, split_arguments, with_output_help

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from exobench.draw_files import DrawSet

HELP = """usage: python -m exobench.metrics DRAWS_FILE [DRAWS_FILE ...] [KEY=VALUE ...]

Scores posterior draws of many spectra against the true parameters: accuracy, calibration, and where they fail. Prints a
table with standard errors, and writes scores.json (every score) and scores.h5 (the arrays behind them, one row for each
spectrum). DRAWS_FILE is one of

  draws.h5      HDF5 with theta (obs, draw, param), theta_true (obs, param), names, low and high (param,); optional:
                log_weight (obs, draw), log_prob (obs, draw), log_prob_true (obs,), prior_log_prob (obs,), the
                likelihood's log_likelihood (obs, draw) and log_likelihood_true (obs,), x and sigma (obs, bin), units;
                a run's own draws.h5 is such a file
  all.nc        NetCDF as ArviZ writes it, all spectra: posterior variables (chain, draw, obs), one for each parameter
  one.nc ...    one NetCDF file for each spectrum: posterior variables (chain, draw)

settings, with their defaults:
  prior=             CSV with columns name, low, high and perhaps unit: the parameters in order and the ends of their
                     uniform prior; HDF5 may hold them, NetCDF needs it
  truths=            CSV with one column for each parameter, and a column file where each spectrum has its own; or HDF5
                     with theta_true. Default: in the HDF5 file, or in the NetCDF file's group constant_data
  n_obs=             use the first spectra only; default: all
  seed=0             of the random parts of ranks, and of the bootstrap
  n_bootstrap=1000   resamples behind each standard error
  out=.              folder of scores.json and scores.h5
"""

_DEFAULTS = {"prior": "", "truths": "", "n_obs": "", "seed": "0", "n_bootstrap": "1000", "out": "."}
_LEAST = {"n_obs": 1, "seed": 0, "n_bootstrap": 2}

SCORES_JSON, SCORES_H5 = "scores.json", "scores.h5"
REGION_METRICS = ("energy_score", "hit_rate_10", "coverage_68")
FEWEST_FOR_REGIONS = 100


@dataclass(frozen=True)
class ScoreRequest:
    """What the command line asks for: files of draws and checked values."""

    files: tuple[Path, ...]
    values: dict[str, str]

    def path(self, key: str) -> Path | None:
        """A path, or None where it was not given."""
        return Path(self.values[key]) if self.values[key] else None

    def whole(self, key: str) -> int | None:
        """A whole number, or None where it was not given."""
        return int(self.values[key]) if self.values[key] else None


def main(arguments: Sequence[str] | None = None) -> None:
    """Scores; wrong input ends with one line on stderr and exit status 2."""
    given = command_arguments(arguments)
    if not given or any(argument in ("-h", "--help") for argument in given):
        print(with_output_help(HELP), end="")
        return
    with failing_in_one_line():
        _run(parse(given))


def parse(arguments: Sequence[str]) -> ScoreRequest:
    """Reads files and KEY=VALUE arguments.

    Raises:
        ExobenchError: for an unknown key, a wrong value, or files that are not there.
    """
    values, files = split_arguments(arguments, _DEFAULTS, is_place=Path.exists, whole=_LEAST)
    if not files:
        raise ExobenchError("name a file of draws, such as draws.h5 (--help shows what it holds).")
    request = ScoreRequest(tuple(files), values)
    for path in (*files, request.path("prior"), request.path("truths")):
        if path is not None and not path.is_file():
            raise _no_file(path)
    return request


def _no_file(path: Path) -> ExobenchError:
    """Says what is wrong with a path that is no file; of a run's folder, which file is meant."""
    if not path.is_dir():
        return ExobenchError(f"{path}: there is no such file.")
    from exobench.results import DRAWS

    if (path / DRAWS).is_file():
        return ExobenchError(f"{path} is a folder; name the file of draws in it: {path / DRAWS}.")
    return ExobenchError(f"{path} is a folder, and there is no {DRAWS} in it; name a file (--help shows which).")


def _run(request: ScoreRequest) -> None:
    import numpy as np

    from exobench.draw_files import read_draws
    from exobench.files import write_atomically
    from exobench.metrics.aggregate import aggregate
    from exobench.metrics.calibration import calibration_verdict
    from exobench.metrics.per_spectrum import per_spectrum
    from exobench.metrics.score import METRICS_VERSION
    from exobench.results import write_arrays
    from exobench.score_table import score_table

    draws = read_draws(request.files, request.path("prior"), request.path("truths"), request.whole("n_obs"))
    inputs, seed = draws.inputs, request.whole("seed") or 0
    n_bootstrap = request.whole("n_bootstrap") or int(_DEFAULTS["n_bootstrap"])
    arrays = per_spectrum(inputs, np.random.default_rng(seed)) | draws.columns
    scores = aggregate(arrays, inputs.names, inputs.low, inputs.high, n_bootstrap=n_bootstrap, seed=seed)
    verdict = calibration_verdict(arrays["rank"], inputs.names)
    print(score_table(draws, scores, verdict))
    out = Path(request.values["out"])
    document = {
        "metrics_version": METRICS_VERSION,
        "files": [str(path) for path in request.files],
        **{key: value or None for key, value in request.values.items() if key != "out"},
        **_facts(draws),
        "calibration": asdict(verdict),
        "scores": [score.to_dict() for score in scores],
        "regions": _regions(draws, arrays, n_bootstrap, seed),
    }
    try:
        out.mkdir(parents=True, exist_ok=True)
        write_arrays(out / SCORES_H5, arrays)
        text = json.dumps(document, indent=1, allow_nan=False) + "\n"
        write_atomically(out / SCORES_JSON, text.encode())
    except OSError as error:
        raise ExobenchError(f"out={out}: the scores cannot be written there: {error}.") from error
    print(f"\nEvery score: {out / SCORES_JSON}\nEvery spectrum: {out / SCORES_H5}")


def _facts(draws: DrawSet) -> dict[str, Any]:
    inputs = draws.inputs
    box = zip(inputs.names, inputs.units, inputs.low, inputs.high, strict=True)
    return {
        "n_obs": inputs.n_obs,
        "n_draws": inputs.n_draws,
        "parameters": [
            {"name": name, "unit": unit, "low": float(low), "high": float(high)} for name, unit, low, high in box
        ],
        "notes": list(draws.notes),
    }


def _regions(draws: DrawSet, arrays: dict[str, NDArray[Any]], n_bootstrap: int, seed: int) -> list[dict[str, object]]:
    """Scores by region; empty for so few spectra that a fifth of them says nothing."""
    from exobench.metrics.catalogue import find_metric
    from exobench.metrics.regions import scores_by_region

    inputs = draws.inputs
    if inputs.n_obs < FEWEST_FOR_REGIONS:
        return []
    metrics = [find_metric(name) for name in REGION_METRICS]
    found = scores_by_region(
        arrays, inputs.names, inputs.low, inputs.high, metrics=metrics, n_bootstrap=n_bootstrap, seed=seed
    )
    return [_finite(row.to_dict()) for row in found]


def _finite(row: dict[str, object]) -> dict[str, object]:
    """The row with None for a region's end that is infinite, which JSON cannot hold."""
    return {key: None if value in (float("inf"), float("-inf")) else value for key, value in row.items()}
