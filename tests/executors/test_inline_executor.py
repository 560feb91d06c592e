"""Evaluations in the process of the search."""

from __future__ import annotations

from agentopt.executors.inline import InlineExecutor
from agentopt.protocols import Job
from agentopt.space import Float, SearchSpace
from agentopt.task import FunctionTask


def executor(called):
    def function(params):
        called.append(dict(params))
        return params["x"]

    return InlineExecutor(FunctionTask("toy", SearchSpace((Float("x", 0, 1),)), function))


def test_jobs_run_in_turn_when_they_are_waited_for():
    called = []
    inline = executor(called)
    inline.submit(Job(0, {"x": 0.5}, 1))
    assert not called
    (done,) = inline.wait(None)
    assert (done.id, done.outcome.values, called) == (0, (0.5,), [{"x": 0.5}])
    assert inline.wait(None) == []


def test_nothing_is_begun_when_no_time_is_left():
    called = []
    inline = executor(called)
    inline.submit(Job(0, {"x": 0.5}, 1))
    assert inline.wait(0.0) == []
    inline.cancel(0)
    assert inline.wait(None) == []
    assert not called
