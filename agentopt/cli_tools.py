"""The commands besides running: what there is, what it is like, models, tasks and this machine."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from agentopt.cli import cli, runs_dir_option, say, show, show_json
from agentopt.errors import UsageError, unknown

_JSON = click.option("--json", "as_json", is_flag=True, help="Prints JSON.")


@cli.group("list")
def list_() -> None:
    """Lists methods, tasks, models or runs."""


@list_.command("methods")
def list_methods() -> None:
    """Lists the search methods."""
    from agentopt import catalog
    from agentopt.report.terminal import table

    show(table("", ("method", "extra", "what it does"), catalog.methods(), left=3, prose=["what it does"]))


@list_.command("tasks")
def list_tasks() -> None:
    """Lists the tasks in ./tasks and the built-in ones."""
    from agentopt import catalog
    from agentopt.report.terminal import table
    from agentopt.suites import PREFIX, SUITES

    columns = ("task", "parameters", "objectives", "what it is about")
    show(table("", columns, catalog.tasks(), prose=columns[3:], least=("objectives", "parameters")))
    show("\nFunctions come in other sizes, too: sphere-7. Without a size, sphere is sphere-5. There are all")
    show("bbob-fN-dD-iI: functions N from 1 to 24, dimensions D from 2 to 100 and any instance I.")
    show("Comparisons take suites as well: " + ", ".join(PREFIX + suite for suite in SUITES))


@list_.command("models")
def list_models() -> None:
    """Lists the language models that have a name here."""
    _models()


@list_.command("runs")
@click.argument("comparison", required=False)
@runs_dir_option
def list_runs(comparison: str | None, runs_dir: Path) -> None:
    """Lists the runs, the latest first, and the comparisons; or the runs of COMPARISON."""
    from agentopt import catalog
    from agentopt.report.terminal import table
    from agentopt.report.text import overview

    compared = catalog.comparisons(runs_dir)
    if comparison is not None and comparison not in [row[0] for row in compared]:
        raise unknown("comparison", comparison, [row[0] for row in compared])
    found = catalog.runs(runs_dir, comparison)
    if found:
        show(overview(list(found.values()), list(found)))
    elif comparison is not None or not compared:
        show(f"No runs in {runs_dir if comparison is None else runs_dir / comparison}.")
    if comparison is None and compared:
        columns = ("comparison", "methods", "tasks", "seeds", "runs begun")
        show(table("", columns, compared, prose=columns[1:3]))
        show("\nThe runs of one:  agentopt list runs COMPARISON")


@cli.command("show")
@click.argument("name")
@click.option("--trial", type=int, help="Of a run: this trial only.")
@click.option("--diff", is_flag=True, help="With --trial, of a run of code: the patch that it ran.")
@click.option("--state", is_flag=True, help="Of a run, which may be under way: what its method knows by now.")
@_JSON
@runs_dir_option
def show_command(name: str, runs_dir: Path, trial: int | None, *, diff: bool, state: bool, as_json: bool) -> None:
    """Shows a method with its options, a task with its space, or a run with its trials."""
    from agentopt import catalog, screens
    from agentopt.report.load import load_run
    from agentopt.runs import find_run

    if state:
        from agentopt.state import state_of

        if trial is not None or diff:
            raise UsageError("--state is that of a whole run: leave out --trial and --diff.")
        found = state_of(find_run(name, runs_dir))
        return show_json(found) if as_json else show(screens.state(found))
    kind = catalog.kind_of(name, runs_dir)
    if trial is not None and kind != "run":
        raise UsageError(f"--trial needs a run, and {name} is a {kind}.")
    if kind == "method":
        card = catalog.method_card(name)
        return show_json(card) if as_json else show(screens.method(card))
    if kind == "task":
        card = catalog.task_card(name)
        return show_json(card) if as_json else show(screens.task(card))
    report = load_run(find_run(name, runs_dir))
    if trial is None:
        if diff:
            raise UsageError("--diff needs --trial N: the patch of which trial?")
        return show_json(screens.run_json(report)) if as_json else show(screens.run(report))
    if diff:
        from agentopt.report.experiments import patch_of
        from agentopt.report.foreign import visible

        patch = patch_of(report, trial) or "It ran the version that it was made from.\n"
        return click.echo(visible(patch) if sys.stdout.isatty() else patch, nl=False)
    one = screens.one_trial(report, trial)
    return show_json(screens.trial_json(one)) if as_json else show(screens.trial(one, report))


@cli.group()
def models() -> None:
    """Gets and lists language models."""


@models.command("list")
def models_list() -> None:
    """Lists the language models that have a name here."""
    _models()


@models.command("pull")
@click.argument("model")
def models_pull(model: str) -> None:
    """Gets MODEL onto this machine."""
    from agentopt.llm.models import pull

    found = pull(model, say)
    show(f"{found.name}: {found.path} ({found.source})")


def _models() -> None:
    from agentopt.llm.models import status
    from agentopt.report.terminal import table

    rows = []
    for row in status():
        origins = ", ".join(row.origins) or "nowhere now"
        rows.append((row.name, row.size, "yes" if row.cached else "no", origins, row.licence, row.about))
    columns = ("model", "size", "here", "can be had from", "licence", "about")
    show(table("", columns, rows, left=6, prose=columns[5:], least=("licence", "size")))
    show("\nGet one with  agentopt models pull MODEL.  Any checkpoint folder, GGUF file and model of the hub will do.")


@cli.command()
@click.argument("model")
@click.option("--port", type=click.IntRange(1, 65535), help="Of the server. [default: any that is free]")
@click.option(
    "--context", type=click.IntRange(256), help="Prompt and reply together, in tokens. [default: as for runs]"
)
def serve(model: str, port: int | None, context: int | None) -> None:
    """Keeps a server for MODEL running, which runs on this machine then use; Ctrl-C ends it."""
    import signal

    from agentopt.cli import signals
    from agentopt.llm.models import pull
    from agentopt.llm.vllm import ServerOptions, ensure_server
    from agentopt.paths import cache_dir

    local = pull(model, say)
    log = cache_dir("logs", f"{local.served_name.replace('/', '--')}.log")
    options = ServerOptions(context=context or ServerOptions.context, port=port)
    with signals(), ensure_server(local, log=log, options=options, say=say) as server:
        if port not in (None, server.port):
            raise UsageError(
                f"{local.name} is served on port {server.port} already: end that server, or leave --port out."
            )
        show(f"{local.name} is served at {server.base_url} as {server.served_name} ({server.engine}). Ctrl-C ends it.")
        signal.pause()


@cli.group("task")
def task_group() -> None:
    """Makes and checks tasks."""


@task_group.command("init")
@click.argument("name")
def task_init(name: str) -> None:
    """Makes the folder tasks/NAME with a task that runs as it is."""
    from agentopt.scaffold import init_task

    folder = init_task(name)
    show(f"Made {folder}. Edit {folder / 'task.py'}, then:  agentopt task check {name}")


@task_group.command("check")
@click.argument("name")
def task_check(name: str) -> int:
    """Loads the task NAME and evaluates its default configuration twice."""
    from agentopt.scaffold import check_task
    from agentopt.screens import check

    found = check_task(name)
    show(check(name, found))
    return 0 if found.ok else 1


@cli.command()
@runs_dir_option
def doctor(runs_dir: Path) -> None:
    """Says what this machine has, what is missing and how to get it."""
    from agentopt.doctor import examine
    from agentopt.report.terminal import table

    rows: list[Any] = [(finding.what, finding.state, finding.text) for finding in examine(runs_dir)]
    show(table("", ("what", "state", "found"), rows, left=3, prose=["found"]))


@cli.group()
def surrogate() -> None:
    """Fits models that stand in for an expensive task."""


@surrogate.command("fit")
@click.argument("source", metavar="RUN_OR_JSONL")
@click.option("--name", required=True, help="Name of the task to be made: tasks/NAME.")
@click.option("--task", help="The task whose parameters a file of trials is over; a run states its own.")
@click.option("--space", type=click.Path(path_type=Path), help="The same as a JSON file.")
@click.option("--derived", type=click.Path(path_type=Path), help="A JSON file of named formulas of the parameters.")
@click.option("--value", help="The key of the value in a file of trials. [default: the only other key]")
@click.option("--below", type=float, help="States how good the surrogate is under this value, too.")
@click.option("--folds", type=int, default=5, show_default=True, help="Of the cross-validation; 0 for none.")
@click.option("--seed", type=int, default=0, show_default=True)
@runs_dir_option
def surrogate_fit(source: str, name: str, runs_dir: Path, **how: Any) -> None:
    """Fits a surrogate on the trials of RUN_OR_JSONL and makes it a task of its own."""
    from agentopt.report.terminal import table
    from agentopt.runs import find_run
    from agentopt.scaffold import fit_task

    done = fit_task(Path(source) if Path(source).is_file() else find_run(source, runs_dir), name, **how)
    show(f"Fitted {done['objective']} on {done['trials']} trials, {done['complete']} of them complete: {done['model']}")
    if done["figures"]:
        rows = [(key, f"{f['mean']:.4g}", f"{f['std']:.2g}") for key, f in done["figures"].items()]
        show(table("On held-out folds", ("figure", "mean", "std"), rows))
    show(f"\nNext:  agentopt run cmaes --task {name}")
