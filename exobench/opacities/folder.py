"""Which file of a folder describes which gas or pair."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from filecmp import cmp
from pathlib import Path

from exobench.errors import ExobenchError
from exobench.opacities.load_cia import NEMESIS_SUFFIX, PAIR_SUFFIXES
from exobench.opacities.load_exok import is_for_exo_k
from exobench.opacities.load_ktables import gas_of_k_table, is_k_table
from exobench.opacities.load_taurex import HDF5_SUFFIXES, PICKLE_SUFFIXES, gas_of_file

_NEMESIS_PAIRS = (("H2", "H2"), ("H2", "He"))


@dataclass(frozen=True)
class OpacityFolder:
    """The opacity files of a folder and of the folders one level below.

    Attributes:
        path: the folder.
        k_tables: files with k-tables.
        cross_sections: TauREx cross-section files.
        others: every other file.
    """

    path: Path
    k_tables: tuple[Path, ...]
    cross_sections: tuple[Path, ...]
    others: tuple[Path, ...]

    @classmethod
    def open(cls, path: str | Path) -> OpacityFolder:
        """Looks through a folder; HDF5 and pickle files are told apart by what is in them.

        Raises:
            ExobenchError: the path is not a folder, or an HDF5 file in it is broken.
        """
        folder = Path(path).expanduser()
        if not folder.is_dir():
            raise ExobenchError(
                f"opacities path '{folder}' is not a folder; give one with TauREx .h5 or .pickle files, "
                "NEMESIS .kta files or other opacities."
            )
        files = sorted(file for file in (*folder.glob("*"), *folder.glob("*/*")) if file.is_file())
        k_tables, cross_sections, others = [], [], []
        for file in files:
            try:
                if is_k_table(file):
                    k_tables.append(file)
                elif file.suffix in HDF5_SUFFIXES + PICKLE_SUFFIXES and not _names_a_pair(file):
                    cross_sections.append(file)
                else:
                    others.append(file)
            except OSError as error:
                raise ExobenchError(f"{file}: cannot be read ({error}).") from error
        return cls(folder, tuple(k_tables), tuple(cross_sections), tuple(others))

    def k_table(self, gas: str) -> Path | None:
        """The k-table file of a gas, None where there is none; equal copies count once.

        Raises:
            ExobenchError: there are several that differ.
        """
        return _only(self.path, gas, self.k_tables, gas_of_k_table, copies=True)

    def cross_section(self, gas: str) -> Path | None:
        """The cross-section file of a gas; HDF5 goes before the older pickle.

        Raises:
            ExobenchError: there are several, equal or not.
        """
        for suffixes in (HDF5_SUFFIXES, PICKLE_SUFFIXES):
            found = _only(self.path, gas, [f for f in self.cross_sections if f.suffix in suffixes], gas_of_file)
            if found is not None:
                return found
        return None

    def for_exo_k(self, gas: str) -> Path | None:
        """A file that the optional package exo_k may read."""
        return next((file for file in self.others if is_for_exo_k(file, gas)), None)

    def pair(self, pair: tuple[str, str]) -> Path | None:
        """The file with the collision-induced absorption of a pair: one named after it, else a NEMESIS table."""
        name = "-".join(pair)
        for file in self.others:
            if file.suffix in PAIR_SUFFIXES and re.search(rf"(^|_){name}([._]|$)", file.name):
                return file
        tables = [file for file in self.others if file.suffix == NEMESIS_SUFFIX and "cia" in file.name.lower()]
        return tables[0] if tables and pair in _NEMESIS_PAIRS else None


def _names_a_pair(file: Path) -> bool:
    # Isotopes and pairs both have hyphens, but an HDF5 file of a gas says which gas it is.
    if file.suffix in HDF5_SUFFIXES and gas_of_file(file):
        return False
    return file.suffix in HDF5_SUFFIXES or "-" in gas_of_file(file)


def _only(
    folder: Path, gas: str, files: Sequence[Path], gas_of: Callable[[Path], str], *, copies: bool = False
) -> Path | None:
    found = [file for file in files if gas_of(file) == gas]
    if len(found) > 1 and not (copies and all(cmp(found[0], file, shallow=False) for file in found[1:])):
        raise ExobenchError(f"two files for {gas} in '{folder}': {found[0].name} and {found[1].name}; keep one.")
    return found[0] if found else None
