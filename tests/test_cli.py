"""The command line as a user meets it."""

from __future__ import annotations

import inspect
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from agentopt import AskTell, minimize
from agentopt.cli import main
from agentopt.config import DEFAULT_METHOD
from agentopt.journal import read_history
from agentopt.ledger import read_ledger
from agentopt.suites import SUITES

SLOW = """
import time
from agentopt import Float, Int
space = [Float("x", 0, 1, default=0.5), Int("n", 1, 9, default=3)]
def evaluate(p, seed=0):
    time.sleep(0.05)
    if p["x"] > 0.8:
        raise ValueError("x is too big")
    return p["x"] + p["n"]
"""
COUNTS = ["complete", "failed", "oom", "timeout", "invalid", "pruned", "cut"]


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def ok(capsys, *arguments):
    code = main(list(arguments))
    out = capsys.readouterr()
    assert code == 0, out.err
    return out


def wrong(capsys, *arguments):
    """Returns the message of a command line that must be refused, and checks that nothing was run."""
    code = main(list(arguments))
    out = capsys.readouterr()
    assert code == 2, out
    assert out.out == ""
    assert "Traceback" not in out.err
    assert not Path("runs").exists()
    return out.err


def test_a_run_prints_one_json_object_on_stdout(capsys):
    out = ok(capsys, "run", "random", "--task", "sphere-5", "--trials", "20", "--json")
    (line,) = out.out.splitlines()
    found = json.loads(line)
    assert list(found) == ["run", "method", "task", "seed", "best", "trials", "seconds", "tokens"]
    assert list(found["best"]) == ["values", "params", "trial"]
    assert list(found["trials"]) == COUNTS
    assert found["trials"]["complete"] == 20
    assert list(found["seconds"]) == ["total", "llm", "evaluate", "overhead"]
    assert found["tokens"] == {"prompt": 0, "completion": 0}
    assert "Trials by origin" in out.err
    run = Path(found["run"])
    assert run.name.startswith("random-sphere-5-s0-")
    assert {"config.toml", "journal.jsonl", "convergence.png"} <= {path.name for path in run.iterdir()}


def test_a_run_prints_its_result_on_stdout_and_its_progress_on_stderr(capsys):
    out = ok(capsys, "run", "local", "--task", "sphere-2", "--trials", "10", "--name", "mine")
    assert "Best: value" in out.out
    assert "Trials by status" in out.out
    assert "runs/mine/convergence.png" in out.out
    assert "trials 10/10" in out.err


def test_without_a_method_the_default_one_searches_and_is_named(capsys):
    out = ok(capsys, "run", "--task", "sphere-2", "--trials", "3", "--name", "mine")
    assert out.err.splitlines()[0].startswith(f"No method was given: using {DEFAULT_METHOD}.")
    assert read_history(Path("runs/mine")).header["method"] == DEFAULT_METHOD
    assert {inspect.signature(f).parameters["method"].default for f in (minimize, AskTell)} == {DEFAULT_METHOD}
    assert "No method" not in ok(capsys, "run", "random", "--task", "sphere-2", "--trials", "3").err


MODEL = ("--model", "scripted:agentopt.testing.models:uniform")


def test_the_default_method_asks_a_model_where_one_is_named_and_speaks_of_no_server_else(capsys):
    where = ("run", "--task", "hartmann6", "--trials", "12", "--name")
    plain = ok(capsys, *where, "plain")
    history, run = read_history(Path("runs/plain")), Path("runs/plain")
    assert (history.header["method"], history.header["model"], len(history.trials)) == ("auto", None, 12)
    assert not (run / "llm.jsonl").exists()
    said = plain.err.lower()
    assert "With --model NAME one says first what it expects to work." in plain.err
    assert not any(word in said for word in ("server", "vllm", "endpoint", "no model was given"))
    ok(capsys, *where, "asked", *MODEL)
    trials = read_history(Path("runs/asked")).trials
    calls = [call for trial in trials for call in trial.note.get("calls", ())]
    assert calls == list(range(16)) == sorted(one.call for one in read_ledger(Path("runs/asked")))
    assert trials[0].note["calls"] == calls


