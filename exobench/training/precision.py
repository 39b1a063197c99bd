"""The precision of matrix products in training."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import torch


def resolved_precision(precision: str, device: str) -> str:
    """The precision that is used: float32 on a CPU, and on a GPU the one asked for, "auto" being bfloat16."""
    if not device.startswith("cuda"):
        return "float32"
    if precision == "auto":
        return "bfloat16" if torch.cuda.is_bf16_supported() else "float32"
    return precision


def autocast(precision: str, device: str) -> AbstractContextManager[object]:
    """Mixed precision for the forward pass, where the resolved precision is bfloat16."""
    if precision != "bfloat16":
        return nullcontext()
    return torch.autocast(device.split(":")[0], dtype=torch.bfloat16)


@contextmanager
def matrix_products(precision: str) -> Iterator[None]:
    """Lets float32 products round their inputs to TF32 on a GPU; only for "tf32", and only inside."""
    before = torch.get_float32_matmul_precision()
    if precision == "tf32":
        torch.set_float32_matmul_precision("high")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)
