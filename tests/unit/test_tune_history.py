"""What a search's page is made of: the best so far, the front, reasons, importance; and that names stay harmless."""

from __future__ import annotations

import itertools
import json
import math
import re
from dataclasses import replace
from datetime import datetime, timedelta

import numpy as np
import pytest

from exobench.command_line import compose_settings
from exobench.errors import ExobenchError
from exobench.tune.history import History, Trial, read_history

pytest.importorskip("optuna", reason="needs the extra 'tune'")

from exobench.tune.best import write_summary
from exobench.tune.figures import frame_of
from exobench.tune.importance import FEWEST, importance
from exobench.tune.page import search_part
from exobench.tune.search_page import cell, report, write_page
from exobench.tune.settings import TuneSettings
from exobench.tune.space import Space
from exobench.tune.study import Board, open_study

START = datetime(2026, 1, 2, 3, 4, 5)
SPACE = {
    "depth": ["whole", 1, 8, False, []],
    "training.rate": ["real", 1e-4, 1e-1, True, []],
    "kind": ["choice", 0.0, 0.0, False, ["plain", "wide"]],
}


def trial_of(number, values=(), state="complete", **more):
    rng = np.random.default_rng(number)
    params = {
        "depth": int(rng.integers(1, 9)),
        "training.rate": float(10 ** rng.uniform(-4, -1)),
        "kind": str(rng.choice(["plain", "wide"])),
    }
    facts = {
        "counted": True,
        "standard_error": 0.1 if len(values) else None,
        "params": params,
        "curve": {},
        "started": START + timedelta(seconds=10 * number),
        "seconds": 7.0,
        "training_seconds": 5.0,
        "seconds_per_posterior": 0.01,
        "n_parameters": 1_000,
        "reason": None,
    }
    return Trial(number=number, state=state, values=tuple(map(float, values)), **{**facts, **more})


def history_of(*trials, objectives=("nltp",), directions=("minimize",), space=None):
    return History(
        name="0123456789ab",
        task="some_task",
        task_id="abc",
        method="some_method",
        budget=1_000,
        steps=None,
        seconds=60.0,
        objectives=tuple(objectives),
        directions=tuple(directions),
        n_scored=50,
        n_trials=len(trials),
        space=SPACE if space is None else space,
        trials=tuple(trials),
    )


def many(n, value_of, **more):
    trials = [trial_of(number) for number in range(n)]
    return history_of(*(replace(trial, values=tuple(value_of(trial))) for trial in trials), **more)


@pytest.mark.parametrize("direction", ["minimize", "maximize"])
def test_best_so_far_never_gets_worse_and_ends_at_the_best(direction):
    values = np.random.default_rng(1).normal(size=40)
    history = history_of(*(trial_of(k, [value]) for k, value in enumerate(values)), directions=[direction])
    found = history.best_so_far(history.complete)
    running = np.minimum.accumulate if direction == "minimize" else np.maximum.accumulate
    assert found == running(values).tolist()
    assert history.best[0].values[0] == found[-1]


def test_the_front_is_what_no_other_trial_beats():
    values = np.round(np.random.default_rng(2).normal(size=(60, 2)), 1)
    history = history_of(
        *(trial_of(k, pair) for k, pair in enumerate(values)),
        objectives=["energy", "n_parameters"],
        directions=["maximize", "minimize"],
    )
    losses = values * [-1.0, 1.0]
    beaten = [any((other <= own).all() and (other < own).any() for other in losses) for own in losses]
    assert {trial.number for trial in history.front} == {k for k, is_beaten in enumerate(beaten) if not is_beaten}
    firsts = [trial.values[0] for trial in history.front]
    assert firsts == sorted(firsts, reverse=True)


def test_one_objective_has_a_front_of_its_best_alone():
    history = history_of(*(trial_of(k, [value]) for k, value in enumerate([3.0, 1.0, 2.0])))
    assert [trial.number for trial in history.front] == [1]


def test_reasons_are_the_losses_that_the_pruner_saw():
    slow = trial_of(0, [1.0], curve={5: 2.0, 10: 1.0})
    other = trial_of(1, [1.5], curve={5: 4.0, 10: 3.0})
    later = trial_of(9, [0.5], curve={5: 100.0})
    pruned = trial_of(2, state="pruned", curve={4: 7.0, 5: 9.0})
    failed = trial_of(3, state="fail", reason="no memory")
    again = trial_of(4, state="fail", reason="these values were tried before", counted=False)
    history = history_of(slow, other, pruned, failed, again, later)
    found = {trial.number: why for trial, why in history.ended_without_value}
    assert found == {
        2: "after 5/20 of its training its validation loss had reached 7; the median of 2 trials there was 3",
        3: "no memory",
    }


