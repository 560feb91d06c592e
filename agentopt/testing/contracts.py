"""What every optimizer and every task must keep: checks that a plug-in's author runs on their own.

Each check is a function that raises AssertionError with what was broken; nothing here needs pytest, which parametrises
well over them:

    @pytest.mark.parametrize("problem", PROBLEMS)
    @pytest.mark.parametrize("check", OPTIMIZER_CHECKS, ids=lambda check: check.__name__)
    def test_contract(check, problem):
        check(build, PROBLEMS[problem])
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Collection, Sequence
from itertools import product

import numpy as np

from agentopt.outcomes import failure
from agentopt.protocols import Problem, Task
from agentopt.testing.simulation import (
    CODE_PROBLEM,
    FAILURES,
    MERGED_PROBLEM,
    PROBLEMS,
    TRIALS,
    Build,
    as_written,
    bowl,
    faulty,
    reread,
    session,
)
from agentopt.trial import Origin, Outcome, Params, Status, Trial, Value, suggestion_from_json

__all__ = ["CODE_PROBLEM", "MERGED_PROBLEM", "OPTIMIZER_CHECKS", "PROBLEMS", "TASK_CHECKS", "repeats_nothing"]


def suggestions_are_admissible(build: Build, problem: Problem) -> None:
    """Every suggestion is a plain member of the space (repairs may be left to the run), with a token of its own."""
    run = session(build, problem).run(TRIALS)
    assert run.asked, "the first ask gave nothing"
    for suggestion in run.asked:
        params, names = dict(suggestion.params), problem.space.names
        if suggestion.edit is not None:
            names = tuple(name for name in names if name in params)  # those that it changed on purpose
        assert tuple(params) == names, f"names or their order differ from the space's: {tuple(params)}"
        for parameter in map(problem.space.__getitem__, names):
            value, expected = params[parameter.name], parameter.clip(params[parameter.name])
            assert value == expected, f"outside the space: {params}"
            assert type(value) is type(expected), f"{parameter.name} is {value!r}, a {type(value).__name__}"
        assert suggestion_from_json(as_written([suggestion])[0]) == suggestion, f"changed by JSON: {suggestion}"
    tokens = [suggestion.token for suggestion in run.asked]
    assert None not in tokens, "a suggestion without a token looks like a foreign one when it is told"
    assert len(set(tokens)) == len(tokens), "a token was given twice"


def seed_decides(build: Build, problem: Problem) -> None:
    """The same seed and calls give the same trials, whatever the global generators are; another seed, others."""
    state, numpy_state = random.getstate(), np.random.get_state()  # noqa: NPY002
    first = session(build, problem, seed=1).run(TRIALS, width=3)
    assert random.getstate() == state, "the global random generator was used"
    after = np.random.get_state()  # noqa: NPY002
    assert all(np.array_equal(a, b) for a, b in zip(numpy_state, after, strict=True)), "numpy's global one was used"
    try:
        random.seed(5)
        np.random.seed(5)  # noqa: NPY002
        second = session(build, problem, seed=1).run(TRIALS, width=3)
    finally:
        random.setstate(state)
        np.random.set_state(numpy_state)  # noqa: NPY002
    assert as_written(first.asked) == as_written(second.asked), "two runs with one seed differ"
    if any(parameter.levels is None for parameter in problem.space.parameters):
        other = session(build, problem, seed=2).run(TRIALS, width=3)
        assert as_written(first.asked) != as_written(other.asked), "the seed has no effect"


def calls_decide(build: Build, problem: Problem) -> None:
    """The recorded calls, as read back from a journal, rebuild the state: what follows is the same."""
    run = session(build, problem, judge=faulty(problem)).run(TRIALS, width=4, order=np.random.default_rng(3))
    again, given = build(problem, 0), 0
    for call in run.calls:
        if isinstance(call, int):
            suggestions = again.ask(call)
            expected = run.asked[given : given + len(suggestions)]
            assert as_written(suggestions) == as_written(expected), f"the replay differs at suggestion {given}"
            given += len(suggestions)
        else:
            again.tell(reread(call))
    assert given == len(run.asked), f"the replay gave {given} suggestions, the run {len(run.asked)}"
    for _ in range(3):
        assert as_written(again.ask(2)) == as_written(run.optimizer.ask(2)), "the replayed optimizer goes on otherwise"


def any_order_is_taken(build: Build, problem: Problem) -> None:
    """Batches told in any order, each trial once, keep it going; a full batch waiting is never a dead end."""
    for trials, width, seed in ((TRIALS, 3, 0), (2 * TRIALS, 16, 1)):
        run = session(build, problem, seed).run(trials, width=width, order=np.random.default_rng(seed))
        assert run.went_on(trials), f"stopped after {len(run.asked)} suggestions with up to {width} in flight"


def empty_ask_changes_nothing(build: Build, problem: Problem) -> None:
    """An ask that gives nothing, for want of tells or because of `n` = 0, leaves the optimizer as it was."""
    plain, nosy = session(build, problem), session(build, problem)
    for number in range(TRIALS):
        for run, repeats in ((plain, 1), (nosy, 4)):
            if run is nosy:
                assert run.optimizer.ask(0) == [], "ask(0) gave something"
            while len(run.pending) < 6 and run.ask(6 - len(run.pending)):
                pass
            if len(run.pending) < 6:
                for _ in range(repeats):
                    assert not run.optimizer.ask(6 - len(run.pending)), "gave something after it had nothing to give"
            if run.pending:
                run.tell(number % len(run.pending))
    assert as_written(plain.asked) == as_written(nosy.asked), "asks that gave nothing changed what followed"


def foreign_trials_are_taken(build: Build, problem: Problem) -> None:
    """Trials that it did not suggest, complete or failed, first or later, are told with the token None."""
    rng = np.random.default_rng(7)
    run = session(build, problem)
    for number in range(4):
        good, bad = problem.space.sample(rng), problem.space.sample(rng)
        run.take(Trial(1000 + number, good, run.judge(0, good), Origin.BASELINE))
        run.take(Trial(2000 + number, bad, failure(Status.OOM, "a test failure"), Origin.USER))
        before = len(run.asked) - len(run.pending)
        run.run(5, width=2)
        assert run.went_on(before + 5), "stopped after a foreign trial"
    first = session(build, problem)
    params = problem.space.sample(rng)
    first.take(Trial(0, params, failure(Status.FAILED, "a test failure"), Origin.BASELINE))
    assert first.run(5).went_on(5), "stopped after a foreign failure at the start"


def failures_are_taken(build: Build, problem: Problem) -> None:
    """Every status of failure is taken; so is a run where nothing ever succeeds, and one that then does."""
    mixed = session(build, problem, judge=faulty(problem)).run(TRIALS, width=3)
    assert mixed.went_on(TRIALS), f"gave up after {len(mixed.asked)} trials, half of which failed"
    good, bad = bowl(problem), 2 * TRIALS

    def late(number: int, params: Params) -> Outcome:
        if number < bad:
            return failure(FAILURES[number % len(FAILURES)], "a test failure")
        return good(number, params)

    run = session(build, problem, judge=late).run(bad + TRIALS)
    assert run.went_on(bad + TRIALS), f"gave up after {len(run.asked)} trials, of which the first {bad} failed"


def repaired_trials_are_taken(build: Build, problem: Problem) -> None:
    """What was run may differ from what was suggested: it is told with the suggestion's token, and is what counts."""
    coarse = np.random.default_rng(11)

    def repair(params: Params) -> dict[str, Value]:
        other = problem.space.sample(coarse)
        keys = problem.space.names[::2]
        return problem.space.repair({**params, **{key: other[key] for key in keys}})

    run = session(build, problem)
    run.repair = repair
    run.run(2 * TRIALS, width=3, order=np.random.default_rng(1))
    assert run.went_on(2 * TRIALS), f"stopped after {len(run.asked)} suggestions that were changed before they were run"


