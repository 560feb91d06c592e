"""Exports, read back with the tools they are for."""

from __future__ import annotations

import csv
import json
from datetime import datetime, timedelta

import optuna
import pytest
from click.testing import CliRunner
from report_runs import EVIL, LOSS, SPACE, write_run

from agentopt.cli_export import export
from agentopt.errors import UsageError
from agentopt.export import export_csv, export_json, export_optuna
from agentopt.protocols import Objective
from agentopt.report.load import load_run
from agentopt.space import Float, Int, SearchSpace
from agentopt.trial import Origin, Outcome, Status, Suggestion, Trial

STATES = {"complete": "COMPLETE", "pruned": "PRUNED"}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return write_run(tmp_path_factory.mktemp("runs") / "one", 40, pending=2, stopped="")


@pytest.fixture(scope="module")
def study(run):
    url = f"sqlite:///{run.parent / 'x.db'}"
    assert export_optuna(run, url) == "one"
    return optuna.load_study(study_name="one", storage=url)


def test_states_values_and_params_are_ours(study, run):
    report = load_run(run)
    assert len(study.trials) == 42
    assert [t.number for t in study.trials] == list(range(42))
    for mine in report.trials:
        theirs = study.trials[mine.id]
        assert theirs.state.name == STATES.get(mine.outcome.status.value, "FAIL")
        assert theirs.params == dict(mine.params)
        assert theirs.values == (list(mine.values) or None)
    assert {t.state.name for t in study.trials[:40]} == {"COMPLETE", "FAIL", "PRUNED"}
    assert [t.state.name for t in study.trials[40:]] == ["RUNNING", "RUNNING"]
    assert study.best_value == report.best.values[0]
    assert study.best_params == dict(report.best.params)


def test_distributions_hold_values_as_people_know_them(study):
    found = study.trials[0].distributions
    assert found["rate"] == optuna.distributions.FloatDistribution(1e-4, 1.0, log=True)
    assert found["batch"] == optuna.distributions.IntDistribution(8, 256, log=True)
    assert found["steps"] == optuna.distributions.IntDistribution(0, 100, step=10)
    assert found["kind"].choices == ("plain", EVIL, True, 3)


def test_user_attributes_say_the_rest(study, run):
    report = load_run(run)
    assert study.user_attrs["method"] == "centaur"
    assert study.user_attrs["options"] == {"ratio": EVIL}
    assert study.metric_names == ["loss"]
    for mine in report.trials:
        attrs = study.trials[mine.id].user_attrs
        assert (attrs["origin"], attrs["status"]) == (mine.origin.value, mine.outcome.status.value)
        assert attrs["seconds"] == mine.seconds
        assert attrs.get("error", "") == mine.outcome.error
        assert attrs.get("metrics", {}) == dict(mine.outcome.metrics)
        assert attrs["note"] == dict(mine.note)


def test_times_are_those_of_the_run(study):
    start = datetime.fromisoformat("2026-01-02T03:04:05+00:00").astimezone().replace(tzinfo=None)
    first, later, running = study.trials[0], study.trials[10], study.trials[41]
    assert first.datetime_start == start + timedelta(seconds=0.25)
    assert later.datetime_complete == start + timedelta(seconds=10.75)
    assert later.duration == timedelta(seconds=0.5)
    assert running.datetime_start == start + timedelta(seconds=41)
    assert running.datetime_complete is None


def test_optuna_can_go_on_with_it(study):
    assert set(optuna.importance.get_param_importances(study)) == set(SPACE.names)
    frame = {trial.number for trial in study.get_trials(states=(optuna.trial.TrialState.COMPLETE,))}
    assert frame


def test_an_existing_study_is_left_alone(study, run):
    url = f"sqlite:///{run.parent / 'x.db'}"
    with pytest.raises(UsageError, match=r"has a study 'one' already.*--study"):
        export_optuna(run, url)
    assert len(optuna.load_study(study_name="one", storage=url).trials) == 42
    assert export_optuna(run, url, "two") == "two"
    assert set(optuna.get_all_study_names(url)) == {"one", "two"}