def test_the_curve_of_an_interrupted_trial_is_whole():
    first = trial_of(1, state="fail", reason="stopped", counted=False, curve={1: 5.0, 2: 4.0})
    other = trial_of(2, [3.0], curve={1: 9.0})
    second = replace(trial_of(3, [1.0], curve={3: 3.0, 4: 2.0}), params=first.params)
    history = history_of(first, other, second)
    assert history.curve(second) == {1: 5.0, 2: 4.0, 3: 3.0, 4: 2.0}
    assert history.curve(other) == other.curve


def test_hours_count_from_the_first_start():
    history = history_of(trial_of(3, [1.0]), trial_of(5, [1.0], seconds=3_600.0))
    assert [history.hours(trial) for trial in history.trials] == pytest.approx([7 / 3600, 1 + 20 / 3600])


def test_importance_finds_the_setting_that_the_objective_is_made_of():
    found = importance(many(30, lambda trial: [math.log10(trial.params["training.rate"]) ** 2]))
    assert found[0].setting == "training.rate"
    assert found[0].share > 0.8
    assert sum(entry.share for entry in found) == pytest.approx(1.0)
    assert sum(entry.decrease for entry in found) == pytest.approx(1.0)


def test_importance_of_few_or_equal_values_is_not_given():
    assert importance(many(FEWEST - 1, lambda trial: [trial.params["depth"]])) is None
    assert importance(many(FEWEST + 5, lambda trial: [1.0])) is None
    notes = search_part(many(3, lambda trial: [1.0])).notes
    assert any("there are 3" in note for note in notes)


@pytest.mark.parametrize("direction", ["minimize", "maximize"])
def test_a_diverged_trial_does_not_squeeze_the_others(direction):
    sign = 1.0 if direction == "minimize" else -1.0
    values = sign * np.array([1.0, 1.1, 1.2, 1.3, 1.4, 1.5, 1e6])
    history = history_of(*(trial_of(k, [value]) for k, value in enumerate(values)), directions=[direction])
    (low, high), beyond = frame_of(history)
    assert beyond == 1
    assert low < values[:6].min() < values[:6].max() < high
    assert high - low < 1.0
    assert frame_of(history_of(*(trial_of(k, [v]) for k, v in enumerate(values[:6]))))[0] is None


def test_a_search_reads_the_same_from_its_journal_and_from_its_summary(tmp_path):
    space = Space.of({"a": {"kind": "choice", "values": [1, 2], "default": 1}})
    settings = TuneSettings.from_config(compose_settings("tune", ["method=npe", "task=linear_gaussian", "n_trials=3"]))
    settings = replace(settings, space=space)
    folder = tmp_path / "study"
    study = open_study(settings, folder, 1)
    board = Board(study, space, folder, settings)
    write_summary(study, settings, folder, "abc")
    assert read_history(folder).trials == ()
    trial, _ = board.take()
    trial.report(2.5, 3)
    board.finish(trial, [1.25], {"standard_error": 0.5, "training_seconds": 2.0})
    board.fail(board.take()[0], "no memory")
    assert board.take() is None  # both values are known by now
    from_journal = read_history(folder)
    write_summary(study, settings, folder, "abc")
    (folder / "journal.log").rename(folder / "elsewhere")
    assert read_history(folder) == from_journal
    first, second = from_journal.trials[:2]
    assert (first.values, first.standard_error, first.curve, first.state) == ((1.25,), 0.5, {3: 2.5}, "complete")
    assert (second.state, second.reason) == ("fail", "no memory")
    assert len(from_journal.trials) > 2
    assert [(trial.number, why) for trial, why in from_journal.ended_without_value] == [(1, "no memory")]


def test_every_stage_of_a_search_has_a_page(tmp_path):
    finished = many(12, lambda trial: [trial.params["depth"], trial.params["training.rate"]])
    two = replace(finished, objectives=("nltp", "training_seconds"), directions=("minimize", "minimize"))
    curves = [replace(trial, values=trial.values[:1], curve={1: 3.0, 20: 1.0}) for trial in finished.trials]
    stages = {
        "none": history_of(),
        "running": history_of(trial_of(0, state="running", seconds=None, standard_error=None)),
        "failed": history_of(trial_of(0, state="fail", reason="x")),
        "one": history_of(trial_of(0, [1.0])),
        "finished": history_of(*curves),
        "two": two,
    }
    parts = {name: search_part(history) for name, history in stages.items()}
    figures = {name: {entry.name for entry in part.figures} for name, part in parts.items()}
    tables = {name: {entry.name for entry in part.tables} for name, part in parts.items()}
    assert figures["none"] == figures["running"] == figures["failed"] == set()
    assert figures["one"] == {"by-trial", "by-time"}
    assert figures["finished"] == {"by-trial", "by-time", "curves", "importance-0"}
    assert figures["two"] == {"by-trial", "by-time", "pareto", "importance-0", "importance-1"}
    assert "ended" in tables["failed"]
    assert "front" in tables["two"]
    for part in parts.values():
        json.dumps([entry.figure for entry in itertools.chain(part.figures, part.slices)], allow_nan=False)
    path = write_page(list(parts.values()), tmp_path / "search")
    assert path.read_text().count('class="plot"') == sum(
        len(part.figures) + len(part.slices) for part in parts.values()
    )


