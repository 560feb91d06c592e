"""The command that compares methods: parses, runs what is missing, prints what came of it."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from agentopt.cli import cli, runs_dir_option, say, show, show_json, signals
from agentopt.errors import RunError

if TYPE_CHECKING:
    from agentopt.compare.design import Design
    from agentopt.compare.run import Progress

_QUICK = 50


@cli.command()
@click.argument("methods", nargs=-1, required=True, metavar="METHOD...")
@click.option("--task", "tasks", multiple=True, help="A task or a suite:NAME; repeatable. [default: the run default]")
@click.option(
    "--seeds",
    help="How many runs per method and task, as in 20 (seeds 0 to 19), or which seeds, as in 100-119 or 100-119,200."
    " [default: 10, or as many as the tests need]",
)
@click.option("--trials", type=click.IntRange(1), help="Trials per run. [default: 100, unless --budget is given]")
@click.option("--budget", help="Wall time per run, such as 90s or 10m.")
@click.option(
    "-t", "--task-option", "task_options", multiple=True, metavar="KEY=VALUE", help="An option of every task."
)
@click.option(
    "--train-budget", help="Budget of one training, for tasks that train: '250k tokens', '8 virtual' or 300s."
)
@click.option("--model", help="The model of the methods that ask one and name no other.")
@click.option("--base-url", help="An OpenAI-compatible endpoint that serves the models.")
@click.option("--temperature", type=float, help="Sampling temperature of the models.")
@click.option("--controls", is_flag=True, help="Adds the model-free twins of the methods that ask a model.")
@click.option(
    "--family",
    type=click.Choice(["first", "all"]),
    help="What is tested: the first METHOD against each of the others (and methods that ask a model against their"
    " controls), or all pairs. [default: first]",
)
@click.option("--no-default", is_flag=True, help="Does not evaluate a task's default configuration first.")
@click.option("--max-failures", type=click.IntRange(0), help="See agentopt run; 0: no run stops. [default: 10]")
@click.option("--workers", type=click.IntRange(1), help="Runs at a time. [default: the cores of this machine]")
@runs_dir_option
@click.option("--name", help="Name of the folder. [default: one that depends on what is compared]")
@click.option("--json", "as_json", is_flag=True, help="Prints one JSON object last on stdout, all else on stderr.")
def compare(runs_dir: Path, name: str | None, *, workers: int | None, as_json: bool, **flags: Any) -> int:
    """Compares METHODS on the same tasks, budgets and seeds.

    A method takes options in brackets, its own model among them: 'centaur[ratio=0.1,model=qwen-4b]'. The same command
    again finishes what is missing. Under its --name a comparison takes more methods, tasks and seeds; what is not given
    again stays as it was.
    """
    from agentopt.compare.design import default_name, with_model
    from agentopt.compare.plan import joined, planned
    from agentopt.compare.run import planned_cells, run_comparison
    from agentopt.report.comparison.family import promise

    folder = runs_dir / (name or default_name(_design(None, **flags)))
    there = planned(folder)
    design = _design(there, **flags)
    whole = with_model(design, say) if there is None else joined(there, design, folder)
    workers = workers or len(os.sched_getaffinity(0))
    say(f"{len(planned_cells(whole, folder))} runs, {workers} at a time: {folder}")
    if len(whole.methods) > 1:
        say(promise(whole.contenders, whole.family, tasks=len(whole.tasks), seeds=len(whole.seeds)))
    with signals():
        failed = run_comparison(whole, folder, workers=workers, say=say, watch=_line)
    _conclude(folder, as_json=as_json)
    if failed:
        lines = "\n".join(failed[:_QUICK])
        again = "The same command again goes on with those that did not finish."
        raise RunError(f"{len(failed)} runs did not finish, or found nothing:\n{lines}\n{again}")
    return 0


def _design(
    there: Design | None,
    *,
    methods: tuple[str, ...],
    tasks: tuple[str, ...],
    seeds: str | None,
    trials: int | None,
    budget: str | None,
    controls: bool,
    family: str | None,
    max_failures: int | None,
    **flags: Any,
) -> Design:
    """Returns what the command line states; the rest is as in the comparison that is there, else by default."""
    from agentopt.compare.design import (
        DEFAULT_SEEDS,
        Design,
        checked,
        contender,
        enough_seeds,
        parse_seeds,
        with_controls,
    )
    from agentopt.config import DEFAULT_TRIALS, from_flags
    from agentopt.report.comparison.family import Family
    from agentopt.suites import expand_tasks
    from agentopt.task import DEFAULT_TASK

    named = tuple(contender(text) for text in methods)
    if there is None:
        blank = Design((), (DEFAULT_TASK,), tuple(range(DEFAULT_SEEDS)), DEFAULT_TRIALS)
    else:
        blank = replace(there, methods=(), stages=())
    settings = from_flags(options=(), thinking=False, **flags)
    stated: dict[str, Any] = {"methods": with_controls(named) if controls else named}
    if tasks:
        stated["tasks"] = tuple(expand_tasks(tasks))
    if seeds is not None:
        stated["seeds"] = parse_seeds(seeds)
    if trials is not None or budget is not None:
        stated |= {"trials": trials, "budget": None if budget is None else _seconds(budget)}
    if max_failures is not None:
        stated["max_failures"] = max_failures
    if family is not None:
        stated["family"] = Family(family)
    stated |= {key: settings[key] for key in ("model", "task_options") if key in settings}
    if flags["no_default"]:
        stated["baseline"] = False
    found = checked(replace(blank, **stated))
    return found if seeds is not None or there is not None else enough_seeds(found)


def _seconds(budget: str) -> float:
    from agentopt.config import parse_seconds

    try:
        return float(str(parse_seconds(budget)))
    except ValueError as error:
        raise click.BadParameter(f"{budget!r} cannot be used: {error}.", param_hint="--budget") from error


def _line(progress: Progress) -> None:
    from agentopt.report.spent import duration

    what = f"failed: {progress.error.splitlines()[0]}" if progress.error else "done"
    left = f", {duration(progress.seconds_left)} left" if progress.seconds_left else ""
    say(f"[{progress.finished}/{progress.total}{left}] {progress.cell}: {what}")


def _conclude(folder: Path, *, as_json: bool) -> None:
    from agentopt.report.comparison.analysis import Analysis
    from agentopt.report.comparison.folder import load_comparison
    from agentopt.report.comparison.summary import comparison_json
    from agentopt.report.comparison.text import render_comparison

    found = Analysis(load_comparison(folder))
    show(render_comparison(found), err=as_json)
    if as_json:
        show_json(comparison_json(found))
