"""The command line: parses, calls and prints; decides nothing. Heavy modules load when a command needs them."""

from __future__ import annotations

import io
import os
import signal
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from agentopt.errors import AgentoptError, JournalError, RunError, UsageError

if TYPE_CHECKING:
    from agentopt.opened import OpenRun
    from agentopt.progress import Watcher

INTERRUPTED = 130
_SENTENCE = 500
"""No sentence about a command is longer."""


class CrashError(Exception):
    """Something that nobody foresaw went wrong in a run; the cause is chained."""

    def __init__(self, run: Path) -> None:
        super().__init__(str(run))
        self.run = run


class Commands(click.Group):
    """A group whose help says of each command the whole first sentence: click would cut it off."""

    group_class = type

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Writes the commands, each with its sentence on as many lines as it takes."""
        found = [(name, self.get_command(ctx, name)) for name in self.list_commands(ctx)]
        rows = [(name, command.get_short_help_str(_SENTENCE)) for name, command in found if command is not None]
        with formatter.section("Commands"):
            formatter.write_dl(rows)


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(package_name="agentopt", message="%(prog)s %(version)s")
def cli() -> None:
    """Classical optimizers and local language models search together, on blackbox functions and training code."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a command line, and returns its exit code: 0 done, 1 failed, 2 wrong usage, 130 interrupted."""
    from agentopt import cli_code, cli_compare, cli_export, cli_report, cli_tools  # noqa: F401 - they add their commands

    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # the text of errors and replies may be anything
    if str(Path.cwd()) not in sys.path:
        sys.path.append(str(Path.cwd()))  # a user's own methods and tasks are modules there
    try:
        code = cli.main(
            args=None if arguments is None else list(arguments), prog_name="agentopt", standalone_mode=False
        )
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except UsageError as error:
        return _fail(str(error), 2)
    except AgentoptError as error:
        return _fail(str(error), 1)
    except (KeyboardInterrupt, click.Abort):
        return _fail("Interrupted.", INTERRUPTED)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except CrashError as error:
        return _crash(error.__cause__ or error, error.run)
    except Exception as error:
        return _crash(error, None)
    return code if isinstance(code, int) else 0


def _fail(message: str, code: int) -> int:
    say(message)
    return code


def _crash(error: BaseException, run: Path | None) -> int:
    """Saves the traceback of an error that nobody foresaw, and says where."""
    name, lines, where = f"crash-{datetime.now(UTC):%Y%m%dT%H%M%SZ}.txt", traceback.format_exception(error), ""
    for folder in (run, None) if run is not None else (None,):
        with suppress(OSError):  # such as a full disk
            path = (Path(tempfile.mkdtemp(prefix="agentopt-")) if folder is None else folder) / name
            path.write_text("".join(lines), encoding="utf-8", errors="backslashreplace")
            where = f" The traceback is in {path}."
            break
    text = (str(error).splitlines() or [""])[0]
    return _fail(f"Unexpected {type(error).__name__}: {text}.{where}", 1)


