"""exobench: a benchmark suite of simulation-based inference for exoplanet atmospheres."""

__version__ = "0.1.0"
