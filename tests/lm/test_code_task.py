"""Tasks with code: what is said before a trial runs where none can, or where nothing would be held out."""

from __future__ import annotations

import pytest

from agentopt.build import plan
from agentopt.errors import UsageError
from agentopt.sandbox import Tier, why_not
from agentopt.task import load_task

SETTINGS = {"method": "random", "task": "nanolm"}


def test_installed_text_is_not_held_out_without_mounts():
    with pytest.raises(UsageError, match=r"nanolm cannot run here: the corpus stdlib .* Take tier=bubblewrap"):
        plan({**SETTINGS, "task_options": {"tier": "landlock"}})
    assert "corpus=shakespeare" in load_task("nanolm", tier="landlock").why_not()


def test_a_folder_of_the_users_is_held_out_by_landlock(tmp_path):
    (tmp_path / "a.txt").write_text("Some text.\n" * 100)
    if reason := why_not(Tier.LANDLOCK):
        pytest.skip(f"landlock does not work here: {reason}")
    assert load_task("nanolm", tier="landlock", corpus=str(tmp_path)).why_not() == ""


def test_a_tier_that_isolates_nothing_says_so():
    said = []
    plan({**SETTINGS, "task_options": {"tier": "process"}}, say=said.append)
    assert [line for line in said if "isolates nothing" in line]
    said.clear()
    plan({**SETTINGS, "task": "sphere-5"}, say=said.append)
    assert said == []


def test_without_git_no_run_is_started(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UsageError, match="git is not installed"):
        plan(SETTINGS)


def test_what_a_training_measures_may_be_an_objective_too():
    task = load_task("nanolm", objectives="val_bpb, parameters")
    assert [(o.name, o.direction) for o in task.objectives] == [("val_bpb", "minimize"), ("parameters", "minimize")]
    assert len(load_task("nanolm").objectives) == 1
    assert len(load_task("nanolm", objectives=["val_bpb"]).objectives) == 1
    with pytest.raises(UsageError, match="Did you mean 'parameters'"):
        load_task("nanolm", objectives="val_bpb,parameter")
    with pytest.raises(UsageError, match="the first is val_bpb"):
        load_task("nanolm", objectives="parameters")