def runs_dir_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds --runs-dir."""
    option = click.option(
        "--runs-dir", type=click.Path(path_type=Path), default="runs", show_default=True, help="Folder of runs."
    )
    return option(command)


@cli.command()
@click.argument("method", required=False)
@click.option("--task", help="A name of `agentopt list tasks`, a folder, or file.py:function.")
@click.option(
    "--model", help="A name of `agentopt list models`, a checkpoint folder, a GGUF file, or scripted:FILE.jsonl."
)
@click.option("--trials", type=int, help="Budget of trials. [default: 100, unless --budget is given]")
@click.option("--budget", help="Budget of wall time, such as 90s, 30m or 1h30m.")
@click.option("--seed", type=int, help="Seed of all randomness. [default: 0]")
@click.option("--workers", type=int, help="Trials evaluated at a time. [default: 1]")
@click.option("--executor", help="Where trials run: local (ray is not available yet). [default: local]")
@click.option(
    "-o", "--option", "options", multiple=True, metavar="KEY=VALUE", help="An option of the method; repeatable."
)
@click.option("-t", "--task-option", "task_options", multiple=True, metavar="KEY=VALUE", help="An option of the task.")
@click.option(
    "--train-budget", help="Budget of one training, for tasks that train: '250k tokens', '8 virtual' (seconds) or 300s."
)
@click.option("--base-url", help="An OpenAI-compatible endpoint that serves the model.")
@click.option("--backend", help="auto, vllm, openai, transformers or scripted. [default: auto]")
@click.option("--temperature", type=float, help="Sampling temperature of the model.")
@click.option("--max-tokens", type=int, help="The longest reply of the model, in tokens.")
@click.option("--context", type=int, help="Prompt and reply together, in tokens, for a model served here.")
@click.option("--thinking", is_flag=True, help="Lets a model that can think do so before it answers.")
@click.option(
    "--max-failures", type=int, help="Stops after so many failures alike from the start; 0: never. [default: 10]"
)
@click.option("--trial-timeout", help="Wall time for one trial, in place of the task's limit.")
@click.option("--isolation", help="inline or process, in place of the task's own.")
@click.option("--no-default", is_flag=True, help="Does not evaluate the task's default configuration first.")
@click.option(
    "--config", type=click.Path(path_type=Path), help="A TOML file with the same settings; flags win over it."
)
@runs_dir_option
@click.option("--name", help="Name of the run folder. [default: method, task, seed and time]")
@click.option("--quiet", is_flag=True, help="Shows no progress.")
@click.option(
    "--json", "as_json", is_flag=True, help="Prints one JSON object last on stdout, everything else on stderr."
)
def run(config: Path | None, runs_dir: Path, name: str | None, *, quiet: bool, as_json: bool, **flags: Any) -> int:
    """Searches a task with METHOD, cmaes where none is given."""
    from agentopt import build, runs
    from agentopt.config import DEFAULT_METHOD, from_flags, merged, read_toml
    from agentopt.progress import watcher_of
    from agentopt.resolve import stored_options

    file = {} if config is None else read_toml(config)
    if "provenance" in file:  # the config.toml of another run
        file["options"] = stored_options(file.get("method", DEFAULT_METHOD), file.get("options", {}))
    settings = merged(file, from_flags(**flags))
    plan = build.plan(settings, where="agentopt run" if config is None else str(config), say=say)
    folder = runs.run_folder(plan.config, runs_dir, name)
    with watcher_of(folder, shown=not quiet) as watcher, signals():
        return _drive(
            folder, lambda: build.open_run(plan, folder, watch=watcher, say=watcher.say), watcher, as_json=as_json
        )


@cli.command()
@click.argument("run")
@click.option("--trials", type=int, help="Budget of trials from now on, those that were run among them.")
@click.option("--budget", help="Budget of wall time from now on, earlier sessions among it.")
@click.option("--max-failures", type=int, help="Stops after so many failures alike from the start; 0: never.")
@click.option("--base-url", help="The OpenAI-compatible endpoint that serves the model from now on.")
@click.option("--strict", is_flag=True, help="Refuses where code or packages are not what they were.")
@runs_dir_option
@click.option("--quiet", is_flag=True, help="Shows no progress.")
@click.option(
    "--json", "as_json", is_flag=True, help="Prints one JSON object last on stdout, everything else on stderr."
)
def resume(run: str, runs_dir: Path, *, quiet: bool, as_json: bool, **changes: Any) -> int:
    """Continues RUN, a run folder or its name, where it stopped; a finished one with a larger budget."""
    from agentopt import build, runs
    from agentopt.journal import FILE
    from agentopt.progress import watcher_of
    from agentopt.report.load import load_run
    from agentopt.report.spent import why_done

    folder, found = runs.find_run(run, runs_dir), None
    with suppress(JournalError):  # a first record that a crash left torn is written again
        found = load_run(folder) if (folder / FILE).exists() else None
    if found is not None and found.status == "done" and changes["trials"] is changes["budget"] is None:
        say(f"{folder} is done already: {why_done(found)}. --trials or --budget give it more.")
        return _conclude(folder, as_json=as_json)
    with watcher_of(folder, shown=not quiet) as watcher, signals():
        return _drive(
            folder,
            lambda: build.resume_run(folder, watch=watcher, say=watcher.say, **changes),
            watcher,
            as_json=as_json,
        )


def _drive(folder: Path, open_: Callable[[], OpenRun], watcher: Watcher, *, as_json: bool) -> int:
    """Opens a run, executes it and prints its end."""
    from agentopt.journal import FILE
    from agentopt.study import Stop

    again = f"Continue with:  agentopt resume {folder}"
    opened: OpenRun | None = None
    try:
        with open_() as opened:
            if not watcher.quiet:
                watcher.say(f"{opened.config.method} on {opened.config.task}: {folder}")
            stop = opened.execute()
    except AgentoptError as error:
        resumable = isinstance(error, RunError) and (folder / FILE).exists()
        if not resumable or (opened is None and isinstance(error, JournalError)):
            raise
        raise type(error)(f"{error}\n{again}") from error
    except KeyboardInterrupt:
        return _fail(f"Interrupted. {again if (folder / FILE).exists() else 'Nothing was run.'}", INTERRUPTED)
    except Exception as error:
        if folder.is_dir():
            raise CrashError(folder) from error
        raise
    watcher.close()
    code = _conclude(folder, as_json=as_json)
    if stop is Stop.INTERRUPTED:
        return _fail(f"Interrupted. {again}", INTERRUPTED)
    return _fail(again, 1) if stop is Stop.FAILURES else code


def _conclude(folder: Path, *, as_json: bool) -> int:
    """Prints a run's report and draws its figure; with `as_json` the summary goes to stdout and all else to stderr.

    Returns the exit code: that of a failed run where no trial completed.
    """
    from agentopt.report.experiments import write_results
    from agentopt.report.figures import convergence
    from agentopt.report.load import load_run
    from agentopt.report.text import render

    found = load_run(folder)
    show(render(found), err=as_json)
    if found.trials:
        show("", err=as_json)
        for what, write in (("The figure", convergence), ("results.tsv", write_results)):
            try:
                if (written := write(found)) is not None:
                    show(str(written), err=as_json)
            except Exception as error:  # a full disk, values that no axis can show: the run is no worse for it
                say(f"{what} could not be made: {getattr(error, 'strerror', None) or error}.")
    if as_json:
        show_json(found.summary())
    return 0 if found.counts["complete"] else 1


def say(line: str) -> None:
    """Prints a line on stderr; what would move the cursor is made visible."""
    from agentopt.report.foreign import visible

    click.echo(visible(line), err=True)


def show(what: Any, *, err: bool = False) -> None:
    """Prints a table or a text."""
    from agentopt.report.terminal import console, write

    write(console(sys.stderr if err else sys.stdout), what)


def show_json(value: Any) -> None:
    """Prints one JSON value on one line."""
    import json

    text = json.dumps(value, ensure_ascii=False, allow_nan=False)
    click.echo("".join(c if c.isprintable() else json.dumps(c)[1:-1] for c in text))


@contextmanager
def signals() -> Iterator[None]:
    """Makes SIGTERM an interrupt, as Ctrl-C is."""

    def interrupt(number: int, _frame: object) -> None:
        signal.signal(number, signal.SIG_IGN)
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
