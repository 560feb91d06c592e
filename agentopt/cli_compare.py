"""The command that compares methods: parses, runs what is missing, prints what came of it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click

from agentopt.cli import cli, runs_dir_option, show, show_json, signals
from agentopt.errors import RunError

_QUICK = 50


@cli.command()
@click.argument("methods", nargs=-1, required=True, metavar="METHOD...")
@click.option("--task", "tasks", multiple=True, help="A task or a suite:NAME; repeatable. [default: the run default]")
@click.option("--seeds", type=click.IntRange(1), default=8, show_default=True, help="Runs per method and task.")
@click.option("--trials", type=click.IntRange(1), help="Trials per run. [default: 100, unless --budget is given]")
@click.option("--budget", help="Wall time per run, such as 90s or 10m.")
@click.option("--model", help="The model of the methods that ask one.")
@click.option("--base-url", help="An OpenAI-compatible endpoint that serves the model.")
@click.option("--controls", is_flag=True, help="Adds the model-free twins of the methods that ask a model.")
@click.option("--no-default", is_flag=True, help="Does not evaluate a task's default configuration first.")
@click.option("--workers", type=click.IntRange(1), help="Runs at a time. [default: the cores of this machine]")
@runs_dir_option
@click.option("--name", help="Name of the folder. [default: one that depends on what is compared]")
@click.option("--json", "as_json", is_flag=True, help="Prints one JSON object last on stdout, all else on stderr.")
def compare(tasks: tuple[str, ...], runs_dir: Path, name: str | None, *, as_json: bool, **flags: Any) -> int:
    """Compares METHODS on the same tasks, budgets and seeds.

    A method takes options in brackets: 'centaur[ratio=0.1]'. The same command again finishes what is missing.
    """
    from agentopt import compare as comparing

    design = _design(tasks, **{k: v for k, v in flags.items() if k != "workers"})
    comparing.check(design)
    folder = runs_dir / (name or comparing.default_name(design))
    workers = flags["workers"] or len(os.sched_getaffinity(0))
    _say(f"{len(comparing.planned_cells(design, folder))} runs, {workers} at a time: {folder}")
    with signals():
        failed = comparing.run_comparison(design, folder, workers=workers, say=_say, watch=_line)
    _conclude(folder, as_json=as_json)
    if failed:
        lines = "\n".join(failed[:_QUICK])
        raise RunError(f"{len(failed)} runs did not finish:\n{lines}\nThe same command again goes on with them.")
    return 0


def _design(
    tasks: tuple[str, ...],
    *,
    methods: tuple[str, ...],
    seeds: int,
    trials: int | None,
    budget: str | None,
    model: str | None,
    base_url: str | None,
    controls: bool,
    no_default: bool,
) -> Any:
    from agentopt import compare as comparing
    from agentopt.config import DEFAULT_TRIALS, parse_seconds
    from agentopt.suites import expand_tasks
    from agentopt.task import DEFAULT_TASK

    contenders = [comparing.contender(text) for text in methods]
    if controls:
        contenders += [twin for one in contenders for twin in comparing.controls(one)]
    seconds = None if budget is None else parse_seconds(budget)
    named = {key: value for key, value in (("name", model), ("base_url", base_url)) if value is not None}
    return comparing.Design(
        methods=tuple(contenders),
        tasks=tuple(expand_tasks(tasks or (DEFAULT_TASK,))),
        seeds=tuple(range(seeds)),
        trials=DEFAULT_TRIALS if trials is None and seconds is None else trials,
        budget=seconds if seconds is None else float(str(seconds)),
        baseline=not no_default,
        model=named or None,
    )


def _line(progress: Any) -> None:
    from agentopt.report.text import duration

    what = f"failed: {progress.error.splitlines()[0]}" if progress.error else "done"
    left = f", {duration(progress.seconds_left)} left" if progress.seconds_left else ""
    _say(f"[{progress.finished}/{progress.total}{left}] {progress.cell}: {what}")


def _conclude(folder: Path, *, as_json: bool) -> None:
    from agentopt.report.comparison.analysis import Analysis
    from agentopt.report.comparison.folder import load_comparison
    from agentopt.report.comparison.text import comparison_json, render_comparison

    found = Analysis(load_comparison(folder))
    show(render_comparison(found), err=as_json)
    if as_json:
        show_json(comparison_json(found))


def _say(line: str) -> None:
    click.echo(line, err=True)
