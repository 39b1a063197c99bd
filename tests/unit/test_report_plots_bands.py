"""Bands are what chance allows, maps and tables hold the numbers of the records, and fewer spectra are marked."""

import numpy as np
import pytest
from report_plot_records import section_of, small_task, spectra_of, write_posterior
from scipy import stats

from exobench.metrics.calibration import coverage_band
from exobench.report.plots.bands import bar_band, curve_bands, simultaneous_half_width
from exobench.report.plots.coverage import curves, describe_coverage, draw_coverage, draw_tarp
from exobench.report.plots.heat import draw_accuracy, draw_calibration
from exobench.report.plots.ranks import HIGHEST, describe_run_sbc, describe_sbc, draw_sbc, heights, p_words
from exobench.report.plots.summary import LEVELS, at_size

N_MANY, N_FEW = 200, 25
FLAT = 0.42


@pytest.fixture(scope="module")
def shown(tmp_path_factory):
    """Exact and wrong draws of 200 spectra (100 are shared), and exact ones of the first 25."""
    root, task = tmp_path_factory.mktemp("bands"), small_task()
    test = spectra_of(task, n_obs=N_MANY)
    for method, shrink in (("right", 1.0), ("narrow", 0.3), ("wide", 2.0)):
        write_posterior(root / "runs", task, test, method, shrink=shrink)
    write_posterior(root / "runs", task, test, "brief", n_obs=N_FEW)
    return section_of(root / "runs", root / "reports")


def arrays_of(section, method, n_obs):
    entry = next(entry for entry in section.scored if entry.method == method)
    return {name: values[:n_obs] for name, values in entry.record.per_spectrum().items()}


@pytest.mark.parametrize(("n_obs", "n_bins"), [(25, 5), (1000, 20), (10_000, 20)])
def test_the_band_of_bars_is_the_binomial_interval(n_obs, n_bins):
    wanted = np.array(stats.binom.interval(0.95, n_obs, 1.0 / n_bins)) * n_bins / n_obs
    assert np.allclose(bar_band(n_obs, n_bins), wanted)


@pytest.mark.parametrize("difference", [True, False])
def test_bands_of_curves_are_the_kolmogorov_and_the_binomial_one(difference):
    base = np.array([*LEVELS, *LEVELS[::-1]]) if difference else 0.0
    wide, narrow = (np.array(trace["y"]) + base for trace in curve_bands(400, 0, legend=True, difference=difference))
    half = stats.kstwo.ppf(0.95, 400)
    n = len(LEVELS)
    assert np.allclose(wide[:n], np.clip(LEVELS - half, 0.0, 1.0), atol=1e-3)
    lower, upper = coverage_band(LEVELS, 400)
    assert np.allclose(narrow[:n], lower, atol=1e-3)
    assert np.allclose(narrow[n:], upper[::-1], atol=1e-3)


def test_cells_of_the_accuracy_map_are_the_scores_of_the_shared_spectra(shown):
    section, caches = shown
    skill, within_10, within_1 = draw_accuracy(section, caches)["data"]
    assert skill["y"] == ["narrow", "right", "wide", "brief (25)"]
    for method, row, n_obs in (("right", 1, 100), ("brief", 3, N_FEW)):
        arrays = arrays_of(section, method, n_obs)
        truth = arrays["theta_true"]
        wanted = 1.0 - arrays["squared_error"].mean(axis=0) / ((truth - truth.mean(axis=0)) ** 2).mean(axis=0)
        assert np.allclose(skill["z"][row], wanted, atol=2e-2)
        for share, found in ((0.1, within_10), (0.01, within_1)):
            hits = (np.abs(arrays["range_error"]) <= share).mean(axis=0)
            assert np.allclose(found["z"][row], hits, atol=1e-3)


