"""The page's figures say what is true of draws whose truth is known, and are what plotly takes."""

import json

import numpy as np
import pytest
from report_plot_records import N_OBS, section_of, small_task, spectra_of, write_posterior
from report_records import make_record

from exobench.predictive_bands import write_predictive
from exobench.report.entries import ParameterNote
from exobench.report.plots import DARK, LIGHT, RUN_FIGURES, TASK_FIGURES
from exobench.report.plots.bands import bar_band, simultaneous_half_width
from exobench.report.plots.coverage import draw_coverage
from exobench.report.plots.layout import rounded
from exobench.report.plots.outlines import outlines, view_of
from exobench.report.plots.palette import method_styles
from exobench.report.plots.ranks import draw_run_sbc
from exobench.report.plots.run_calibration import draw_run_coverage, draw_run_tarp
from exobench.report.plots.summary import LEVELS, mean_energy
from exobench.report.plots.text import label, safe

MARKUP = '<a href="https://example.org">x</a>'


N_SHARED = 100
"""The largest nested test set among so many spectra."""


class Drawn:
    """What `write_predictive` takes of draws."""

    def __init__(self, theta):
        self.theta, self.log_weight = theta, None


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Exact draws, overconfident ones, and exact ones of the first hundred spectra that saw a larger budget."""
    root = tmp_path_factory.mktemp("runs")
    task = small_task()
    test = spectra_of(task)
    write_posterior(root, task, test, "exact")
    write_posterior(root, task, test, "narrow", shrink=0.4, cost={"seconds_per_posterior": 0.1})
    record = write_posterior(root, task, test, "wide", shrink=1.4)
    theta = task.exact.sample(test.x[:5], test.sigma[:5], 50, rng=np.random.default_rng(1))
    write_predictive(task, test, Drawn(theta), record.folder)
    (record.folder / "scalars.csv").write_text("loss/train,1,2.5\nloss/train,2,1.5\nlearning_rate,1,0.1\nbroken\n")
    return root


@pytest.fixture(scope="module")
def shown(runs, tmp_path_factory):
    return section_of(runs, tmp_path_factory.mktemp("reports"))


def entry_of(section, method):
    return next(entry for entry in section.entries if entry.method == method)


def curves(figure, name):
    return [np.array(trace["y"], float) for trace in figure["data"] if trace.get("name") == name]


def test_coverage_of_exact_draws_stays_in_the_band_and_that_of_narrow_ones_leaves_it(shown):
    figure, half = draw_coverage(*shown), simultaneous_half_width(N_SHARED)
    for error in curves(figure, "exact"):
        assert np.abs(error).max() <= half
    for error in curves(figure, "narrow"):
        assert error.min() < -half
    for error in curves(figure, "wide"):
        assert error.max() > half


def test_the_wide_band_holds_whole_curves_of_uniform_ranks_at_its_rate():
    depth = np.sort(np.random.default_rng(0).random((2000, 50)), axis=1)
    steps = np.arange(51) / 50
    distance = np.maximum(steps[1:] - depth, depth - steps[:-1]).max(axis=1)
    assert np.mean(distance <= simultaneous_half_width(50)) == pytest.approx(0.95, abs=0.015)


def test_the_pointwise_band_lies_inside_the_simultaneous_one(shown):
    wide, narrow = (np.array(trace["y"]) for trace in draw_coverage(*shown)["data"][:2])
    upper = slice(len(LEVELS), None)
    assert (narrow[upper] <= wide[upper] + 1e-4).all()


def test_histograms_of_ranks_count_every_spectrum_and_exact_ones_are_flat(shown):
    section, caches = shown
    figure = draw_run_sbc(entry_of(section, "exact"), caches)
    bars = [trace for trace in figure["data"] if trace["type"] == "bar"]
    assert len(bars) == len(section.parameters)
    for trace in bars:
        assert sum(trace["customdata"]) == N_OBS
        assert np.mean(trace["y"]) == pytest.approx(1.0, abs=1e-3)
        lower, upper = bar_band(N_OBS, len(trace["y"]))
        assert np.mean((np.array(trace["y"]) >= lower) & (np.array(trace["y"]) <= upper)) >= 0.8


def test_tarp_of_exact_draws_stays_in_its_band_and_that_of_narrow_ones_leaves_it(shown):
    section, caches = shown
    error = {
        method: curves(draw_run_tarp(entry_of(section, method), caches), "TARP")[0] - LEVELS
        for method in ("exact", "narrow")
    }
    half = simultaneous_half_width(N_OBS)
    assert np.abs(error["exact"]).max() <= half < np.abs(error["narrow"]).max()


def test_a_run_shows_the_coverage_that_its_ranks_have(shown):
    section, caches = shown
    entry = entry_of(section, "narrow")
    ranks = entry.record.per_spectrum()["rank"]
    wanted = [np.mean(2.0 * np.abs(ranks[:, 0] - 0.5) <= level) for level in LEVELS]
    figure = draw_run_coverage(entry, caches)
    assert np.allclose(curves(figure, label(entry.parameters[0]))[0], wanted, atol=1e-4)


def test_statistics_of_leading_spectra_are_those_of_a_run_on_them_alone(shown):
    section, caches = shown
    entry = entry_of(section, "wide")
    energy = entry.record.per_spectrum()["energy_score"][:100]
    mean, error = mean_energy(entry, caches, 100)
    assert mean == pytest.approx(energy.mean())
    assert error == pytest.approx(energy.std(ddof=1) / 10.0)


def test_every_figure_is_what_plotly_takes_and_plain_json(shown):
    from plotly.graph_objects import Figure

    section, caches = shown
    made = {spec.name: spec.draw(section, caches) for spec in TASK_FIGURES}
    made |= {f"run {spec.name}": spec.draw(entry_of(section, "wide"), caches) for spec in RUN_FIGURES}
    absent = {"learning", "robustness", "run diagnostics"}
    assert {name for name, figure in made.items() if figure is None} == absent
    for name, figure in made.items():
        if figure is not None:
            read = json.loads(json.dumps(figure, allow_nan=False))
            assert read == figure, name
            Figure(read)  # which changes what it is given
            assert figure["layout"]["paper_bgcolor"] == "rgba(0,0,0,0)"


def test_every_figure_is_described_in_words_and_explained_twice(shown):
    section, caches = shown
    for spec, what in [(s, section) for s in TASK_FIGURES] + [(s, entry_of(section, "wide")) for s in RUN_FIGURES]:
        assert spec.for_astronomer.endswith(".")
        assert spec.for_ml.endswith(".")
        assert spec.for_astronomer.count(". ") == 0
        assert spec.for_ml.count(". ") == 0
        assert spec.needs
        if spec.draw(what, caches) is not None:
            assert spec.describe(what, caches).endswith(".")


def test_a_record_without_fields_or_files_gives_no_figure_and_no_error(tmp_path):
    def strip(content):
        for key in ("cost", "scores", "calibration", "diagnostics", "figures", "config"):
            content.pop(key, None)

    make_record(tmp_path / "runs", "bare", n_test=5, change=strip)
    section, caches = section_of(tmp_path / "runs", tmp_path / "reports")
    made = {spec.name: spec.draw(section, caches) for spec in TASK_FIGURES}
    assert {name for name, figure in made.items() if figure is not None} == {"accuracy"}
    made = {spec.name: spec.draw(section.entries[0], caches) for spec in RUN_FIGURES}
    assert {name for name, figure in made.items() if figure is not None} == {"scatter", "energy"}


def test_records_of_another_version_of_the_scores_are_not_drawn_together(tmp_path):
    make_record(tmp_path / "runs", "old", change=lambda content: content.update(metrics_version=0))
    section, caches = section_of(tmp_path / "runs", tmp_path / "reports")
    assert all(spec.draw(section, caches) is None for spec in TASK_FIGURES)


def test_names_of_plugins_reach_no_figure_as_markup(tmp_path):
    make_record(tmp_path / "runs", MARKUP)
    make_record(tmp_path / "runs", "plain")
    section, caches = section_of(tmp_path / "runs", tmp_path / "reports")
    for spec in TASK_FIGURES:
        figure = spec.draw(section, caches)
        assert figure is None or "<a " not in json.dumps(figure)
    assert safe(MARKUP) in json.dumps(draw_coverage(section, caches)).replace('\\"', '"')


@pytest.mark.parametrize(
    ("latex", "wanted"),
    [
        (r"$\log_{10} X_{\rm H_2O}$", "log<sub>10</sub> X<sub>H<sub>2</sub>O</sub>"),
        (r"$M\ [M_{\rm Jup}]$", "M [M<sub>Jup</sub>]"),
        (r"$T\ [\rm K]$", "T [K]"),
        (r"$\theta_1$", "θ<sub>1</sub>"),
        (r"$\frac{a}{b}$", "name"),
        ("a < b", "a &lt; b"),
    ],
)
def test_labels_become_the_few_tags_that_plotly_sets(latex, wanted):
    assert label(ParameterNote("name", "", latex, 0.0, 1.0)) == wanted


def test_styles_are_the_same_for_a_method_whoever_stands_beside_it_and_differ_between_methods():
    many = ["npe", "fmpe", "mdn", "npse", "exogan", "nested", "hmc", "exact", "prior", "stranger", "another"]
    styles = method_styles(many)
    assert method_styles(["npe", "stranger"])["npe"] == styles["npe"]
    assert len(set(styles.values())) == len(many)
    assert LIGHT.keys() == DARK.keys()
    assert len(set(LIGHT.values())) == len(LIGHT)


def test_contours_hold_their_share_of_a_gaussian():
    from matplotlib.path import Path

    rng = np.random.default_rng(0)
    draws = rng.multivariate_normal([0.0, 0.0], [[1.0, 0.6], [0.6, 1.0]], size=20_000)
    view = view_of(draws, np.zeros(2), np.full(2, -9.0), np.full(2, 9.0))
    for share, (x, y) in zip((0.68, 0.95), outlines(draws, None, view)["pairs"]["0 1"], strict=True):
        assert None not in x
        inside = Path(np.column_stack([x, y])).contains_points(draws).mean()
        assert inside == pytest.approx(share, abs=0.03)


def test_weighted_draws_have_the_outline_of_what_they_stand_for():
    rng = np.random.default_rng(1)
    proposal = rng.normal(0.0, 2.0, size=(40_000, 1))
    log_weight = -0.5 * proposal[:, 0] ** 2 * (1.0 - 0.25)
    view = np.array([[-5.0], [5.0]])
    centres, density = outlines(proposal, log_weight, view)["marginal"][0]
    assert np.allclose(density, np.exp(-0.5 * np.array(centres) ** 2), atol=0.1)


def test_rounding_keeps_significant_digits_and_gaps():
    assert rounded([123456.0, 0.000123456, -0.1, 0.0, np.nan, None, np.inf]) == [
        123500.0, 0.0001235, -0.1, 0.0, None, None, None,
    ]  # fmt: skip
