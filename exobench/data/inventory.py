"""What data sets there are, in words."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from exobench.data.manifest import MANIFEST_NAME, Manifest, load_manifest, manifest_of
from exobench.data.recipe import SPLITS, DataRecipe
from exobench.data.shard import has_right_size
from exobench.errors import ExobenchError


def describe_set(recipe: DataRecipe, root: Path) -> list[str]:
    """Lines about one data set: what it is, and what of it is there in full length.

    Raises:
        ExobenchError: its folder holds another data set, or a damaged manifest.
    """
    folder = recipe.folder(root)
    manifest = manifest_of(recipe, folder)
    space = recipe.prior.space
    lines = [
        f"data set {recipe.key} of task {recipe.task_name}",
        f"  folder:      {folder}",
        f"  wavelength:  {recipe.n_bin} bins, {recipe.wavelength_um[0]:.4g} to {recipe.wavelength_um[-1]:.4g} um",
        f"  storage:     {recipe.storage}, {recipe.shard_bytes / recipe.shard_rows:,.0f} bytes a spectrum, "
        f"{recipe.shard_rows:,} spectra a shard",
        f"  data_seed:   {recipe.data_seed}",
        *(f"  {name + ':':12} {value}" for name, value in _flat(recipe.describe)),
        "  parameters:  " + ", ".join(f"{p.name} {p.low:g} to {p.high:g} {p.unit}".strip() for p in space.parameters),
    ]
    for split in SPLITS:
        entries = manifest.shards[split]
        missing = [entry.file for entry in entries.values() if not has_right_size(folder, entry)]
        n_byte = sum(entry.bytes for entry in entries.values())
        state = f"{manifest.rows(split):,} spectra in {len(entries):,} shards, {n_byte / 1e9:.2f} GB"
        lines.append(f"  {split + ':':12} {state}{f', {len(missing)} of them missing or cut short' if missing else ''}")
    return lines


def list_sets(root: Path) -> list[str]:
    """One line for every data set under a data root; damaged manifests are named, not raised."""
    rows = [line for path in sorted(Path(root).glob(f"*/*/{MANIFEST_NAME}")) for line in _one_line(path.parent)]
    return [f"data sets in {root}:", *(rows or ["  none"])]


def _one_line(folder: Path) -> Iterator[str]:
    try:
        manifest = load_manifest(folder)
    except ExobenchError as error:
        yield f"  {folder.name}: {error}"
        return
    if manifest is not None and any(manifest.shards.values()):
        counts = ", ".join(f"{split} {manifest.rows(split):,}" for split in SPLITS if manifest.shards[split])
        size = f"{_bytes(manifest) / 1e9:.2f} GB"
        yield f"  {folder.parent.name}/{folder.name}: {_kind(manifest)}, {counts} spectra, {size}"


def _kind(manifest: Manifest) -> str:
    storage = str(manifest.configuration.get("storage", {}).get("depth", "?")).split()[0]
    description = manifest.configuration.get("description", {})
    return f"{description.get('source') or description.get('kind', '?')}, {storage}"


def _bytes(manifest: Manifest) -> int:
    return sum(entry.bytes for entries in manifest.shards.values() for entry in entries.values())


def _flat(described: Any) -> Iterator[tuple[str, object]]:
    for name, value in sorted(dict(described).items()):
        if value is not None and not isinstance(value, dict):
            yield name, ", ".join(map(str, value)) if isinstance(value, list | tuple) else value
