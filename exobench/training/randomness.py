"""Random numbers that are a pure function of a seed, in modules that draw from torch's global generators."""

from __future__ import annotations

import torch


def seed_global(seed: int, device: str) -> None:
    """Seeds torch's global generators of the CPU and of one device.

    ``torch.manual_seed`` does so for every kind of device, at 0.2 ms a call: too much for each step.
    """
    torch.default_generator.manual_seed(seed)
    if device.startswith("cuda"):
        torch.cuda.manual_seed(seed)
