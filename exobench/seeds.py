"""Seeds: every random number follows from names, so that order of work and number of workers never matter."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch


def stable_hash(content: object, n_hex: int = 12) -> str:
    """Hashes JSON-able content; the same on every machine and in every process."""
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:n_hex]


def derived_seed(*parts: object) -> int:
    """A 63-bit seed that is a pure function of its parts, each turned into text.

    Data seeds are derived from (data_seed, task, split, shard); fitting and sampling seeds from
    (seed, task, method, repetition, stage).
    """
    return int(stable_hash([str(part) for part in parts], n_hex=16), 16) >> 1


def rng_for(*parts: object) -> np.random.Generator:
    """A numpy generator seeded by ``derived_seed``."""
    return np.random.default_rng(derived_seed(*parts))


def torch_generator(rng: np.random.Generator, device: str | torch.device = "cpu") -> torch.Generator:
    """A torch generator on a device whose seed is drawn from a numpy generator."""
    import torch

    return torch.Generator(device=device).manual_seed(int(rng.integers(2**62)))
