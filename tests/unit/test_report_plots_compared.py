"""Figures that set methods side by side: budgets, costs, the limit, shifts, example spectra."""

import itertools
import json

import numpy as np
import pytest
from report_plot_records import section_of, small_task, spectra_of, write_posterior

from exobench.predictive_bands import LEVELS, predicted_quantiles, write_predictive
from exobench.report.plots.corner import round_ticks, widths
from exobench.report.plots.learning import draw_learning, learning_curves
from exobench.report.plots.limit import distances, draw_limit
from exobench.report.plots.observations import observations
from exobench.report.plots.outlines import outlines
from exobench.report.plots.palette import method_styles
from exobench.report.plots.pareto import draw_pareto, pareto_front
from exobench.report.plots.robustness import describe_robustness, draw_robustness, energy_change_percent, shift_records
from exobench.report.plots.spectra import SHOWN_FIRST, chosen, describe_spectra, draw_spectra
from exobench.results import PREDICTIVE, read_arrays


@pytest.fixture(scope="module")
def task():
    return small_task()


@pytest.fixture(scope="module")
def test_spectra(task):
    return spectra_of(task, n_obs=120)


class Drawn:
    """What `write_predictive` takes of draws."""

    def __init__(self, theta):
        self.theta, self.log_weight = theta, None


def test_the_front_holds_no_dominated_point_and_misses_none():
    points = [tuple(point) for point in np.random.default_rng(0).random((60, 2))]
    front = set(pareto_front(points))

    def beaten(index):
        return any(
            other != index and all(b <= a for a, b in zip(points[index], points[other], strict=True))
            for other in range(len(points))
        )

    assert front == {index for index in range(len(points)) if not beaten(index)}


def test_of_equal_points_one_is_on_the_front():
    assert pareto_front([(1.0, 2.0), (1.0, 2.0), (2.0, 2.0)]) == [0]


def test_learning_curves_are_in_the_order_of_budgets_as_numbers(tmp_path, task, test_spectra):
    for budget, shrink in ((100_000, 1.0), (1000, 3.0), (20_000, 2.0)):
        write_posterior(tmp_path / "runs", task, test_spectra, "flow", budget=budget, shrink=shrink)
    for seed in (1, 2):
        write_posterior(tmp_path / "runs", task, test_spectra, "flow", budget=20_000, shrink=2.0, seed=seed)
    write_posterior(tmp_path / "runs", task, test_spectra, "once")
    section, caches = section_of(tmp_path / "runs", tmp_path / "reports")
    n_obs, curves = learning_curves(section, caches)
    assert n_obs == 100
    assert set(curves) == {"flow"}
    points = curves["flow"]
    assert [point.budget for point in points] == [1000, 20_000, 100_000]
    assert all(a.energy > b.energy for a, b in itertools.pairwise(points))
    assert [len(point.seeds) for point in points] == [1, 3, 1]
    assert points[1].energy == pytest.approx(np.mean(points[1].seeds))
    figure = draw_learning(section, caches)
    (each,) = (trace for trace in figure["data"] if trace["mode"] == "markers")
    assert each["x"] == [20_000] * 3


def test_the_frame_of_learning_curves_is_theirs_and_the_prior_above_it_says_where_it_is(tmp_path, task, test_spectra):
    for budget, shrink in ((1000, 1.5), (20_000, 1.0)):
        write_posterior(tmp_path / "runs", task, test_spectra, "flow", budget=budget, shrink=shrink)
    write_posterior(tmp_path / "runs", task, test_spectra, "prior", shrink=30.0)
    section, caches = section_of(tmp_path / "runs", tmp_path / "reports")
    figure = draw_learning(section, caches)
    low, high = figure["layout"]["yaxis"]["range"]
    curve, level = figure["data"]
    assert low < min(curve["y"]) < max(curve["y"]) < high < level["y"][0]
    assert level["name"] == f"prior ({level['y'][0]:.3g}, above the frame)"


