"""A function that cannot be called with one dict of parameters is refused before the first trial, with the fix."""

from __future__ import annotations

import functools
import operator

import pytest

from agentopt import AskTell, Float, minimize
from agentopt.cli import main
from agentopt.errors import UsageError
from agentopt.functions import check_function, takes_seed

SPACE = [Float("lr", 0, 1), Float("layers", 0, 1)]


def apart(lr, layers):
    raise AssertionError("never called")


def nothing():
    raise AssertionError("never called")


def seeded(lr, layers, seed):
    raise AssertionError("never called")


def other(x, y, z=1):
    raise AssertionError("never called")


class Apart:
    def __call__(self, lr, layers):
        raise AssertionError("never called")


WRAP = "or wrap it:  lambda params: {}(**params)"


@pytest.mark.parametrize(
    ("function", "words"),
    [
        (
            apart,
            ("apart(lr, layers)", "def apart(params)  and use params['lr'], params['layers']", WRAP.format("apart")),
        ),
        (seeded, ("seeded(lr, layers, seed)", "one dict of all parameters")),
        (other, ("other(x, y, z=1)", "def other(params)")),
        (nothing, ("nothing()", "def nothing(params)")),
        (lambda x, y: 0, ("<lambda>(x, y)", "def f(params)")),
        (lambda **values: 0, ("<lambda>(**values)", WRAP.format("f"))),
        (lambda seed: 0, ("<lambda>(seed)", "one dict of all parameters")),
        (lambda params, *, rate: 0, ("<lambda>(params, *, rate)", "one dict of all parameters")),
        (lambda params, seed, /: 0, ("<lambda>(params, seed, /)", "one dict of all parameters")),
        (Apart(), ("Apart(lr, layers)", WRAP.format("Apart"))),
        (5, ("5 is no function",)),
    ],
)
def test_a_function_of_several_arguments_is_refused_with_the_fix(function, words, tmp_path):
    with pytest.raises(UsageError) as caught:
        minimize(function, SPACE, "random", trials=3, run=tmp_path / "run")
    assert all(text in str(caught.value) for text in words), str(caught.value)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("function", "seed"),
    [
        (lambda params: 0, False),
        (lambda p, scale=2: 0, False),
        (lambda p, seed: 0, True),
        (lambda p, *, seed=1: 0, True),
        (lambda p, **others: 0, True),
        (lambda *args: 0, False),
        (lambda *args, **others: 0, True),
        (functools.partial(apart, layers=1), False),
        (functools.partial(lambda scale, p, seed: 0, 3), True),
        (len, False),
        (max, False),
        (operator.itemgetter("lr"), False),
    ],
)
def test_whatever_takes_one_dict_is_accepted(function, seed):
    check_function(function, "here", ("lr", "layers"))
    assert takes_seed(function) is seed


def test_functions_without_a_signature_and_partials_are_searched():
    assert minimize(operator.itemgetter("lr"), SPACE, "random", trials=3).value > 0
    assert minimize(functools.partial(lambda k, p: k * p["lr"], 2), SPACE, "random", trials=3).value > 0
    assert minimize(max, [Float("x", 0, 1)], "random", trials=1).best is None  # it returns "x"
    with AskTell(SPACE, "random") as search:
        assert search.ask()


def test_a_partial_has_the_name_and_the_description_of_its_function(tmp_path):
    def scaled(scale, params):
        """Scales."""
        return scale * params["lr"]

    minimize(functools.partial(scaled, 2), SPACE, "random", trials=1, run=tmp_path / "run")
    assert 'task = "python:scaled"' in (tmp_path / "run" / "config.toml").read_text()


def test_a_file_says_so_too(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code = "from agentopt import Float\nspace = [Float('x', 0, 1)]\ndef f(x, y):\n    return x\n"
    (tmp_path / "my.py").write_text(code)
    assert main(["run", "random", "--task", "my.py:f", "--trials", "2"]) == 2
    shown = capsys.readouterr().err
    assert "my.py:f: f(x, y) cannot be evaluated" in shown
    assert "Write  def f(params)  and use params['x']" in shown
    assert not (tmp_path / "runs").exists()
