"""Opacity files that come with installed packages, found without running any of their code."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from exobench.errors import MissingDependencyError


def package_folder(package: str, *inside: str) -> Path:
    """A folder of an installed package.

    Args:
        package: its import name.
        *inside: names of the folders below the package.

    Raises:
        MissingDependencyError: the package is not installed or has no such folder.
    """
    spec = find_spec(package)
    places = list(spec.submodule_search_locations or ()) if spec else []
    for place in places:
        folder = Path(place).joinpath(*inside)
        if folder.is_dir():
            return folder
    what = "is not installed" if not places else f"has no folder {'/'.join(inside)}"
    raise MissingDependencyError(
        f"the package {package} {what}; run: pip install {package}, or give a folder of opacities as opacities.path."
    )