def extreme_values_are_taken(build: Build, problem: Problem) -> None:
    """Objective values that are all equal, huge, or of mixed size are taken."""
    for values in ([1.0], [1e308, -1e308, 0.0], [1e-300, 1.0, 1e12, -1e12]):

        def judge(number: int, _: Params, values: Sequence[float] = values) -> Outcome:
            return Outcome(Status.COMPLETE, (values[number % len(values)],) * len(problem.objectives))

        run = session(build, problem, judge=judge).run(TRIALS)
        assert run.went_on(TRIALS), f"stopped at values {values}"
        assert all(s.edit is not None or problem.space.contains(s.params) for s in run.asked)


def explains_itself(build: Build, problem: Problem) -> None:
    """`explain` is a mapping that JSON can write, at any time, and changes nothing."""
    quiet, asked = session(build, problem), session(build, problem)
    for run in (quiet, asked):
        for _ in range(TRIALS // 2):
            if run is asked:
                json.dumps(dict(run.optimizer.explain()), allow_nan=False)
            run.run(1)
    assert as_written(quiet.asked) == as_written(asked.asked), "explain changed what followed"
    assert asked.optimizer.explain(), "explain says nothing"


def repeats_nothing(build: Build, problem: Problem, *, free: Collection[Origin] = ()) -> None:
    """What is run is nothing that was run before, while there is something else: for methods that promise it.

    Configurations are the same where the problem's repair makes them so. Trials of the origins in `free` may repeat
    others.
    """
    for width in (1, 4):
        run = session(build, problem).run(TRIALS, width=width)
        known: set[tuple[Value, ...]] = set()
        for number, suggestion in enumerate(run.asked):
            key = problem.key(suggestion.params)
            again = key in known and suggestion.origin not in free
            assert not again, f"trial {number}, by {suggestion.origin}, is run as an earlier one: {key}"
            known.add(key)


def task_is_described(task: Task) -> None:
    """A task has a name, objectives with different names, a description, and known isolation."""
    assert task.name, "the task has no name"
    assert task.describe().strip(), "describe() says nothing"
    names = [objective.name for objective in task.objectives]
    assert names, "the task has no objective"
    assert len(set(names)) == len(names), f"objectives need different names: {names}"
    assert task.isolation in ("inline", "process")
    assert task.timeout is None or task.timeout > 0


def defaults_are_admissible(task: Task) -> None:
    """The default configuration, where there is one, lies in the space and is left alone by repairs."""
    defaults = task.space.defaults()
    if defaults is not None:
        assert task.space.contains(defaults), f"outside the space: {defaults}"
        assert task.repair(defaults) == defaults, "a repair changes the default configuration"


def repairs_are_idempotent(task: Task) -> None:
    """What a repair returns lies in the space and needs no further repair; the argument is left alone."""
    rng = np.random.default_rng(0)
    corners = product((0.0, 1.0), repeat=min(6, len(task.space)))
    points = [np.resize(corner, len(task.space)) for corner in corners]
    for u in [*points, *rng.random((50, len(task.space)))]:
        params = task.space.decode(u)
        given = dict(params)
        repaired = task.repair(params)
        assert params == given, "repair changed its argument"
        assert task.space.contains(repaired), f"repaired to outside the space: {repaired}"
        assert task.repair(repaired) == repaired, f"a second repair changes {repaired}"


def evaluation_is_repeatable(task: Task, configurations: int = 2) -> None:
    """An evaluation returns an outcome with a value per objective, the same for the same params and seed.

    `configurations` is how many are evaluated, twice each.
    """
    rng = np.random.default_rng(1)
    count = len(task.objectives)
    for seed in range(configurations):
        params = task.repair(task.space.sample(rng))
        given = dict(params)
        outcome = task.evaluate(params, seed=seed)
        assert isinstance(outcome, Outcome), f"evaluate returned {outcome!r:.80}, not an Outcome"
        assert params == given, "evaluate changed its argument"
        if outcome.status is Status.COMPLETE:
            assert len(outcome.values) == count, f"{outcome.values} for {count} objectives"
        else:
            assert outcome.error, "a failed outcome does not say why"
        again = task.evaluate(dict(reversed(params.items())), seed=seed)
        assert again.values == outcome.values, "not repeatable, or the order of the params counts"
        assert again.status is outcome.status, f"{outcome.status} once, {again.status} again"


def defaults_can_be_evaluated(task: Task) -> None:
    """The default configuration, where there is one, completes."""
    defaults = task.space.defaults()
    if defaults is not None:
        outcome = task.evaluate(defaults, seed=0)
        assert outcome.status is Status.COMPLETE, f"{outcome.status}: {outcome.error}"


OPTIMIZER_CHECKS: tuple[Callable[[Build, Problem], None], ...] = (
    suggestions_are_admissible,
    seed_decides,
    calls_decide,
    any_order_is_taken,
    empty_ask_changes_nothing,
    foreign_trials_are_taken,
    failures_are_taken,
    repaired_trials_are_taken,
    extreme_values_are_taken,
    explains_itself,
)
TASK_CHECKS: tuple[Callable[[Task], None], ...] = (
    task_is_described,
    defaults_are_admissible,
    repairs_are_idempotent,
    evaluation_is_repeatable,
    defaults_can_be_evaluated,
)