def test_cells_of_the_calibration_map_are_coverage_minus_level_coloured_by_its_error(shown):
    section, caches = shown
    central = draw_calibration(section, caches)["data"][0]
    for row, method, n_obs in ((0, "narrow", 100), (3, "brief", N_FEW)):
        ranks = arrays_of(section, method, n_obs)["rank"]
        error = (2.0 * np.abs(ranks - 0.5) <= 0.68).mean(axis=0) - 0.68
        shown_text = [float(text.replace("\u2212", "-")) for text in central["text"][row]]
        assert np.allclose(shown_text, 100.0 * error, atol=0.051)
        assert np.allclose(central["z"][row], error / np.sqrt(0.68 * 0.32 / n_obs), rtol=1e-3)


def test_curves_of_fewer_spectra_wait_in_the_legend_with_their_number(shown):
    section, caches = shown
    for figure in (draw_coverage(section, caches), draw_tarp(section, caches)):
        hidden = {trace["name"] for trace in figure["data"] if trace.get("visible") == "legendonly"}
        assert hidden == {"brief (25)"}
    assert "brief (25)" in describe_coverage(section, caches)


def test_the_frame_holds_the_band_and_is_not_that_of_the_worst_method(shown):
    section, caches = shown
    low, high = draw_coverage(section, caches)["layout"]["yaxis"]["range"]
    worst = max(np.abs(curve.error).max() for curve in curves(section, caches, "coverage"))
    assert -low == high
    assert simultaneous_half_width(100) < high < worst


def test_the_table_of_histograms_has_the_heights_of_the_counts(shown):
    section, caches = shown
    figure = draw_sbc(section, caches)
    names = figure["layout"]["yaxis"]["ticktext"]
    assert names == ["narrow", "right", "wide", "brief (25)"]
    bars = [trace for trace in figure["data"] if trace["name"] == "bars"]
    assert len(bars) == len(section.parameters)
    for row, (method, n_obs) in enumerate((("narrow", 100), ("right", 100), ("wide", 100), ("brief", N_FEW))):
        entry = next(entry for entry in section.scored if entry.method == method)
        counts = at_size(entry, caches, n_obs)["counts"]
        assert [sum(each) for each in counts] == [n_obs] * len(counts)
        for trace, each in zip(bars, counts, strict=True):
            pieces = " ".join("|" if y is None else repr(y) for y in trace["y"]).split("|")
            steps = np.array([float(y) for y in pieces[row].split()])[1:-1:2]
            assert np.allclose((steps + row) / FLAT, np.minimum(heights(each), HIGHEST), atol=5e-3)


def test_each_row_of_the_table_has_the_band_of_its_own_spectra(shown):
    section, caches = shown
    figure = draw_sbc(section, caches)
    band = next(trace for trace in figure["data"] if trace["name"].startswith("95 %"))
    edges = [y for y in band["y"] if y is not None]
    for row, (n_obs, n_bins) in enumerate([(100, 20)] * 3 + [(N_FEW, 5)]):
        lower, upper = bar_band(n_obs, n_bins)
        wanted = FLAT * min(lower, HIGHEST) - row, FLAT * min(upper, HIGHEST) - row
        assert (min(edges[5 * row : 5 * row + 5]), max(edges[5 * row : 5 * row + 5])) == pytest.approx(wanted, abs=1e-3)


def test_words_name_the_shape_of_histograms_that_are_not_flat(shown):
    section, caches = shown
    words = dict(part.split(" ", 1) for part in describe_sbc(section, caches).split(": ", 1)[1].split("; "))
    assert "a bowl" in words["narrow"]
    assert "a hill" in words["wide"]
    assert "," not in words["right"]
    narrow = next(entry for entry in section.scored if entry.method == "narrow")
    assert describe_run_sbc(narrow, caches).count("a bowl") == len(section.parameters)


@pytest.mark.parametrize(("p", "wanted"), [(0.0, "below 1e-6"), (0.0123, "0.012"), (1.0, "1")])
def test_p_values_in_words(p, wanted):
    assert p_words(p) == wanted
