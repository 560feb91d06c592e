"""The names of runs: those that stand alone, and those inside of comparisons."""

from __future__ import annotations

import json

import pytest

from agentopt.cli import main
from agentopt.compare.design import Design, contender
from agentopt.compare.run import run_comparison
from agentopt.errors import UsageError
from agentopt.journal import read_history
from agentopt.runs import find_run, known_run, run_names


@pytest.fixture(scope="module")
def runs_dir(tmp_path_factory):
    """Two comparisons, of which one has a method more, and a run that stands alone."""
    folder = tmp_path_factory.mktemp("runs")
    for name, methods in (("one", ["random"]), ("two", ["random", "sobol"])):
        design = Design(tuple(map(contender, methods)), ("branin",), (0,), 3)
        run_comparison(design, folder / name, workers=1)
    assert (
        main(["run", "random", "--task", "branin", "--trials", "2", "--runs-dir", str(folder), "--name", "mine"]) == 0
    )
    return folder


def test_runs_of_comparisons_have_names(runs_dir):
    assert list(run_names(runs_dir)) == ["mine", "one/branin/random/s0", "two/branin/random/s0", "two/branin/sobol/s0"]
    cell = runs_dir / "two" / "cells" / "branin" / "sobol" / "s0"
    for name in ("two/cells/branin/sobol/s0", "two/branin/sobol/s0", "branin/sobol/s0", "sobol/s0", str(cell)):
        assert find_run(name, runs_dir) == cell
    assert find_run("one/branin/random/s0", runs_dir) == runs_dir / "one" / "cells" / "branin" / "random" / "s0"
    assert known_run("sobol", runs_dir) is None


def test_a_name_that_could_be_several_runs_is_refused_with_their_names(runs_dir):
    with pytest.raises(UsageError, match="could be any of one/branin/random/s0, two/branin/random/s0: write more"):
        find_run("random/s0", runs_dir)
    with pytest.raises(UsageError, match="one is a comparison of many runs: agentopt list runs one has their names"):
        find_run("one", runs_dir)
    with pytest.raises(UsageError, match="Did you mean 'mine'"):
        find_run("mime", runs_dir)


def test_the_commands_know_the_runs_of_comparisons(runs_dir, capsys):
    where = ["--runs-dir", str(runs_dir)]
    assert main(["list", "runs", *where]) == 0
    listed = capsys.readouterr().out
    assert "mine" in listed
    assert [line.split()[0] for line in listed.splitlines() if line.endswith((" 1 of 1", " 2 of 2"))] == ["one", "two"]
    assert main(["list", "runs", "two", *where]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert sorted(line.split()[0] for line in lines if "/" in line) == ["two/branin/random/s0", "two/branin/sobol/s0"]
    assert main(["list", "runs", "tow", *where]) == 2
    assert "Did you mean 'two'" in capsys.readouterr().err
    assert main(["show", "sobol/s0", "--json", *where]) == 0
    assert json.loads(capsys.readouterr().out)["method"] == "sobol"
    assert main(["report", "two/branin/sobol/s0", *where]) == 0
    assert "sobol on branin, seed 0: done" in capsys.readouterr().out


def test_a_run_of_a_comparison_is_resumed_by_name_and_the_comparison_finds_it_done(tmp_path):
    design = Design((contender("random"),), ("branin",), (0,), 3)
    run_comparison(design, tmp_path / "c", workers=1)
    journal = tmp_path / "c" / "cells" / "branin" / "random" / "s0" / "journal.jsonl"
    whole = journal.read_bytes()
    journal.write_bytes(whole[: whole.rindex(b'{"', 0, -200)])
    assert main(["resume", "random/s0", "--runs-dir", str(tmp_path), "--quiet"]) == 0
    assert len(read_history(journal.parent).trials) == 3
    seen = []
    run_comparison(design, tmp_path / "c", workers=1, watch=seen.append)
    assert seen == []
