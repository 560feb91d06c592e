"""What a method knows, rebuilt from a run folder: as it is in the run, and without touching anything."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from agentopt import AskTell, Float, Int
from agentopt.build import open_run, plan
from agentopt.cli import main
from agentopt.errors import UsageError
from agentopt.state import state_of

SCRIPT = """
import json

def answer(prompt, view):
    return json.dumps([0.1 * (1 + view["call"] % 9), -0.3, 0.5, 0.7, 0.9])
"""


def contents(folder: Path) -> dict[str, tuple[bytes, int]]:
    """Returns what a folder holds, and when it was written."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {str(path): (path.read_bytes(), path.stat().st_mtime_ns) for path in files}


CMAES_TURNS = {"core": "cmaes", "ratio": 0.5, "warmup": 3, "screen": "none"}


@pytest.mark.parametrize(
    ("method", "options"),
    [("cmaes", {}), ("centaur", CMAES_TURNS), ("centaur", {"ratio": 0.5}), ("llm", {}), ("local", {})],
)
def test_it_is_that_of_the_run_which_may_be_under_way(method, options, tmp_path):
    script = tmp_path / "model.py"
    script.write_text(SCRIPT)
    model = {"name": f"scripted:{script}:answer"} if method in ("centaur", "llm") else None
    settings = {"method": method, "task": "sphere-5", "trials": 20, "options": options, "model": model}
    run = tmp_path / "run"
    with open_run(plan(settings), run) as opened:
        opened.execute()
        script.unlink()  # the model is gone, and the run's lock is held
        before = contents(run)
        found = state_of(run)
        assert contents(run) == before
        expected = json.loads(json.dumps(opened.optimizer.explain()))
    assert json.loads(json.dumps(found["state"])) == expected
    assert (found["method"], found["finished"], found["pending"]) == (method, 20, 0)


def test_a_run_from_python_has_one_too_and_trials_under_way_are_counted(tmp_path):
    space = [Float("x", -5, 5), Int("n", 1, 9)]
    with AskTell(space, method="tpe", run=tmp_path / "run") as search:
        for trial in search.ask(3):
            search.tell(trial.id, trial.params["x"] ** 2)
        search.ask(2)
        found = state_of(tmp_path / "run")
    assert (found["finished"], found["pending"]) == (3, 2)
    assert (found["state"]["told"], found["state"]["pending"]) == (3, 2)


def test_a_reply_that_is_not_recorded_is_not_asked_for(tmp_path):
    script, run = tmp_path / "model.py", tmp_path / "run"
    script.write_text(SCRIPT)
    settings = {"method": "llm", "task": "sphere-5", "trials": 4, "model": {"name": f"scripted:{script}:answer"}}
    with open_run(plan(settings), run) as opened:
        opened.execute()
    (run / "llm.jsonl").unlink()
    with pytest.raises(UsageError, match=r"not recorded in its llm\.jsonl, and no model is asked"):
        state_of(run)
    assert not (run / "llm.jsonl").exists()


def test_the_command_line_shows_it_in_80_columns(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["run", "cmaes", "--trials", "25", "--name", "x", "--json"]) == 0
    capsys.readouterr()
    assert main(["show", "x", "--state"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 80
    assert "What the method knows after 25 trials" in lines
    assert any(line.split()[:2] == ["generation", "2"] for line in lines)
    assert any(line.split()[:1] == ["ASPECT_RATIO"] for line in lines)
    assert main(["show", "x", "--state", "--json"]) == 0
    (line,) = capsys.readouterr().out.splitlines()
    found = json.loads(line)
    assert list(found) == ["run", "method", "task", "seed", "finished", "pending", "state"]
    assert found["state"]["generation"] == 2
    assert main(["show", "x", "--state", "--trial", "3"]) == 2
    assert "leave out --trial" in capsys.readouterr().err
    assert main(["show", "y", "--state"]) == 2
    assert "Unknown run 'y'" in capsys.readouterr().err
