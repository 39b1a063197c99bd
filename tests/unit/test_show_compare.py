"""One run as text, and several against each other: what they say is what lies on disk."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys

import h5py
import numpy as np
import pytest
import scipy.stats
from report_records import make_record, make_skipped

from exobench import compare, show
from exobench.errors import ExobenchError
from exobench.find_runs import one_record
from exobench.metrics.calibration import holm
from exobench.paired_runs import compare_runs
from exobench.reference.request import run_settings
from exobench.report.wording import plus_minus
from exobench.results import read_arrays, read_record
from exobench.runner import run

COMMON = ["task=linear_gaussian", "budget=300", "n_draws=60", "device=cpu", "workers=1", "task.shard_rows=500"]


@pytest.fixture(scope="module")
def runs(tmp_path_factory, data_root):
    """Real runs: the prior on 50 and on 100 spectra, a short training, and the prior on a task with more noise."""
    root = tmp_path_factory.mktemp("compared") / "runs"
    places = [f"paths.data={data_root}", f"paths.runs={root}"]
    wanted = {
        "prior": ["method=prior", "n_test=100"],
        "prior on 50": ["method=prior", "n_test=50"],
        "mdn": ["method=mdn", "n_test=100", "limits.steps=150"],
        "other task": ["method=prior", "n_test=25", "task.noise_ppm=77"],
    }
    return {name: run(run_settings([*COMMON, *own, *places])) for name, own in wanted.items()}


def found_difference(comparison, metric, parameter=None):
    (found,) = [each for each in comparison.differences if (each.metric, each.parameter) == (metric, parameter)]
    return found


def changed(record, folder, **arrays):
    """A copy of a run with other arrays."""
    place = folder / "run" / "task" / "method" / "0"
    shutil.copytree(record.folder, place)
    with h5py.File(place / "scores.h5", "a") as file:
        for name, values in arrays.items():
            file[name][...] = values
    return read_record(place)


def refused(capsys, command, *arguments):
    with pytest.raises(SystemExit) as ended:
        command.main([str(argument) for argument in arguments])
    assert ended.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ")
    return line


def test_a_difference_is_that_of_the_means_over_common_spectra_and_its_error_that_of_the_differences(runs):
    comparison = compare_runs([runs["mdn"], runs["prior on 50"]])
    a, b = (runs[name].per_spectrum() for name in ("mdn", "prior on 50"))
    assert comparison.n_obs == 50
    for metric, parameter, ours, theirs in (
        ("energy_score", None, a["energy_score"][:50], b["energy_score"]),
        ("crps", "theta_2", a["crps"][:50, 1], b["crps"][:, 1]),
        ("hit_rate_10", "theta_3", a["range_error"][:50, 2] <= 0.1, b["range_error"][:, 2] <= 0.1),
    ):
        found = found_difference(comparison, metric, parameter)
        each = ours.astype(float) - theirs.astype(float)
        assert found.difference == pytest.approx(ours.mean() - theirs.mean(), abs=1e-12)
        assert found.standard_error == pytest.approx(each.std(ddof=1) / np.sqrt(50), rel=1e-6)


def test_a_difference_by_hand(runs, tmp_path):
    # Half of the spectra better by 1 and half by 3: mean 2, standard deviation sqrt(100/99), over ten its error.
    lead = np.tile([1.0, 3.0], 50)
    better = changed(runs["prior"], tmp_path, energy_score=runs["prior"].per_spectrum()["energy_score"] - lead)
    found = found_difference(compare_runs([better, runs["prior"]]), "energy_score")
    assert found.difference == pytest.approx(-2.0)
    assert found.standard_error == pytest.approx(np.sqrt(100 / 99) / 10)
    assert found.better == 0


def test_equal_scores_are_no_difference(runs, tmp_path):
    comparison = compare_runs([runs["prior"], changed(runs["prior"], tmp_path)])
    assert {each.difference for each in comparison.differences} == {0.0}
    assert {each.better for each in comparison.differences} == {None}
    assert "The settings are the same." in compare.as_text(comparison)


def test_p_values_are_corrected_over_everything_that_is_compared(runs):
    comparison = compare_runs([runs["prior"], runs["mdn"]])
    arrays = [runs[name].per_spectrum() for name in ("prior", "mdn")]
    raw = []
    for each in comparison.differences:
        if each.parameter is None:
            a, b = (table[each.metric] for table in arrays)
        else:
            column = int(each.parameter[-1]) - 1
            key = {"crps": "crps", "mae": "absolute_error", "interval_score_95": "interval_score_95"}.get(each.metric)
            a, b = (table[key or "range_error"][:, column] for table in arrays)
            if key is None:
                limit = {"hit_rate_10": 0.1, "hit_rate_1": 0.01}[each.metric]
                a, b = (a <= limit).astype(float), (b <= limit).astype(float)
        raw.append(scipy.stats.ttest_rel(a, b).pvalue)
    np.testing.assert_allclose([each.p_value for each in comparison.differences], holm(np.array(raw)), rtol=1e-5)


def test_a_trained_method_is_better_than_the_prior(runs, capsys):
    compare.main([str(runs["prior"].folder), str(runs["mdn"].folder)])
    shown = capsys.readouterr().out
    assert "100 test spectra in common" in shown
    (line,) = [line for line in shown.splitlines() if line.startswith("energy_score")]
    assert line.endswith("B")
    assert "B is better than A in" in shown
    (steps,) = [line for line in shown.splitlines() if line.startswith("limits.steps")]
    assert steps.split()[1:] == ["none", "150"]


def test_three_runs_show_pairs_and_ranks(runs, capsys):
    folders = [str(runs[name].folder) for name in ("prior", "prior on 50", "mdn")]
    compare.main([*folders, "--json"])
    content = json.loads(capsys.readouterr().out)
    assert content["n_obs"] == 50
    assert content["ranks"] == [2, 2, 1]
    assert {(each["first"], each["second"]) for each in content["differences"]} == {(0, 1), (0, 2), (1, 2)}
    compare.main(folders)
    short = capsys.readouterr().out
    compare.main([*folders, "-v"])
    assert "crps               theta_1" in capsys.readouterr().out
    assert "crps               theta_1" not in short


def test_what_cannot_be_compared_is_refused_by_name(runs, tmp_path, capsys):
    prior, mdn, other = (runs[name].folder for name in ("prior", "mdn", "other task"))
    line = refused(capsys, compare, prior, other)
    for word in (str(prior), str(other), runs["prior"]["task_id"], runs["other task"]["task_id"]):
        assert word in line
    assert "given twice" in refused(capsys, compare, prior, prior)
    assert "2 runs or more" in refused(capsys, compare, prior)
    skipped = make_skipped(tmp_path, reason="it needs a likelihood")
    assert "it was skipped (it needs a likelihood)" in refused(capsys, compare, prior, skipped.folder)
    moved = changed(runs["mdn"], tmp_path, theta_true=runs["mdn"].per_spectrum()["theta_true"] + 0.1)
    assert "are not the same" in refused(capsys, compare, prior, moved.folder)
    assert "'--jsn'" in refused(capsys, compare, prior, mdn, "--jsn")


def test_a_score_that_one_run_lacks_is_named(runs, tmp_path):
    arrays = runs["mdn"].per_spectrum()
    holes = arrays["crps"].copy()
    holes[7, 0] = np.nan
    comparison = compare_runs([runs["prior"], changed(runs["mdn"], tmp_path, crps=holes)])
    (gap,) = comparison.gaps
    assert gap.startswith("crps of theta_1: not known for every spectrum of")
    assert not [each for each in comparison.differences if (each.metric, each.parameter) == ("crps", "theta_1")]


def test_show_says_what_a_run_is(runs, capsys):
    record = runs["mdn"]
    show.main([str(record.folder)])
    shown = capsys.readouterr().out
    scores = {(score["metric"], score["parameter"]): score for score in record["scores"]}
    assert f"mdn on linear_gaussian (task {record['task_id']}): ok" in shown
    assert "limits.steps=150  (default none)" in shown
    assert "budget=300  (default 100000)" in shown
    energy = scores["energy_score", None]
    assert plus_minus(energy["value"], energy["standard_error"]) in shown
    assert f"Calibration: {record['calibration']['status']}" in shown
    assert "The badge covers ranks and coverage of each parameter by itself" in shown
    assert "300 simulations" in shown
    assert record["versions"]["torch"] in shown
    energy = record.per_spectrum()["energy_score"]
    (line,) = [line for line in shown.splitlines() if line.startswith("spectrum ")]
    assert [int(word) for word in line.split()[1:]] == np.argsort(-energy, kind="stable")[:5].tolist()


def test_low_p_values_that_the_badge_knows_nothing_of_are_named_beside_it(runs, capsys):
    """That the prior does not look at the spectra, its likelihoods tell, and no rank of a parameter."""
    record = runs["prior"]
    scores = {score["metric"]: score for score in record["scores"] if score["parameter"] is None}
    assert scores["sbc_log_likelihood_p"]["value"] < 0.01 < scores["sbc_pairs_p"]["value"]
    show.main([str(record.folder)])
    (line,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("The badge covers")]
    before, low = line.split("below 0.01: ")
    assert "tests of all parameters together" in before
    assert f"sbc_log_likelihood_p {scores['sbc_log_likelihood_p']['value']:.2g}" in low
    assert "sbc_pairs_p" not in low


def test_a_reader_that_has_seen_enough_is_no_error(runs):
    """As in ``python -m exobench.show RUN | head -1``."""
    command = [sys.executable, "-m", "exobench.show", str(runs["mdn"].folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        process.stdout.close()
        assert process.stderr.read() == ""
    assert process.returncode == 141


def test_show_gives_the_same_to_programs(runs, capsys):
    show.main([str(runs["mdn"].folder), "--json"])
    content = json.loads(capsys.readouterr().out)
    assert content["settings"]["limits.steps"] == {"value": 150, "default": None}
    assert content["scores"] == runs["mdn"]["scores"]
    worst = content["worst_spectra"][0]
    arrays = read_arrays(runs["mdn"].folder / "scores.h5")
    assert worst["energy_score"] == arrays["energy_score"].max()
    np.testing.assert_allclose(list(worst["truth"].values()), arrays["theta_true"][worst["spectrum"]])


def test_a_run_is_found_by_the_beginning_of_its_path(runs, monkeypatch):
    record = runs["mdn"]
    root = record.folder.parents[3]
    monkeypatch.setenv("EXOBENCH_RUNS", str(root))
    folder = record.folder
    for name in (folder, folder / "run.json", folder.parents[1], folder.parent.parent / folder.parent.name[:4]):
        assert one_record(str(name)).folder == folder
    assert one_record("linear_gaussian/mdn").folder == folder
    with pytest.raises(ExobenchError, match="means 3 runs"):
        one_record("linear_gaussian/prior")
    with pytest.raises(ExobenchError, match="there is no such folder"):
        one_record("linear_gaussian/npe")


def named_runs(given):
    """Of an error that names several runs, each folder with what is said of it, in order."""
    with pytest.raises(ExobenchError) as caught:
        one_record(str(given))
    assert f"{given} means" in str(caught.value)
    shown = str(caught.value).partition("name one of them: ")[2].rstrip(".").split("; ")
    return [(folder, words.rstrip(")")) for folder, _, words in (each.partition(" (") for each in shown)]


def limited(content):
    content["config"]["limits"] = {"steps": None, "seconds": 30.0}


def test_several_runs_are_named_with_what_tells_them_apart(tmp_path):
    gan = tmp_path / "hotjupiter" / "gan"
    large = make_record(tmp_path, "gan", n_test=100, budget=100_000).folder
    small = make_record(tmp_path, "gan", n_test=25, budget=5000, change=limited).folder
    assert named_runs(gan) == [
        (str(small), "budget=5000, n_test=25, limits.seconds=30"),
        (str(large), "budget=100000, n_test=100, limits.seconds=none"),
    ]
    again = make_record(tmp_path, "gan", n_test=25, budget=5000, seed=5, change=limited).folder
    assert named_runs(small.parent) == [(str(small), "seed=0"), (str(again), "seed=5")]


def test_settings_of_a_method_and_variants_of_a_task_tell_runs_apart(tmp_path):
    wide = make_record(tmp_path, "net", n_test=25, settings={"width": 64, "training": {"epochs": 3}}).folder
    usual = make_record(tmp_path, "net", n_test=25, settings={"width": 32}).folder
    assert sorted(named_runs(tmp_path / "hotjupiter" / "net")) == sorted(
        [(str(wide), "method.width=64, method.training.epochs=3"), (str(usual), "method.width=32")]
    )
    first = make_record(tmp_path, "twin", n_test=25, task_id="aaaaaaaaaaaa").folder
    second = make_record(tmp_path, "twin", n_test=25, task_id="bbbbbbbbbbbb").folder
    assert named_runs(tmp_path / "hotjupiter" / "twin") == [
        (str(first), "task_id=aaaaaaaaaaaa"),
        (str(second), "task_id=bbbbbbbbbbbb"),
    ]
    one = make_record(tmp_path / "two", "one", n_test=25).folder
    other = make_record(tmp_path / "two", "other", n_test=25, budget=20_000, settings={"width": 32}).folder
    assert named_runs(tmp_path / "two") == [(str(one), "budget=10000"), (str(other), "budget=20000")]


def test_of_many_runs_eight_are_named_and_the_rest_counted(tmp_path, capsys):
    for seed in range(11):
        make_record(tmp_path, "gan", n_test=25, seed=seed)
    line = refused(capsys, show, tmp_path)
    assert "means 11 runs" in line
    assert line.endswith("/7 (seed=7); and 3 more.")


def test_runs_without_scores_get_a_line(runs, tmp_path, capsys):
    skipped = make_skipped(tmp_path / "skipped", reason="it needs a likelihood")
    show.main([str(skipped.folder)])
    assert "Reason: it needs a likelihood" in capsys.readouterr().out
    failed = make_skipped(tmp_path / "failed", status="failed", reason="the budget was passed")
    show.main([str(failed.folder)])
    assert "picky on hotjupiter (task aaaaaaaaaaaa): failed" in capsys.readouterr().out
    cut = changed(runs["prior"], tmp_path / "cut").folder
    (cut / "run.json").write_bytes((cut / "run.json").read_bytes()[:200])
    assert "If it was cut off, remove" in refused(capsys, show, cut)
    begun = tmp_path / "begun" / "0"
    (begun / "work").mkdir(parents=True)
    assert f"{begun} has not finished" in refused(capsys, show, tmp_path / "begun")
    assert "there is no run" in refused(capsys, show, (tmp_path / "empty").mkdir() or tmp_path / "empty")


def test_a_record_of_another_version_is_shown_as_far_as_it_is_known(runs, tmp_path, capsys):
    record = changed(runs["prior"], tmp_path)
    content = dict(record.content)
    content["scores"] = [*content["scores"], {**content["scores"][0], "metric": "brilliance"}]
    content["method"], content["config"] = "gone", {**content["config"], "method": {"name": "gone"}}
    del content["diagnostics"], content["hardware"]
    (record.folder / "run.json").write_text(json.dumps(content), encoding="utf-8")
    show.main([str(record.folder)])
    shown = capsys.readouterr().out
    assert "Of another version, not shown: brilliance" in shown
    assert "no defaults to compare with (there is no method 'gone'" in shown