def test_a_model_of_all_methods_makes_none_ask_that_can_do_without(capsys):
    ok(capsys, "compare", "auto", "tpe", *MODEL, "--task", "branin", "--seeds", "1", "--trials", "4", "--name", "c")
    assert len([*Path("runs/c/cells").glob("*/*/*/journal.jsonl")]) == 2
    assert not [*Path("runs/c").rglob("llm.jsonl")]


def test_quiet_shows_no_progress(capsys):
    assert ok(capsys, "run", "random", "--task", "sphere-2", "--trials", "5", "--quiet").err == ""


def test_the_same_seed_gives_the_same_trials_with_and_without_child_processes(capsys):
    for name, more in (("a", []), ("b", ["--isolation", "process"]), ("c", ["--seed", "1"])):
        ok(capsys, "run", "local", "--task", "sphere-2", "--trials", "8", "--name", name, *more)
    a, b, c = ([(t.params, t.values) for t in read_history(Path("runs", name)).trials] for name in "abc")
    assert a == b != c


def test_the_default_configuration_is_the_first_trial_unless_it_is_not_wanted(capsys):
    Path("slow.py").write_text(SLOW.replace("> 0.8", "> 1"))
    ok(capsys, "run", "random", "--task", "slow.py:evaluate", "--trials", "2", "--name", "with")
    ok(capsys, "run", "random", "--task", "slow.py:evaluate", "--trials", "2", "--name", "without", "--no-default")
    assert [t.origin for t in read_history(Path("runs/with")).trials] == ["baseline", "random"]
    assert read_history(Path("runs/with")).trials[0].params == {"x": 0.5, "n": 3}
    assert [t.origin for t in read_history(Path("runs/without")).trials] == ["random", "random"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run", "randm"], "Unknown method 'randm'. Did you mean 'random'?"),
        (["run", "random", "--task", "spher-5"], "Did you mean 'sphere-5'?"),
        (["run", "random", "--trails", "5"], "--trials"),
        (["run", "random", "--trials", "many"], "not a valid integer"),
        (["run", "random", "--trials", "0"], "trials = 0 cannot be used: it must be 1 or more"),
        (["run", "random", "--budget", "soon"], "duration such as 90s"),
        (["run", "random", "--workers", "0"], "workers = 0"),
        (["run", "random", "--executor", "ray"], "not available yet"),
        (["run", "random", "-o", "popsize=3"], "Unknown option of random: 'popsize'"),
        (["run", "local", "-o", "stepp=3"], "Did you mean 'step'?"),
        (["run", "local", "-o", "step=-1"], "step = -1 cannot be used: it must be above 0"),
        (["run", "local", "-o", "step"], "not key=value"),
        (["run", "hollm", "-o", "growth=nan"], "growth = nan cannot be used: it must be a finite number, or 'auto'"),
        (["run", "hollm", "-o", "growth=x"], "growth = 'x' cannot be used: it must be a number, or 'auto'"),
        (["run", "hollm", "-o", "growth=1e308"], "it must be 1000000 or less, or 'auto'"),
        (["run", "llambo", "-o", "alpha=inf"], "alpha = inf cannot be used: it must be a finite number"),
        (["run", "mohollm", "-o", "surrogate=labels"], "option of mohollm: surrogate=labels predicts one objective"),
        (["run", "hollm", "--task", "zdt1"], "Methods that take several: auto, random, "),
        (["run", "llm", "--model", "qwen-0.8c"], "Did you mean 'qwen-0.8b'?"),
        (["run", "llm", "--model", "scripted:nowhere.jsonl"], "nowhere.jsonl"),
        (["run", "random", "--name", "a/b"], "cannot be a folder's name"),
        (["run", "random", "--config", "none.toml"], "Cannot read none.toml"),
        (["rnu"], "Did you mean 'run'?"),
        (["resume", "nothing"], "Unknown run 'nothing'"),
        (["show", "randon"], "Did you mean 'random'?"),
        (["show", "random", "--trial", "3"], "--trial needs a run"),
        (["report", "nothing"], "Unknown run 'nothing'"),
        (["models", "pull", "qwen-0.8c"], "Did you mean 'qwen-0.8b'?"),
        (["task", "check", "nothing"], "Unknown task 'nothing'"),
        (["task", "init", "a b"], "cannot be a task's name"),
    ],
)
def test_a_mistake_is_answered_in_words_and_nothing_is_left_behind(capsys, arguments, message):
    assert message in wrong(capsys, *arguments)


