"""Tables as files: CSV for people, Parquet for programs."""

from __future__ import annotations

import os
from pathlib import Path

import pandas as pd

SUFFIXES = ("csv", "parquet")


def write_table(frame: pd.DataFrame, folder: Path, name: str) -> None:
    """Writes ``name.csv`` and ``name.parquet``, each at once; columns of text stay text, gaps are empty.

    Args:
        frame: the table.
        folder: made if missing.
        name: without a suffix.
    """
    folder.mkdir(parents=True, exist_ok=True)
    typed = frame.copy()
    for column in typed.columns:
        if pd.api.types.is_numeric_dtype(typed[column]) or isinstance(typed[column].dtype, pd.StringDtype):
            continue
        known = typed[column].dropna()
        typed[column] = (
            pd.to_numeric(typed[column])
            if len(known) and known.map(lambda v: isinstance(v, int | float)).all()
            else typed[column].map(lambda v: None if v is None else str(v)).astype("string")
        )
    for suffix in SUFFIXES:
        path = folder / f"{name}.{suffix}"
        part = path.with_name(f"{path.name}.{os.getpid()}.part")
        if suffix == "csv":
            typed.to_csv(part, index=False)
        else:
            typed.to_parquet(part, index=False, engine="pyarrow")
        os.replace(part, path)