@pytest.mark.parametrize("url", ["nonsense", "nosuch://x", "sqlite:////no/such/folder/x.db"])
def test_a_storage_that_cannot_be_used_is_named(run, url):
    with pytest.raises(UsageError, match="cannot be used as an Optuna storage"):
        export_optuna(run, url)


def test_a_study_that_cannot_be_finished_is_taken_back(run, tmp_path, monkeypatch):
    def fail(*_):
        raise OSError("full")

    url = f"sqlite:///{tmp_path / 'x.db'}"
    monkeypatch.setattr(optuna.study.Study, "add_trials", fail)
    with pytest.raises(OSError, match="full"):
        export_optuna(run, url)
    assert optuna.get_all_study_names(url) == []


def test_several_objectives_keep_their_directions(tmp_path):
    run = write_run(tmp_path / "run", 12, objectives=(*LOSS, Objective("gain", "maximize")))
    url = f"sqlite:///{tmp_path / 'x.db'}"
    found = optuna.load_study(study_name=export_optuna(run, url), storage=url)
    assert [direction.name for direction in found.directions] == ["MINIMIZE", "MAXIMIZE"]
    assert found.metric_names == ["loss", "gain"]
    assert found.trials[0].values == list(load_run(run).trials[0].values)


def test_a_value_outside_its_range_becomes_an_attribute():
    from agentopt.export import _distribution, _frozen

    space = SearchSpace((Float("x", 0, 1), Int("n", 1, 4)))
    distributions = {p.name: _distribution(p) for p in space.parameters}
    trial = Trial(0, {"x": 2.0, "n": 3}, Outcome(Status.COMPLETE, (1.0,)), Origin.USER)
    made = _frozen(trial.params, distributions, {}, values=[1.0])
    assert made.params == {"n": 3}
    assert made.user_attrs == {"params outside the space": {"x": 2.0}}


def test_csv_and_json_hold_everything(run, tmp_path):
    report = load_run(run)
    with export_csv(run, tmp_path / "t.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["status"] for row in rows] == [t.outcome.status.value for t in report.trials]
    record = json.loads(export_json(run, tmp_path / "t.json").read_text(encoding="utf-8"))
    assert [row["params"] for row in record["trials"]] == [dict(t.params) for t in report.trials]
    assert [row["reply"] for row in record["exchanges"]] == [e.reply.replace("\ud800", "?") for e in report.exchanges]
    assert record["counts"] == report.counts
    assert record["header"]["seed"] == 1
    for path in (tmp_path / "no" / "t.csv", tmp_path):
        with pytest.raises(UsageError):
            export_csv(run, path)


def test_the_command(run, tmp_path):
    url = f"sqlite:///{tmp_path / 'x.db'}"
    flags = ["--optuna", url, "--study", "s", "--csv", str(tmp_path / "t.csv"), "--json", str(tmp_path / "t.json")]
    done = CliRunner().invoke(export, [str(run), *flags])
    assert done.exit_code == 0, done.output
    assert "Made the study 's' in sqlite:///" in done.output
    assert (tmp_path / "t.csv").exists()
    assert (tmp_path / "t.json").exists()
    assert optuna.get_all_study_names(url) == ["s"]
    by_name = CliRunner().invoke(export, ["one", "--runs-dir", str(run.parent), "--csv", str(tmp_path / "u.csv")])
    assert by_name.exit_code == 0
    assert isinstance(CliRunner().invoke(export, [str(run)]).exception, UsageError)
    alone = CliRunner().invoke(export, [str(run), "--study", "s", "--csv", str(tmp_path / "t.csv")])
    assert isinstance(alone.exception, UsageError)


def test_a_suggestion_is_only_pending_until_it_ends(tmp_path):
    """A trial that a journal has twice as asked stands once in the study."""
    from agentopt.journal import Journal

    run = write_run(tmp_path / "run", 3, stopped="")
    with Journal(run) as journal:
        params = dict(load_run(run).trials[0].params)
        journal.asked(1, [Suggestion(params, Origin.CMAES, 9)], [params], t=4.0, seconds=0.1)
    url = f"sqlite:///{tmp_path / 'x.db'}"
    found = optuna.load_study(study_name=export_optuna(run, url), storage=url)
    assert [t.state.name for t in found.trials] == ["COMPLETE"] * 3 + ["RUNNING"]