def test_a_script_that_cannot_answer_for_the_task_is_a_mistake_in_words(capsys):
    arguments = ["--task", "zdt1", "--trials", "9", "--model", "scripted:agentopt.testing.models:oracle", "--name", "o"]
    assert main(["run", "mohollm", *arguments]) == 2
    said = capsys.readouterr().err
    assert "The oracle needs a task that states where its optimum is, not zdt1." in said
    assert "refused a request" not in said


def test_settings_come_from_a_file_and_flags_win(capsys):
    Path("run.toml").write_text('method = "local"\ntask = "sphere-2"\ntrials = 50\n[options]\nstep = 0.3\nmove = 0.5\n')
    ok(capsys, "run", "--config", "run.toml", "--trials", "4", "-o", "step=0.2", "--name", "f")
    header = read_history(Path("runs/f")).header
    assert (header["method"], header["budget"]["trials"]) == ("local", 4)
    assert (header["options"]["step"], header["options"]["move"]) == (0.2, 0.5)
    ok(capsys, "run", "--config", "runs/f/config.toml", "--name", "again")
    same = [read_history(Path("runs", name)).trials for name in ("f", "again")]
    assert [t.params for t in same[0]] == [t.params for t in same[1]]


def test_an_unknown_key_in_a_file_is_named_with_the_nearest_one(capsys):
    Path("run.toml").write_text('method = "local"\ntrial = 3\n')
    assert "run.toml: 'trial'. Did you mean 'trials'?" in wrong(capsys, "run", "--config", "run.toml")


def test_a_folder_that_is_not_empty_is_refused_with_the_fix(capsys):
    ok(capsys, "run", "random", "--task", "sphere-2", "--trials", "2", "--name", "x")
    assert main(["run", "random", "--task", "sphere-2", "--name", "x"]) == 2
    assert "agentopt resume runs/x" in capsys.readouterr().err
    assert len(read_history(Path("runs/x")).trials) == 2


def test_resuming_a_finished_run_says_so(capsys):
    ok(capsys, "run", "random", "--task", "sphere-2", "--trials", "2", "--name", "x")
    before = Path("runs/x/journal.jsonl").read_bytes()
    out = ok(capsys, "resume", "x", "--json")
    assert "is done already" in out.err
    assert json.loads(out.out)["trials"]["complete"] == 2
    assert Path("runs/x/journal.jsonl").read_bytes() == before


def test_show_and_list_runs(capsys):
    ok(capsys, "run", "random", "--task", "sphere-2", "--trials", "3", "--name", "x")
    found = json.loads(ok(capsys, "show", "x", "--json").out)
    assert list(found) == ["run", "method", "task", "seed", "status", "stopped", "budget", "trials"]
    assert found["status"] == "done"
    assert [list(trial) for trial in found["trials"]] == [["id", "params", "values", "status", "origin", "seconds"]] * 3
    assert json.loads(ok(capsys, "show", "runs/x", "--trial", "1", "--json").out)["id"] == 1
    assert "Trial 2 of" in ok(capsys, "show", "x", "--trial", "2").out
    assert "Trials" in ok(capsys, "show", "x").out
    assert "x    random  sphere-2  done" in ok(capsys, "list", "runs").out
    assert "No runs in elsewhere" in ok(capsys, "list", "runs", "--runs-dir", "elsewhere").out
    assert main(["show", "x", "--trial", "9"]) == 2
    ok(capsys, "run", "random", "--task", "sphere-2", "--trials", "3", "--name", "y")
    out = ok(capsys, "report", "runs").out
    assert out.count("convergence.png") == 2
    assert "y    random  sphere-2  done" in out


