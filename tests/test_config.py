"""What a user may write for a run, and what is said of what may not be written."""

from __future__ import annotations

import tomllib

import pytest
from pydantic import BaseModel, Field

from agentopt.build import plan
from agentopt.config import (
    RunConfig,
    from_flags,
    load_config,
    merged,
    parse_pairs,
    parse_seconds,
    parse_value,
    save_config,
    validated,
    with_none,
)
from agentopt.errors import UsageError
from agentopt.provenance import provenance


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90s", 90),
        ("30m", 1800),
        ("2h", 7200),
        ("1h30m", 5400),
        ("1h30m5s", 5405),
        ("45", 45),
        ("0.5h", 1800),
        (" 3M ", 180),
    ],
)
def test_durations(text, seconds):
    assert parse_seconds(text) == seconds


@pytest.mark.parametrize("text", ["", "soon", "1h30", "-5", "5 parsecs", "s", "1d"])
def test_a_bad_duration_says_what_is_allowed(text):
    with pytest.raises(UsageError, match=r"budget = .* must be a duration such as 90s, 30m, 2h or 1h30m"):
        validated(RunConfig, {"method": "random", "budget": text}, "run")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("true", True),
        ("False", False),
        ("3", 3),
        ("1e-3", 1e-3),
        ("0.5", 0.5),
        ("[1, 2]", [1, 2]),
        ('["a", "b"]', ["a", "b"]),
        ('{"a": null}', {"a": None}),
        ("{a = 1}", {"a": 1}),
        ("uniform", "uniform"),
        ('"3"', "3"),
        ("2024-01-01", "2024-01-01"),
        ("1\nother = 2", "1\nother = 2"),
        ("", ""),
        ("a=b", "a=b"),
    ],
)
def test_values_of_options(text, value):
    found = parse_value(text)
    assert found == value
    assert type(found) is type(value)


def test_pairs():
    assert parse_pairs(("a=1", "b=x=y"), "-o") == {"a": 1, "b": "x=y"}
    with pytest.raises(UsageError, match="-o 'a' is not key=value"):
        parse_pairs(("a",), "-o")


class Toy(BaseModel, extra="forbid"):
    size: int | None = Field(None, ge=2)
    kind: str = "none"


def test_none_is_read_where_a_field_may_be_none():
    assert with_none(Toy, {"size": "none", "kind": "none"}) == {"size": None, "kind": "none"}


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"size": 1}, "toy: size = 1 cannot be used: it must be 2 or more."),
        ({"sise": 1}, "Unknown toy: 'sise'. Did you mean 'size'? Known: kind, size."),
        ({"kind": 3}, "toy: kind = 3 cannot be used: it must be a text."),
    ],
)
def test_one_line_says_what_is_wrong_and_what_is_allowed(values, message):
    with pytest.raises(UsageError) as caught:
        validated(Toy, values, "toy")
    assert str(caught.value) == message


def test_an_unknown_key_inside_a_table_names_the_nearest_one():
    with pytest.raises(UsageError, match=r"Unknown file.toml: 'temprature'. Did you mean 'temperature'"):
        validated(RunConfig, {"method": "llm", "model": {"name": "x", "temprature": 1}}, "file.toml")


def test_flags_win_over_a_file_entry_by_entry():
    file = {"method": "cmaes", "trials": 5, "options": {"popsize": 8, "sigma0": 0.2}, "provenance": {"a": 1}}
    flags = {"trials": 9, "options": {"popsize": 6}}
    assert merged(file, flags) == {"method": "cmaes", "trials": 9, "options": {"popsize": 6, "sigma0": 0.2}}


def test_flags_become_the_settings_of_a_file():
    found = from_flags(
        options=("a=1",),
        task_options=(),
        no_default=True,
        thinking=True,
        method="llm",
        model="m",
        trials=None,
        base_url="u",
        train_budget="10k tokens",
    )
    model = {"name": "m", "base_url": "u", "thinking": True}
    assert found == {
        "method": "llm",
        "default": False,
        "options": {"a": 1},
        "task_options": {"train_budget": "10k tokens"},
        "model": model,
    }


def test_a_saved_configuration_reads_back_and_makes_the_same_plan(tmp_path):
    made = plan({"method": "cmaes", "task": "sphere-5", "options": {"popsize": None, "sigma0": 0.25}, "budget": "2m"})
    save_config(made.config, tmp_path, provenance(made.config))
    config, origin = load_config(tmp_path)
    again = plan(config.model_dump(exclude_none=True))
    assert again.config == made.config
    assert again.options == made.options
    assert config.budget == 120
    assert config.trials is None
    document = tomllib.loads((tmp_path / "config.toml").read_text())
    assert document["provenance"] == origin
    assert {"agentopt", "numpy", "python"} <= set(origin["versions"])
    assert {"started", "directory", "machine"} <= set(origin)


def test_a_run_has_100_trials_unless_something_else_ends_it():
    assert plan({"method": "random", "task": "sphere-2"}).config.trials == 100
    assert plan({"method": "random", "task": "sphere-2", "budget": 5}).config.trials is None


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"method": "cmaess"}, "Did you mean 'cmaes'"),
        ({"method": "random", "task": "sphre"}, "Did you mean 'sphere-5'|Did you mean 'sphere-2'|Did you mean 'sphere"),
        ({"method": "random", "task": "sphere-2", "executor": "ray"}, "not available yet"),
        ({"method": "random", "task": "sphere-2", "task_options": {"name": 1}}, "multiple values"),
        ({"method": "random", "task": "sphere-2", "task_options": {"foo": 1}}, "Unknown option of task sphere-2"),
        ({"method": "random", "task": "sphere-2", "seed": -1}, "seed = -1 cannot be used"),
        ({"method": "llm", "task": "sphere-2", "model": {"base_url": "http://x"}}, "--base-url needs --model NAME"),
        ({"method": "llm", "task": "sphere-2", "model": "x"}, "must be a table"),
    ],
)
def test_what_cannot_be_planned_is_a_usage_error(settings, message):
    with pytest.raises(UsageError, match=message):
        plan(settings)


def test_paths_are_made_absolute_so_that_a_resume_finds_them(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").write_text(
        'from agentopt import Float\nspace = [Float("x", 0, 1)]\ndef f(p): return p["x"]\n'
    )
    (tmp_path / "replies.jsonl").write_text('"[0.5]"\n')
    made = plan({"method": "llm", "task": "mine.py:f", "model": {"name": "scripted:replies.jsonl"}})
    assert made.config.task == f"{tmp_path / 'mine.py'}:f"
    assert made.config.model is not None
    assert made.config.model.name == f"scripted:{tmp_path / 'replies.jsonl'}"


def test_a_method_knows_what_the_task_makes_of_a_configuration_and_how_many_may_be_out(tmp_path):
    (tmp_path / "task.py").write_text(
        "from agentopt import Int\n\nspace = [Int('n', 0, 9)]\n\n\ndef repair(params):\n"
        "    return {'n': params['n'] // 2 * 2}\n\n\ndef evaluate(params):\n    return params['n']\n"
    )
    problem = plan({"method": "random", "task": str(tmp_path), "workers": 3}).problem
    assert problem.repair({"n": 7}) == {"n": 6}
    assert problem.key({"n": 7}) == problem.key({"n": 6}) != problem.key({"n": 8})
    assert problem.workers == 3
