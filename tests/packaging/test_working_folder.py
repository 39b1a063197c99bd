"""A folder that only bears the package's name does not break commands in silence."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

EDITABLE = any("__editable___exobench" in getattr(finder, "__module__", "") for finder in sys.meta_path)


@pytest.mark.skipif(not EDITABLE, reason="an installed wheel comes before such a folder")
@pytest.mark.parametrize("command", ["exobench", "exobench.show", "exobench.report"])
def test_the_folder_above_a_checkout_is_named_as_the_wrong_place(tmp_path, command):
    (tmp_path / "exobench" / "data").mkdir(parents=True)
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    started = [sys.executable, "-m", command, "--help"]
    done = subprocess.run(started, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode != 0
    (said,) = done.stderr.strip().splitlines()
    assert f"the folder {tmp_path / 'exobench'} for the package exobench" in said
    assert f"not in {tmp_path}." in said