def test_show_documents_every_option_of_a_method(capsys):
    from agentopt.optimizers import METHODS, load_method

    for name in METHODS:
        card = json.loads(ok(capsys, "show", name, "--json").out)
        assert [option["name"] for option in card["options"]] == list(load_method(name).Options.model_fields)
        assert all(option["description"] and option["type"] for option in card["options"])
        text = ok(capsys, "show", name).out
        assert card["summary"][:20] in text


def test_show_a_task(capsys):
    text = ok(capsys, "show", "hartmann6").out
    assert "Known optimum: -3.32237" in text
    assert "Best known" not in text
    assert "6 parameters" in text
    card = json.loads(ok(capsys, "show", "autoresearch-surrogate", "--json").out)
    assert card["defaults"]["DEPTH"] == 8
    assert card["space"]["repairs"][0]["name"] == "TOTAL_BATCH_SIZE"


def test_lists(capsys):
    assert "cmaes" in ok(capsys, "list", "methods").out
    assert "smollm2-135m" in ok(capsys, "list", "models").out
    assert ok(capsys, "models", "list").out == ok(capsys, "list", "models").out
    Path("tasks/broken").mkdir(parents=True)
    Path("tasks/broken/task.py").write_text("import nothing_of_the_kind\n")
    tasks = ok(capsys, "list", "tasks").out
    assert "hartmann6" in tasks
    assert "nothing_of_the_kind" in tasks


def test_doctor(capsys):
    text = ok(capsys, "doctor").out
    for what in ("system", "vLLM", "models", "runs"):
        assert what in text


def test_a_new_task_passes_its_check_and_can_be_searched(capsys):
    assert "agentopt task check mine" in ok(capsys, "task", "init", "mine").out
    text = ok(capsys, "task", "check", "mine").out
    assert "twice the same" in text
    assert "agentopt run cmaes --task mine" in text
    ok(capsys, "run", "random", "--task", "mine", "--trials", "3")
    assert main(["task", "init", "mine"]) == 2


def test_a_task_that_fails_does_not_pass_its_check(capsys):
    Path("bad.py").write_text(
        'from agentopt import Float\nspace = [Float("x", 0, 1)]\ndef evaluate(p): return "nope"\n'
    )
    assert main(["task", "check", "bad.py"]) == 1
    assert "not a number" in capsys.readouterr().out


def test_a_surrogate_of_a_run_becomes_a_task(capsys):
    pytest.importorskip("sklearn")
    ok(capsys, "run", "random", "--task", "sphere-2", "--trials", "60", "--name", "r")
    assert "spearman" in ok(capsys, "surrogate", "fit", "r", "--name", "twin").out
    ok(capsys, "run", "random", "--task", "twin", "--trials", "3")


def test_a_run_that_asks_a_model_shows_what_came_of_its_replies(capsys):
    Path("slow.py").write_text(SLOW)
    replies = ["nonsense", "[0.5, 4]", "[0.25, 2]", '{"x": 0.1, "n": 99}']
    Path("replies.jsonl").write_text("".join(json.dumps(reply) + "\n" for reply in replies * 20))
    run = (
        "run",
        "llm",
        "--task",
        "slow.py:evaluate",
        "--trials",
        "6",
        "--model",
        "scripted:replies.jsonl",
        "--name",
        "x",
    )
    out = ok(capsys, *run, "--json")
    assert json.loads(out.out)["tokens"]["prompt"] > 0
    assert "Replies of the language model" in out.err
    assert "invalid:" in out.err
    assert "ok after a repair" in out.err


def test_a_model_that_is_not_needed_is_not_used_and_that_is_said(capsys):
    out = ok(capsys, "run", "random", "--task", "sphere-2", "--trials", "2", "--model", "qwen-0.8b")
    assert "the model settings are not used" in out.err


