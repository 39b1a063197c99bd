"""What a record says of the code and the machine it came from."""

from __future__ import annotations

import os
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version

import exobench
from exobench.places import checkout

_PACKAGES = (
    "torch",
    "numpy",
    "scipy",
    "h5py",
    "hydra-core",
    "pandas",
    "sbi",
    "normflows",
    "zuko",
    "scikit-learn",
    "nautilus-sampler",
    "dynesty",
    "taurex",
    "optuna",
)


def code_version() -> dict[str, object]:
    """Version of exobench and, from a checkout, its git commit and whether files differ from it."""
    record: dict[str, object] = {"exobench": exobench.__version__, "commit": None, "modified": None}
    root = checkout()
    if root is None or not (root / ".git").exists():
        return record
    commit = _git(root.as_posix(), "rev-parse", "HEAD")
    if commit is not None:
        status = _git(root.as_posix(), "status", "--porcelain", "--untracked-files=no")
        record |= {"commit": commit, "modified": bool(status)}
    return record


def package_versions() -> dict[str, str]:
    """Versions of the installed packages that move numbers, and of Python."""
    found = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def hardware(device: str) -> dict[str, object]:
    """Processor, cores, memory and accelerator of this machine."""
    import torch

    return {
        "machine": platform.machine(),
        "processor": _processor_name(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "torch_threads": torch.get_num_threads(),
        "memory_gib": _memory_gib(),
        "device": device,
        "accelerator": torch.cuda.get_device_name(device) if device.startswith("cuda") else None,
    }


def _git(folder: str, *arguments: str) -> str | None:
    try:
        done = subprocess.run(["git", "-C", folder, *arguments], capture_output=True, text=True, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def _processor_name() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as lines:
            for line in lines:
                if line.startswith("model name"):
                    return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or "unknown"


def _memory_gib() -> float | None:
    try:
        return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1)
    except (ValueError, OSError, AttributeError):
        return None
