"""Plans: what they expand to, what each run will be known by, and how long it is expected to take."""

from __future__ import annotations

from collections import Counter

import pytest

from exobench import registry
from exobench.benchmark.expected import START_SECONDS
from exobench.benchmark.order import in_order
from exobench.benchmark.plan import parse_plan, read_plan, shipped_plans
from exobench.benchmark.runs import Expansion
from exobench.command_line import compose_settings
from exobench.errors import ExobenchError
from exobench.finished_fits import FitLibrary
from exobench.inner_fit import inner_method
from exobench.method import Capability, Limits
from exobench.registry import settings_of
from exobench.results import write_record
from exobench.runner import run
from exobench.settings import RunSettings

SIX = {"exogan", "npe", "normflow", "fmpe", "mdn", "random_forest"}
SMALL = """
runs:
  - {methods: [mdn, npe, importance, prior], tasks: [linear_gaussian], budgets: [1e3], seeds: [0]}
settings:
  - {set: {limits.seconds: 100, n_test: 25}, seconds_per_spectrum: 2}
  - {methods: [mdn], set: {limits.seconds: 120}}
  - {methods: [importance], after: npe, seconds_per_spectrum: 4}
"""


@pytest.fixture
def expansion(tmp_path, data_root):
    return Expansion([f"paths.runs={tmp_path / 'runs'}", f"paths.data={data_root}", "device=cpu"])


@pytest.fixture(scope="module")
def committed(tmp_path_factory):
    root = tmp_path_factory.mktemp("committed")
    return Expansion([f"paths.runs={root}", f"paths.data={root}"]).runs(read_plan("committed"))


def test_the_committed_plan_is_what_its_page_promises(committed):
    cells = [run.cell for run in committed]
    assert len(set(cells)) == len(cells) == 54
    names = registry.names(registry.METHODS)
    built_in = {name for name in names if registry.package_of(registry.METHODS, name).startswith("exobench ")}
    for task in ("hotjupiter", "hotjupiter_wfc3"):
        assert {c.method for c in cells if (c.task, c.budget, c.seed) == (task, 10_000, 0)} == built_in
    assert len(built_in) == 15
    rest = Counter((c.task, c.budget, c.seed) for c in cells if c.budget != 10_000 or c.seed)
    assert rest == {
        ("hotjupiter", budget, seed): 6 for budget, seed in [(1000, 0), (100_000, 0), (10_000, 1), (10_000, 2)]
    }
    assert {c.method for c in cells if c.seed} == SIX


def test_the_committed_plan_fits_a_night_on_a_small_machine(committed):
    seconds = [timed.seconds for timed in in_order(committed)]
    assert 10 < sum(seconds) / 3600 < 12
    assert max(seconds) < 4 * 3600


def test_every_run_of_the_committed_plan_has_a_folder_of_its_own(committed):
    assert len({run.folder for run in committed}) == len(committed)
    by_settings = Counter((run.cell._replace(seed=0), run.config_hash) for run in committed)
    assert Counter(by_settings.values()) == {1: 36, 3: 6}  # the hash leaves the seed out: three seeds share it


def test_overrides_resolve_to_the_settings_that_the_run_is_known_by(committed):
    for planned in committed[::9]:
        settings = RunSettings.from_config(compose_settings("config", planned.overrides))
        assert settings == planned.settings
        assert (settings.method["name"], settings.task["name"], settings.budget, settings.seed) == planned.cell
        assert (settings.workers, settings.report, settings.rerun) == (1, False, False)


def test_methods_built_on_a_fit_ask_for_the_very_fit_that_the_plan_makes(committed):
    """Training twice would be silent: the keys under which fits are kept and looked for must be equal."""
    by_cell = {planned.cell: planned for planned in committed}
    dependent = [planned for planned in committed if planned.entry.after]
    assert {planned.cell.method for planned in dependent} == {"importance", "smc", "seeded_nested"}
    for planned in dependent:
        made = by_cell[planned.entry.awaited]
        inner = planned.settings.method.get("proposal") or planned.settings.method["seed_method"]
        keys = [
            FitLibrary(
                planned.folder, each.seed, each.n_train, {k: config[k] for k in ("task", "data", "simulator", "budget")}
            ).key(method, Limits(each.n_train, each.steps, each.seconds))
            for each, config, method in (
                (planned.settings, planned.config, settings_of(inner_method("proposal", inner, Capability.NONE))),
                (made.settings, made.config, settings_of(registry.build_method(made.settings.method))),
            )
        ]
        assert keys[0] == keys[1]


def test_the_full_plan_has_every_method_and_task_at_every_budget_and_seed():
    plan = read_plan("full")
    cells = [entry.cell for entry in plan.entries]
    tasks = {"hotjupiter", "hotjupiter_varied", "hotjupiter_wfc3", "linear_gaussian"}
    assert {cell.method for cell in cells} == set(registry.names(registry.METHODS))
    assert {cell.task for cell in cells} == tasks
    n_still = len(tasks) * 3 * 3  # prior, nested and hmc are the same at every budget
    assert len(cells) == len(set(cells)) == n_still + (len(registry.names(registry.METHODS)) - 3) * len(tasks) * 4 * 3
    assert not any(key.startswith(("limits", "n_")) for entry in plan.entries for key in entry.settings)