def test_an_unforeseen_error_is_one_line_and_its_traceback_is_kept(capsys, here, monkeypatch):
    (here / "odd_method.py").write_text(
        "from agentopt.optimizers.random import RandomSearch\n"
        "class Odd(RandomSearch):\n"
        "    def ask(self, n):\n"
        "        raise KeyError('oops')\n"
    )
    monkeypatch.syspath_prepend(str(here))
    assert main(["run", "odd_method:Odd", "--task", "sphere-2", "--name", "x"]) == 1
    err = capsys.readouterr().err
    assert "Unexpected KeyError: 'oops'" in err
    assert "Traceback" not in err
    (crash,) = Path("runs/x").glob("crash-*.txt")
    assert str(crash) in err
    assert "Traceback" in crash.read_text()


def test_the_text_of_an_error_may_be_anything(here):
    (here / "odd.py").write_text(
        "from agentopt import Float\nspace = [Float('x', 0, 1)]\ndef evaluate(params): raise ValueError('\\ud800')\n"
    )
    process = agentopt("run", "random", "--task", "odd.py:evaluate", "--trials", "2", "--name", "x", "--json")
    out, err = process.communicate(timeout=60)
    assert process.returncode == 1, err
    assert json.loads(out)["trials"]["failed"] == 2
    assert "ValueError: <U+D800>" in err


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), ValueError("No space left on device")])
def test_a_figure_that_cannot_be_made_does_not_spoil_the_run(capsys, monkeypatch, error):
    def full(report):
        raise error

    monkeypatch.setattr("agentopt.report.figures.convergence", full)
    done = ok(capsys, "run", "random", "--task", "sphere-2", "--trials", "3", "--json")
    assert json.loads(done.out)["trials"]["complete"] == 3
    assert "The figure could not be made: No space left on device." in done.err


@pytest.mark.parametrize("size", [0, 10])
def test_a_run_whose_first_record_is_torn_is_resumed(capsys, size):
    arguments = ("random", "--task", "sphere-2", "--trials", "3")
    ok(capsys, "run", *arguments, "--name", "whole")
    ok(capsys, "run", *arguments, "--name", "torn")
    os.truncate("runs/torn/journal.jsonl", size)
    ok(capsys, "resume", "torn")
    torn, whole = (read_history(Path("runs", name)).trials for name in ("torn", "whole"))
    assert [(t.id, t.params) for t in torn] == [(t.id, t.params) for t in whole]


@pytest.mark.parametrize("method", ["cmaes", "local", "llm", "hollm"])
def test_a_method_for_one_objective_is_refused_for_several(capsys, here, method):
    (here / "two.py").write_text(
        "from agentopt import Float\nspace = [Float('x', 0, 1)]\nobjectives = ['a', 'b']\n"
        "def evaluate(params): return params['x'], 1 - params['x']\n"
    )
    message = wrong(capsys, "run", method, "--task", "two.py:evaluate", "--model", "smollm2-135m")
    assert f"{method} takes one objective" in message
    assert "random, sobol, tpe" in message


def test_a_budget_of_time_ends_a_run_that_waits_for_a_model(capsys, here):
    (here / "replies.jsonl").write_text('{"text": "[0.5, 1]", "delay": 60}\n')
    start = time.monotonic()
    model = ("--model", "scripted:replies.jsonl", "--budget", "1s", "--no-default", "--name", "x")
    assert main(["run", "llm", "--task", "sphere-2", *model, "--json"]) == 1  # nothing was found
    seconds = json.loads(capsys.readouterr().out)["seconds"]
    assert time.monotonic() - start < 20
    assert json.loads(ok(capsys, "show", "x", "--json").out)["status"] == "done"
    assert seconds["llm"] > 0.5 * seconds["total"]  # the reply that never came is no overhead
    (cut,) = read_ledger(Path("runs/x"))
    assert (cut.status, cut.reason.partition(":")[0]) == ("error", "OutOfTime")


def agentopt(*arguments, **more):
    command = [sys.executable, "-m", "agentopt", *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **more)