def test_learning_curves_rest_on_the_spectra_that_both_budgets_have(tmp_path, task, test_spectra):
    for method in ("flow", "other"):
        write_posterior(tmp_path / "runs", task, test_spectra, method, budget=1000)
    write_posterior(tmp_path / "runs", task, test_spectra, "flow", budget=20_000, n_obs=25)
    section, caches = section_of(tmp_path / "runs", tmp_path / "reports")
    n_obs, curves = learning_curves(section, caches)
    assert n_obs == 25
    assert set(curves) == {"flow"}


def test_a_cheap_good_method_beats_a_dear_bad_one_on_the_front(tmp_path, task, test_spectra):
    for method, shrink, seconds in (("good", 1.0, 1.0), ("bad", 3.0, 5.0), ("quick", 2.0, 0.01)):
        cost = {"seconds_per_posterior": seconds}
        write_posterior(tmp_path / "runs", task, test_spectra, method, shrink=shrink, cost=cost)
    section, caches = section_of(tmp_path / "runs", tmp_path / "reports")
    front = draw_pareto(section, caches)["data"][0]
    assert front["name"] == "Pareto front"
    assert front["x"] == [0.01, 1.0]


def test_the_limit_is_at_no_distance_from_itself_and_wrong_widths_are_away(tmp_path, task, test_spectra):
    write_posterior(tmp_path / "runs", task, test_spectra, "exact")
    write_posterior(tmp_path / "runs", task, test_spectra, "copy")
    write_posterior(tmp_path / "runs", task, test_spectra, "wide", shrink=3.0)
    section, caches = section_of(tmp_path / "runs", tmp_path / "reports")
    nearest, farthest = distances(section, caches)
    assert nearest.entry.method == "copy"
    assert nearest.energy == 0.0
    assert farthest.entry.method == "wide"
    assert farthest.energy > 5.0 * farthest.standard_error
    assert min(farthest.crps_excess) > 10.0
    names = draw_limit(section, caches)["layout"]["yaxis"]["categoryarray"]
    assert names == ["wide (120)", "copy (120)"]


def write_shift(folder, name, difference, auroc):
    place = folder / "shifts" / name
    place.mkdir(parents=True)
    scores = [{"metric": "energy_score", "parameter": None, "value": 0.2}]
    scores += [{"metric": "coverage_68", "parameter": p, "value": v} for p, v in (("a", 0.66), ("b", 0.38))]
    change = {"difference": difference, "standard_error": 0.01}
    content = {"status": "ok", "scores": scores, "energy_score_change": change, "auroc": {"value": auroc}}
    (place / "shift.json").write_text(json.dumps(content))


def test_shifts_are_shown_relative_to_the_unshifted_spectra(tmp_path, task, test_spectra):
    record = write_posterior(tmp_path / "runs", task, test_spectra, "flow")
    write_shift(record.folder, "none", 0.0, None)
    write_shift(record.folder, "noise_100ppm", 0.1, 0.9)
    write_shift(record.folder, "noise_5ppm", -0.05, 0.5)
    (record.folder / "shifts" / "missing_bins").mkdir()
    skipped = {"status": "skipped", "reason": "no bin may miss"}
    (record.folder / "shifts" / "missing_bins" / "shift.json").write_text(json.dumps(skipped))
    (record.folder / "shifts" / "broken").mkdir()
    (record.folder / "shifts" / "broken" / "shift.json").write_text("{")
    section, caches = section_of(tmp_path / "runs", tmp_path / "reports")
    assert energy_change_percent(shift_records(section.entries[0]), "noise_100ppm") == pytest.approx(50.0)
    energy, coverage, auroc = draw_robustness(section, caches)["data"]
    assert energy["y"] == ["noise_5ppm", "noise_100ppm"]
    assert energy["z"] == [[-25.0], [50.0]]
    assert coverage["z"] == [[-30.0], [-30.0]]
    assert auroc["z"] == [[0.5], [0.9]]
    words = describe_robustness(section, caches)
    assert "flow +50 % under noise_100ppm, notices noise_5ppm least (AUROC 0.50)" in words
    assert "no run was scored under missing_bins" in words


