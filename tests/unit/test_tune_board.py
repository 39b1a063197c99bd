"""Search spaces and the board: what is refused, and what becomes of trials whose workers died."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from types import SimpleNamespace

import pytest
import yaml

from exobench.command_line import compose_settings
from exobench.data.choice import DataChoice
from exobench.errors import ExobenchError
from exobench.task import TaskRequest
from exobench.tune.settings import TuneSettings
from exobench.tune.space import Space, key_of, with_values

optuna = pytest.importorskip("optuna", reason="needs the extra 'tune'")

from exobench.tune.best import best_trials, write_experiment, write_summary  # noqa: E402
from exobench.tune.starts import best_of  # noqa: E402
from exobench.tune.study import KEY, NOT_COUNTED, REASON, Board, TakenAway, open_study, sign  # noqa: E402
from exobench.tune.trial import Pruned, Result  # noqa: E402
from exobench.tune.worker import _run  # noqa: E402

FACTS = {"standard_error": 0.1, "training_seconds": 1.0, "seconds_per_posterior": 0.1, "n_parameters": 10}


def settings_of(*overrides: str) -> TuneSettings:
    return TuneSettings.from_config(compose_settings("tune", ["method=npe", "task=linear_gaussian", *overrides]))


@pytest.fixture(params=["journal", "sqlite"])
def board(request, tmp_path):
    """A board of a study of one choice and one whole number: six sets in all."""
    space = Space.of(
        {
            "a": {"kind": "choice", "values": [1, 2], "default": 1},
            "b": {"kind": "whole", "low": 1, "high": 3, "default": 2},
        }
    )
    storage = f"sqlite:///{tmp_path / 'study.db'}" if request.param == "sqlite" else None
    settings = replace(settings_of("n_trials=6"), space=space, storage=storage)
    return Board(open_study(settings, tmp_path, 1), space, tmp_path, settings)


def trials(board):
    return board.study.get_trials(deepcopy=False)


def make_silent(board, trial):
    os.utime(board._beats / str(trial.number), (0, 0))


@pytest.mark.parametrize("method", ["npe", "normflow", "fmpe", "exogan"])
def test_every_shipped_space_suggests_settings_that_its_method_takes(method):
    from exobench.registry import build_method

    config = compose_settings("tune", [f"method={method}", "task=hotjupiter"])
    settings = TuneSettings.from_config(config)
    assert settings.metric.name == ("crps" if method == "exogan" else "nltp")
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=1))
    for values in [settings.space.defaults, *(settings.space.suggest(study.ask()) for _ in range(20))]:
        build_method(with_values(settings.run.method, values))


def test_the_search_starts_from_the_defaults_and_tries_no_set_twice(board):
    seen = []
    while (taken := board.take()) is not None:
        trial, values = taken
        seen.append(key_of(values))
        board.finish(trial, [float(values["b"])], {})
    assert seen[0] == key_of({"a": 1, "b": 2})
    assert len(seen) == len(set(seen)) == 6
    assert board.n_done == 6


def test_the_best_of_an_earlier_search_follow_the_defaults_once(tmp_path):
    settings = settings_of()
    earlier, later = tmp_path / "earlier", tmp_path / "later"
    board = Board(open_study(settings, earlier, 1), settings.space, earlier, settings)
    tried = []
    for score in (5.0, 2.0, 4.0, 1.0, 3.0):
        trial, values = board.take()
        board.finish(trial, [score], FACTS)
        tried.append(values)
    write_summary(board.study, settings, earlier, "linear_gaussian-1")
    best = best_of(earlier, settings.space, "npe")
    assert best == [tried[3], tried[1], tried[4]]
    board = Board(open_study(settings, later, 2), settings.space, later, settings, best)
    assert [board.take()[1] for _ in range(2)] == [settings.space.defaults, best[0]]
    board = Board(open_study(settings, later, 2), settings.space, later, settings, best)  # the same command again
    assert [board.take()[1] for _ in range(2)] == best[1:]
    assert board.take()[1] not in [settings.space.defaults, *best]


def test_a_search_names_the_code_and_the_machines_that_made_it(tmp_path):
    settings = settings_of()
    for _ in range(2):
        study = open_study(settings, tmp_path, 1)
        sign(study, tmp_path, "cpu")
    write_summary(study, settings, tmp_path, "linear_gaussian-1")
    (maker,) = json.loads((tmp_path / "study.json").read_text())["made_by"]
    assert maker["versions"]["optuna"] == optuna.__version__
    assert (maker["hardware"]["device"], bool(maker["hardware"]["processor"])) == ("cpu", True)


def test_an_earlier_search_that_does_not_fit_is_refused(tmp_path):
    settings = settings_of()
    with pytest.raises(ExobenchError, match=r"has no study\.json"):
        best_of(tmp_path, settings.space, "npe")
    board = Board(open_study(settings, tmp_path, 1), settings.space, tmp_path, settings)
    write_summary(board.study, settings, tmp_path, "linear_gaussian-1")
    with pytest.raises(ExobenchError, match="has no complete trial"):
        best_of(tmp_path, settings.space, "npe")
    trial, _ = board.take()
    board.finish(trial, [1.0], FACTS)
    with pytest.raises(ExobenchError, match="is a search of npe; give one of mdn"):
        best_of(tmp_path, settings.space, "mdn")
    narrow = Space.of({"transforms": {"kind": "whole", "low": 5, "high": 6, "default": 5}})
    with pytest.raises(ExobenchError, match=r"its trial 0 has transforms=3, which tune\.space has not"):
        best_of(tmp_path, narrow, "npe")


def test_a_worker_that_starts_again_does_not_suggest_what_it_did_at_first(tmp_path):
    settings = settings_of()
    for _ in range(2):
        board = Board(open_study(settings, tmp_path, 1), settings.space, tmp_path, settings)
        for _ in range(4):
            trial, _ = board.take()
            board.finish(trial, [1.0], {})
    assert len(trials(board)) == 8, "no suggestion was refused because its values were tried before"


def test_a_dead_workers_trial_is_tried_again_once_and_then_counted_as_failed(board):
    first, values = board.take()
    make_silent(board, first)
    second, again = board.take()
    assert again == values
    assert trials(board)[first.number].state.name == "FAIL"
    assert NOT_COUNTED in trials(board)[first.number].user_attrs
    assert board.n_done == 0
    make_silent(board, second)
    _, other = board.take()
    assert other != values
    assert trials(board)[second.number].user_attrs[REASON] == "its worker died, try 2 of 2"
    assert board.n_done == 1


def test_a_worker_that_was_only_slow_loses_its_trial(board):
    slow, _ = board.take()
    make_silent(board, slow)
    board.take()
    with pytest.raises(TakenAway):
        board.finish(slow, [1.0], {})


def test_a_live_trial_is_left_alone_and_counts_towards_the_number(board):
    taken = [board.take() for _ in range(7)]
    assert taken[6] is None
    assert len({trial.user_attrs[KEY] for trial, _ in taken[:6]}) == 6
    assert board.n_running == 6


def test_a_trial_handed_back_is_next_and_not_counted_as_a_try(board):
    trial, values = board.take()
    board.hand_back(trial, values)
    again, same = board.take()
    assert same == values
    make_silent(board, again)
    assert board.take()[1] == values  # its one more try is still there


def test_a_search_that_only_fails_is_given_up(board):
    for _ in range(3):
        assert not board.only_failures()
        trial, _ = board.take()
        board.fail(trial, "no memory")
    assert board.only_failures()
    assert trials(board)[0].user_attrs[REASON] == "no memory"


def test_two_objectives_have_a_front_with_the_best_first(tmp_path):
    settings = settings_of("objective=hit_rate_10", "second=training_seconds")
    assert settings.directions == ["maximize", "minimize"]
    assert not settings.prune
    study = open_study(settings, tmp_path, 1)
    for values in ([0.5, 1.0], [0.9, 9.0], [0.4, 2.0], [0.7, 3.0]):
        study.tell(study.ask(), values)
    assert [trial.values for trial in best_trials(study, settings)] == [[0.9, 9.0], [0.7, 3.0], [0.5, 1.0]]


@pytest.mark.parametrize("objective", ["nltp", "skill"])
def test_the_trial_with_the_higher_validation_loss_ends_early_whatever_the_objective(tmp_path, objective):
    settings = settings_of(f"objective={objective}")
    states, curves = ends_of([1.0] * 6 + [0.1, 5.0], settings, tmp_path)
    assert states == [*["COMPLETE"] * 7, "PRUNED"]
    assert (curves[6]["2"], curves[7]["2"]) == (0.1, 5.0)


def test_losses_are_kept_where_no_trial_may_end_early(tmp_path):
    states, curves = ends_of([1.0] * 6 + [5.0], settings_of("prune=false"), tmp_path)
    assert states == ["COMPLETE"] * 7
    assert curves[6] == {str(place): 5.0 for place in range(1, 9)}


def test_two_objectives_keep_no_losses(tmp_path):
    states, curves = ends_of([1.0], settings_of("second=training_seconds"), tmp_path)
    assert (states, curves) == (["COMPLETE"], [{}])


def test_the_first_losses_end_no_trial_however_late_they_come(tmp_path):
    states, curves = ends_of([1.0] * 6 + [5.0], settings_of(), tmp_path, places=range(7, 15))
    assert states[-1] == "PRUNED"
    assert list(curves[-1]) == ["7", "8", "9"]


def ends_of(losses, settings, folder, places=range(1, 9)):
    """States and curves of trials whose validation losses never change."""
    bench = SimpleNamespace(settings=settings)
    board = Board(open_study(settings, folder, 1), settings.space, folder, settings)
    for loss in losses:

        def run(values, stop, report, loss=loss):
            for place in places:
                if report(place, loss):
                    raise Pruned
            return Result(0.5, None, 1.0, 1.0, 1)

        bench.run = run
        trial, values = board.take()
        _run(bench, board, trial, values, lambda: False)
    write_summary(board.study, settings, folder, "t")
    curves = [trial["curve"] for trial in json.loads((folder / "study.json").read_text())["trials"]]
    return [trial.state.name for trial in trials(board)], curves


def test_the_experiment_of_a_search_takes_the_spectra_of_the_search(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    usual = settings_of()
    run = replace(usual.run, data=DataChoice("online"), request=TaskRequest("transmission_torch", "tables"))
    for settings, others in ((usual, {}), (replace(usual, run=run), {"simulator": "transmission_torch"})):
        study = open_study(settings, tmp_path / str(len(others)), 1)
        study.enqueue_trial(settings.space.defaults)
        trial = study.ask()
        settings.space.suggest(trial)
        trial.set_user_attr("standard_error", None)
        study.tell(trial, 1.0)
        written = yaml.safe_load(write_experiment(study, settings, tmp_path).read_text())
        assert {"override /data": settings.run.data.name} in written["defaults"]
        assert {key: written[key] for key in ("data", "simulator") if key in written} == others
        assert ("opacities" in written) == bool(others)
    assert written["opacities"] == {"path": "tables", "average": "transmission"}


@pytest.mark.parametrize(
    ("overrides", "named"),
    [
        (["method=hmc"], "method=hmc has no search space"),
        (["objective=coverage_68"], "better in neither direction"),
        (["objective=nltpp"], "nltpp"),
        (["second=price"], "training_seconds"),
        (["n_trials=0"], "n_trials=0"),
        (["stale_seconds=5"], "at least three times"),
        (["save_as=../x"], "save_as=../x"),
        (["n_score=6000"], "n_score=6000"),
        (["n_trial=3"], "n_trials"),
    ],
)
def test_wrong_settings_are_refused_by_name(overrides, named):
    with pytest.raises(ExobenchError, match=named):
        settings_of(*overrides)


@pytest.mark.parametrize(
    ("entry", "named"),
    [
        ({"kind": "number"}, "kind: whole, real, choice"),
        ({"kind": "whole", "low": 1, "high": 3}, "default=None"),
        ({"kind": "whole", "low": 3, "high": 1, "default": 2}, "low < high"),
        ({"kind": "real", "low": 0.0, "high": 1.0, "log": True, "default": 0.5}, "low > 0"),
        ({"kind": "choice", "values": [1], "default": 1}, "two different values"),
        ({"kind": "choice", "values": [1, 2], "default": 1, "low": 1}, "low"),
    ],
)
def test_wrong_spaces_are_refused_by_name(entry, named):
    with pytest.raises(ExobenchError, match=named):
        Space.of({"a": entry})


def test_the_study_depends_on_what_moves_its_values_and_on_nothing_else():
    name = settings_of().study_name("t")
    assert settings_of("n_trials=7", "workers=3", "stale_seconds=500").study_name("t") == name
    others = [settings_of("budget=1e4"), settings_of("limits.seconds=5"), settings_of("second=training_seconds")]
    assert len({name, *(other.study_name("t") for other in others)}) == 4
