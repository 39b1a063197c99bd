"""Which device to compute on."""

from __future__ import annotations

from exobench.errors import ExobenchError


def resolve_device(name: str) -> str:
    """Turns "auto" into "cuda:0" where there is one, else "cpu", and checks any other name.

    Raises:
        ExobenchError: if the device does not exist here.
    """
    import torch

    if name == "auto":
        return "cuda:0" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError:
        raise ExobenchError(f"device={name} is no device; valid: auto, cpu, cuda, cuda:0, cuda:1, ...") from None
    if device.type == "cpu":
        return "cpu"
    n_device = torch.cuda.device_count() if device.type == "cuda" else 0
    index = device.index or 0
    if index >= n_device:
        raise ExobenchError(f"device={name}: this machine has {n_device} CUDA devices; valid: auto, cpu.")
    return f"cuda:{index}"


def peak_device_bytes(device: str) -> int | None:
    """Largest memory that this process took of an accelerator; None on a CPU."""
    if not device.startswith("cuda"):
        return None
    import torch

    return int(torch.cuda.max_memory_allocated(device))
