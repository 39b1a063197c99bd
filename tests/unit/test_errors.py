"""Names that do not exist: the message offers the one that was meant, and all that there are."""

from __future__ import annotations

import pytest

from exobench.errors import unknown_name

NAMES = ["npe", "npse", "noise_10ppm", "noise_5ppm"]


@pytest.mark.parametrize(("given", "meant"), [("npee", "npe"), ("noise_10pm", "noise_10ppm"), ("noi", "noise_10ppm")])
def test_the_nearest_name_or_one_that_begins_so_is_offered(given, meant):
    assert f"there is no shift '{given}'. Did you mean '{meant}'? Valid: noise_10ppm," in str(
        unknown_name("shift", given, NAMES)
    )


@pytest.mark.parametrize("given", ["", "qqq"])
def test_nothing_is_offered_for_what_is_like_no_name(given):
    assert str(unknown_name("shift", given, NAMES)) == (
        f"there is no shift '{given}'. Valid: noise_10ppm, noise_5ppm, npe, npse."
    )