def test_predicted_bands_of_many_draws_are_those_of_their_gaussian(task, test_spectra):
    theta = task.exact.sample(test_spectra.x[:2], test_spectra.sigma[:2], 200, rng=np.random.default_rng(0))
    quantiles = predicted_quantiles(task, theta, None)
    assert quantiles.shape == (2, len(LEVELS), test_spectra.x.shape[1])
    assert (np.diff(quantiles, axis=1) >= 0.0).all()
    # What the exact posterior predicts differs from the data by noise alone.
    z = (test_spectra.x[:2] - quantiles[:, 2]) / test_spectra.sigma[:2]
    assert np.sqrt(np.mean(z**2)) < 1.5


def test_draws_outside_the_prior_predict_nothing(task, test_spectra):
    theta = np.full((1, 10, 3), 1e6)
    assert np.isnan(predicted_quantiles(task, theta, None)).all()


def test_stored_predictions_become_bands_beside_the_nearest_thing_to_a_reference(tmp_path, task, test_spectra):
    for method, shrink in (("flow", 3.0), ("exact", 1.0)):
        record = write_posterior(tmp_path / "runs", task, test_spectra, method, shrink=shrink)
        theta = read_arrays(record.folder / "draws.h5")["theta"]
        write_predictive(task, test_spectra, Drawn(theta), record.folder)
        assert read_arrays(record.folder / PREDICTIVE)["x"].shape == (5, 12)
    section, caches = section_of(tmp_path / "runs", tmp_path / "reports")
    shown = observations(section, caches)
    assert shown.names == ["test spectrum 1", "test spectrum 2", "test spectrum 3"]
    assert shown.reference == section.ceiling.anchor
    assert [entry.method for entry in chosen(section, caches)] == ["flow"]
    figure = draw_spectra(section, caches)
    observed = figure["data"][0]
    assert np.allclose(observed["y"], 100.0 * test_spectra.x[0], rtol=1e-4)
    assert observed["name"] == "observed"


def test_bands_are_filled_between_their_edges_and_runs_without_draws_are_named(tmp_path, task, test_spectra):
    for method in ("flow", "exact", "silent"):
        record = write_posterior(tmp_path / "runs", task, test_spectra, method)
        if method != "silent":
            theta = read_arrays(record.folder / "draws.h5")["theta"]
            write_predictive(task, test_spectra, Drawn(theta), record.folder)
    section, caches = section_of(tmp_path / "runs", tmp_path / "reports")
    lower, upper = (trace for trace in draw_spectra(section, caches)["data"][2:4])
    assert lower["legendgroup"] == upper["legendgroup"] == "flow"
    assert (np.array(lower["y"]) <= np.array(upper["y"])).all()
    assert upper["fill"] == "tonexty"
    assert "by silent." in describe_spectra(section, caches)


def test_methods_shown_first_differ_in_colour(tmp_path, task, test_spectra):
    # Two of these have the colour of a better one.
    names = ["npe", "hmc", "fmpe", "normflow", "mdn"]
    for place, method in enumerate(names):
        write_posterior(tmp_path / "runs", task, test_spectra, method, shrink=1.0 + place, n_obs=25)
    assert len({style.colour for style in method_styles(names).values()}) == 3
    section, caches = section_of(tmp_path / "runs", tmp_path / "reports")
    first = [entry.method for entry in chosen(section, caches)[:SHOWN_FIRST]]
    assert first == ["npe", "fmpe", "mdn"]
    assert len({style.colour for style in method_styles(first).values()}) == SHOWN_FIRST


def test_ticks_of_a_corner_plot_are_few_round_numbers_inside_the_frame():
    rng = np.random.default_rng(0)
    for low, width in zip(rng.uniform(-10, 3000, 200), 10.0 ** rng.uniform(-4, 3, 200), strict=True):
        ticks = round_ticks(low, low + width)["tickvals"]
        assert 2 <= len(ticks) <= 3
        assert all(low <= tick <= low + width for tick in ticks)


def test_words_of_a_corner_plot_give_widths_relative_to_the_reference():
    rng = np.random.default_rng(0)
    view = np.array([[-5.0], [5.0]])
    reference, twice = (outlines(rng.normal(0.0, scale, (4000, 1)), None, view) for scale in (1.0, 2.0))
    assert widths(twice, reference) in {f"{ratio:.2f} to {ratio:.2f} times" for ratio in np.arange(1.9, 2.11, 0.01)}