def test_the_settings_of_the_full_plan_are_sound(expansion):
    part = read_plan("full").only({"budgets": ["1e5"], "seeds": ["2"], "tasks": ["hotjupiter", "linear_gaussian"]})
    planned = expansion.runs(part)
    assert len(planned) == 2 * len(registry.names(registry.METHODS))
    assert all(seconds > START_SECONDS for seconds in (timed.seconds for timed in in_order(planned)))


def test_later_settings_stand_and_repeated_runs_count_once():
    text = """
runs:
  - {methods: [prior, npe], tasks: [linear_gaussian], budgets: [1e3, 1000], seeds: [0, 0]}
  - {methods: all, without: [npe], tasks: [linear_gaussian], budgets: [1e3], seeds: [0]}
settings:
  - {set: {n_test: 100, n_draws: 10}, training_seconds: 5}
  - {methods: [npe], set: {n_test: 25}}
"""
    entries = {entry.cell.method: entry for entry in parse_plan("own", text).entries}
    assert set(entries) == set(registry.names(registry.METHODS))
    assert entries["npe"].settings == {"n_test": 25, "n_draws": 10}
    assert entries["prior"].settings == {"n_test": 100, "n_draws": 10}


def test_order_is_longest_first_and_counts_what_waits(expansion):
    order = in_order(expansion.runs(parse_plan("small", SMALL)))
    seconds = {timed.cell.method: timed.seconds - START_SECONDS for timed in order}
    assert seconds == {"npe": 150, "mdn": 170, "importance": 100, "prior": 50}
    # npe alone is shorter than mdn, but importance waits for it.
    assert [timed.cell.method for timed in order] == ["npe", "mdn", "importance", "prior"]


def test_what_finished_runs_took_counts_for_more_than_the_plan(expansion):
    planned = {each.cell.method: each for each in expansion.runs(parse_plan("small", SMALL))}
    mdn = planned["mdn"]
    record = {
        **dict.fromkeys(("metrics_version", "task_id", "seed", "n_test"), 0),
        **{"status": "ok", "task": "linear_gaussian", "method": "mdn", "budget": 1000, "fits_used": []},
        "config": {**mdn.config, "n_test": 100},
        "cost": {"training_seconds": 7.0, "seconds_per_posterior": 0.1},
    }
    folder = mdn.folder.parents[1] / "another" / "3"
    folder.mkdir(parents=True)
    write_record(folder, record)
    (timed,) = (timed for timed in in_order(list(planned.values())) if timed.cell.method == "mdn")
    assert timed.seconds == START_SECONDS + 7.0 + 25 * 0.1


def test_the_folder_known_beforehand_is_where_the_run_goes(expansion):
    (planned,) = expansion.runs(parse_plan("one", SMALL).only({"methods": ["prior"]}))
    record = run(planned.settings)
    assert record.folder == planned.folder
    assert (record["config_hash"], record["config"]) == (planned.config_hash, planned.config)


def test_a_part_of_a_plan():
    plan = read_plan("committed").only({"methods": ["npe"], "budgets": ["1e3", "100000"]})
    assert [entry.cell for entry in plan.entries] == [("npe", "hotjupiter", 1000, 0), ("npe", "hotjupiter", 100_000, 0)]
    for wanted, message in [
        ({"methods": ["npee"]}, "Did you mean 'npe'"),
        ({"budgets": ["7"]}, "no budget in this plan '7'"),
        ({"methods": ["nested"], "seeds": ["1"]}, "no run with method=nested seed=1"),
    ]:
        with pytest.raises(ExobenchError, match=message):
            read_plan("committed").only(wanted)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("runs:", "run:"), "needs a list 'runs'"),
        (("mdn, npe", "mdn, npee"), r"no method \(plan small\) 'npee'"),
        (("budgets: [1e3]", "budgets: [10]"), "budget=10 must be a whole number of at least 100"),
        (("seeds: [0]", "seeds: 0"), "seeds=0 must be a list"),
        (("seeds: [0]", "seed: [0]"), "Did you mean 'seeds'"),
        (("after: npe", "after: np"), "Did you mean 'npe'"),
        (("n_test: 25", "seed: 3"), "set cannot change seed"),
        (("seconds_per_spectrum: 2", "seconds_per_spectrum: soon"), "must be a number of seconds"),
        (("after: npe", "after: [npe"), "is no YAML"),
    ],
)
def test_a_wrong_plan_is_refused_in_one_line(change, message):
    with pytest.raises(ExobenchError, match=message):
        parse_plan("small", SMALL.replace(*change, 1))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("n_test: 25", "n_tests: 25"), "plan small, mdn on linear_gaussian.*Did you mean 'n_test'"),
        (("limits.seconds: 100", "limits.steps: 100"), "npe on.*set limits.seconds, or say how long it trains"),
        (("n_test: 25", "method: {a: 1}"), "set cannot change method"),
        (("limits.seconds: 120", "method.embedding: {size: 3}"), "name its leaves one by one"),
    ],
)
def test_wrong_settings_name_the_run(expansion, change, message):
    with pytest.raises(ExobenchError, match=message):
        expansion.runs(parse_plan("small", SMALL.replace(*change, 1)))


def test_runs_that_wait_in_a_circle_are_refused(expansion):
    text = SMALL + "  - {methods: [npe], after: importance}\n"
    with pytest.raises(ExobenchError, match="wait for itself"):
        in_order(expansion.runs(parse_plan("circle", text)))


def test_shipped_plans_are_listed_and_an_unknown_one_names_them():
    assert shipped_plans() == ["committed", "full"]
    with pytest.raises(ExobenchError, match="Did you mean 'committed'"):
        read_plan("commited")