def test_names_stay_names(tmp_path):
    evil = "</script><script>alert(1)</script><img src=x>"
    space = {evil: ["choice", 0.0, 0.0, False, [evil, "plain"]]}
    trials = [trial_of(0, [1.0], params={evil: evil}), trial_of(1, state="fail", reason=evil, params={evil: "plain"})]
    history = replace(history_of(*trials, space=space), method=evil.replace("/", ""))
    page = write_page([search_part(history)], tmp_path / "search")
    text = page.read_text()
    assert "alert(1)" in text
    assert "<script>alert" not in text
    assert "<img" not in text


def test_a_table_and_its_csv_hold_every_trial(tmp_path):
    history = many(4, lambda trial: [trial.params["depth"] / 3])
    part = search_part(history)
    write_page([part], tmp_path / "search")
    lines = (tmp_path / "search" / part.name / "trials.csv").read_text().splitlines()
    assert lines[0].split(",")[:4] == ["trial", "state", "nltp", "standard_error"]
    assert [float(line.split(",")[2]) for line in lines[1:]] == [trial.values[0] for trial in history.trials]


def test_a_page_of_a_site_under_construction_brings_no_assets(tmp_path):
    page = write_page([search_part(history_of(trial_of(0, [1.0])))], tmp_path / "search", in_site=True)
    assert '<a href="../index.html">Overview</a>' in page.read_text()
    assert [path.name for path in tmp_path.iterdir()] == ["search"]


def test_a_page_made_alone_finds_its_styles_and_scripts_and_leads_to_no_page_that_is_not_there(tmp_path):
    part = search_part(many(3, lambda trial: [trial.params["depth"]]))
    page = write_page([part], tmp_path / "search")
    found = re.findall(r'(?:href|src)="([^"#]+)"', page.read_text())
    assert {"../assets/site.css", "../assets/site.js", f"{part.name}/trials.csv"} <= set(found)
    assert [link for link in found if not (page.parent / link).is_file()] == []
    assert (tmp_path / "assets/plotly.min.js").is_file()
    (tmp_path / "index.html").touch()
    assert '<a href="../index.html">Overview</a>' in write_page([part], tmp_path / "search").read_text()


def test_cells_read_as_people_write_them():
    values = (None, math.nan, 3.0, 0.123456, 919_732.0, "a")
    assert [cell(value) for value in values] == ["", "", "3", "0.1235", "919732", "a"]


@pytest.mark.parametrize(
    ("content", "message"),
    [(None, "has no study.json"), ("{", "study.json cannot be read"), ('{"task": "a"}', "'limits'")],
)
def test_folders_that_are_no_search_are_named(tmp_path, content, message):
    if content is not None:
        (tmp_path / "study.json").write_text(content)
    with pytest.raises(ExobenchError, match=message) as error:
        read_history(tmp_path)
    assert str(tmp_path) in str(error.value)


def test_a_report_without_a_search_says_how_to_make_one(tmp_path):
    with pytest.raises(ExobenchError, match=r"holds no search: python -m exobench\.tune"):
        report([str(tmp_path)])
    with pytest.raises(ExobenchError, match=r"paths\.run"):
        report(["paths.run=x"])


def test_a_pruned_trials_last_loss_is_not_its_score(tmp_path):
    settings = TuneSettings.from_config(compose_settings("tune", ["method=npe", "task=linear_gaussian", "n_trials=3"]))
    study = open_study(settings, tmp_path, 1)
    board = Board(study, settings.space, tmp_path, settings)
    trial, _ = board.take()
    trial.report(2.5, 3)
    board.prune(trial)
    write_summary(study, settings, tmp_path, "abc")
    (row,) = json.loads((tmp_path / "study.json").read_text())["trials"]
    assert (row["state"], row["values"], row["curve"]) == ("pruned", None, {"3": 2.5})
    assert read_history(tmp_path).trials[0].values == ()