def wait_for_trials(run: Path, n: int) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if (run / "journal.jsonl").exists() and (run / "journal.jsonl").read_text().count('"finished"') >= n:
            return
        time.sleep(0.02)
    raise AssertionError("the run does not get on")


@pytest.mark.parametrize("address", ["localhost:8000/v1", "127.0.0.1:8000", "ftp://here/v1", "http:///v1", ""])
def test_an_address_that_is_none_is_refused(capsys, address):
    model = ("--model", "m", "--base-url", address)
    message = wrong(capsys, "run", "llm", "--task", "sphere-2", *model)
    assert "base_url" in message
    assert "write http://HOST:PORT/v1" in message
    assert "write http://HOST:PORT/v1" in wrong(capsys, "compare", "llm", "--task", "sphere-2", *model)


def test_without_an_endpoint_there_is_no_run(capsys):
    model = ("--model", "m", "--base-url", "http://127.0.0.1:9/v1")
    assert main(["run", "llm", "--task", "sphere-2", *model]) == 1
    err = capsys.readouterr().err
    assert "No OpenAI-compatible endpoint answers at http://127.0.0.1:9/v1" in err
    assert "Continue with" not in err
    assert not Path("runs").exists()


def test_the_best_known_value_is_not_called_an_optimum(capsys):
    pytest.importorskip("sklearn")
    text = ok(capsys, "show", "svm-breast-cancer").out
    assert "Best known value (the optimum is not known): 0.061494" in text
    assert "Known optimum" not in text
    card = json.loads(ok(capsys, "show", "svm-breast-cancer", "--json").out)
    assert (card["optimum"], round(card["best_known"], 6)) == (None, 0.061494)


def test_sizes_that_are_not_listed_are_said(capsys):
    text = ok(capsys, "list", "tasks").out
    assert "sphere-5" in text
    assert "Without a size, sphere is sphere-5" in text
    assert "bbob-fN-dD-iI: functions N from 1 to 24, dimensions D from 2 to 100 and any instance I" in text
    assert all(f"suite:{suite}" in text for suite in SUITES)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_a_run_that_is_stopped_can_be_resumed_and_ends_as_if_it_had_not_been(capsys, number):
    Path("slow.py").write_text(SLOW)
    arguments = ("random", "--task", "slow.py:evaluate", "--trials", "25")
    # A shell may have told its background processes to ignore SIGINT.
    process = agentopt(
        "run", *arguments, "--name", "cut", preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler)
    )
    wait_for_trials(Path("runs/cut"), 5)
    os.kill(process.pid, number)
    _, err = process.communicate(timeout=60)
    status = json.loads(ok(capsys, "show", "cut", "--json").out)["status"]
    if number == signal.SIGKILL:
        assert status == "crashed"
    else:
        assert process.returncode == 130
        assert "agentopt resume runs/cut" in err
        assert status == "interrupted"
    assert 5 <= len(read_history(Path("runs/cut")).trials) < 25
    Path("slow.py").write_text(SLOW.replace("time.sleep(0.05)", "pass"))
    ok(capsys, "resume", "cut")
    ok(capsys, "run", *arguments, "--name", "whole")
    cut, whole = (read_history(Path("runs", name)).trials for name in ("cut", "whole"))
    assert [(t.id, t.params, t.outcome) for t in cut] == [(t.id, t.params, t.outcome) for t in whole]


def test_a_run_in_progress_is_seen_and_cannot_be_resumed_twice(capsys):
    Path("slow.py").write_text(SLOW)
    process = agentopt("run", "random", "--task", "slow.py:evaluate", "--trials", "200", "--name", "x")
    wait_for_trials(Path("runs/x"), 2)
    assert json.loads(ok(capsys, "show", "x", "--json").out)["status"] == "running"
    assert main(["resume", "x"]) == 1
    assert "in use by another agentopt process" in capsys.readouterr().err
    process.terminate()
    process.communicate(timeout=60)


def test_the_entry_point_returns_the_exit_code():
    process = agentopt("run", "randm")
    _, err = process.communicate(timeout=60)
    assert process.returncode == 2
    assert "Did you mean 'random'?" in err
