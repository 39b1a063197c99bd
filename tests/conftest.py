"""Shared fixtures."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch


@pytest.fixture(scope="session")
def data_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One data folder for all tests of a session: shared data sets are made once."""
    return tmp_path_factory.mktemp("data")


@pytest.fixture(autouse=True, scope="session")
def _no_data_in_the_checkout(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Commands that are told no data folder make their spectra where the session's other files lie."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EXOBENCH_DATA", str(tmp_path_factory.mktemp("default_data")))
        yield


@pytest.fixture(autouse=True, scope="session")
def _two_threads() -> None:
    torch.set_num_threads(2)
