"""Which spectra a method trains on: the ``data`` group of the settings."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from exobench.data.storage import check_storage
from exobench.errors import ExobenchError, unknown_name

SHARDS, ONLINE = "shards", "online"
IMPORTED = ("exogan_osf",)
NAMES = (SHARDS, ONLINE, *IMPORTED)
DEFAULT_CACHE_GIB = 0.0625


@dataclass(frozen=True)
class DataChoice:
    """Where training spectra come from.

    Attributes:
        name: "shards" (made once, kept on disk), "online" (simulated whenever they are read) or the name of an import.
        storage: form of the shards, "float32" or "uint16".
        cache_gib: a split that takes no more memory than this, as stored, is kept there.
        key: folder of an imported set; needed only where there are several.
    """

    name: str = SHARDS
    storage: str = "float32"
    cache_gib: float = DEFAULT_CACHE_GIB
    key: str | None = None

    def __post_init__(self) -> None:
        if self.name not in NAMES:
            raise unknown_name("data", str(self.name), NAMES)
        check_storage(self.storage)
        is_number = isinstance(self.cache_gib, int | float) and not isinstance(self.cache_gib, bool)
        if not is_number or not 0 <= self.cache_gib < math.inf:
            raise ExobenchError(f"data.cache_gib={self.cache_gib} must be a number of GiB of at least 0.")

    @staticmethod
    def from_group(group: Mapping[str, Any]) -> DataChoice:
        """Checks a resolved ``data`` group.

        Raises:
            ExobenchError: one line that names the leaf, its value and what would be right.
        """
        names = [field.name for field in fields(DataChoice)]
        for name in group:
            if name not in names:
                raise unknown_name("setting", f"data.{name}", [f"data.{valid}" for valid in names])
        return DataChoice(**group)

    @property
    def is_imported(self) -> bool:
        """Whether the spectra came from elsewhere; their task then has another task_id."""
        return self.name in IMPORTED

    @property
    def cache_bytes(self) -> int:
        """``cache_gib`` in bytes."""
        return int(self.cache_gib * 2**30)

    def describe(self) -> dict[str, object]:
        """What of it moves a method's scores."""
        return {"name": self.name, "storage": self.storage if self.name == SHARDS else "float32"}

    def for_floor(self) -> DataChoice:
        """The choice of a method that learns from no spectra: all that is left of it is the test set."""
        return DataChoice(self.name, key=self.key) if self.is_imported else DataChoice()
