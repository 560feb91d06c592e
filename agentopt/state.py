"""The state of a run's method, rebuilt from its folder: nothing is evaluated, no model is asked, nothing is written."""

from __future__ import annotations

from pathlib import Path
from typing import NoReturn

from agentopt.build import Plan, json_value, options_of
from agentopt.config import RunConfig
from agentopt.errors import ReplayMismatch, UsageError
from agentopt.journal import History, read_history
from agentopt.llm import recorded_gateway
from agentopt.protocols import FUNCTION, Objective, Task
from agentopt.resolve import stored_config
from agentopt.space import SearchSpace
from agentopt.study import replay
from agentopt.task import FunctionTask, load_task
from agentopt.trial import Json, Params


def state_of(run: Path) -> dict[str, Json]:
    """Returns how far a run is, and what its method says of itself after the last recorded trial.

    The run may be under way. Raises UsageError where its task cannot be loaded, ReplayMismatch where the method, the
    task or a prompt is no longer what the run was made with.
    """
    history = read_history(run)
    config, _ = stored_config(run)
    if config.task.startswith(FUNCTION):
        task = _function(run, config, history)
    else:
        task = load_task(config.task, **config.task_options)
    if history.header["space"] != json_value(task.space.to_json()):
        raise ReplayMismatch(f"The search space of {config.task} is not the one that {run} was started with.")
    gateway = [] if config.model is None else [recorded_gateway(config.model, run, config.seed, history.calls)]
    optimizer = Plan(config, task, options_of(config, model=config.model is not None)).optimizer(*gateway)
    replay(run, history, optimizer, task.objectives)
    return {
        "run": str(run),
        "method": config.method,
        "task": config.task,
        "seed": config.seed,
        "finished": len(history.trials),
        "pending": len(history.pending),
        "state": dict(optimizer.explain()),
    }


def _function(run: Path, config: RunConfig, history: History) -> Task:
    """Returns a stand-in for the function of a run that was started from Python."""
    if config.model is not None:
        raise UsageError(
            f"{run} was started from Python on a function, whose description is in its prompts and not in the run"
            " folder: the state of such a run that asks a model cannot be rebuilt."
        )
    objectives = tuple(Objective(**record) for record in history.header["objectives"])
    return FunctionTask(config.task, SearchSpace.from_json(history.header["space"]), _not_called, objectives)


def _not_called(_: Params) -> NoReturn:
    raise AssertionError("nothing is evaluated")
