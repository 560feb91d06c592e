"""The command that takes a run to other tools."""

from __future__ import annotations

from pathlib import Path

import click

from agentopt.cli import cli, runs_dir_option, show
from agentopt.errors import UsageError


@cli.command("export")
@click.argument("run")
@click.option("--optuna", "url", metavar="URL", help="Makes a study in an Optuna storage, such as sqlite:///x.db.")
@click.option("--study", metavar="NAME", help="The study's name. [default: the run folder's]")
@click.option("--csv", type=click.Path(path_type=Path, dir_okay=False), metavar="F", help="Writes the trials as CSV.")
@click.option(
    "--json", "json_", type=click.Path(path_type=Path, dir_okay=False), metavar="F", help="Writes everything as JSON."
)
@runs_dir_option
def export(
    run: str, runs_dir: Path, *, url: str | None, study: str | None, csv: Path | None, json_: Path | None
) -> None:
    """Copies RUN, a run folder or its name, to an Optuna study, a CSV file or a JSON file."""
    from agentopt.export import export_csv, export_json, export_optuna
    from agentopt.runs import find_run

    if url is None and csv is None and json_ is None:
        raise UsageError("Export to what? Give --optuna URL, --csv FILE or --json FILE.")
    if study is not None and url is None:
        raise UsageError("--study names a study of --optuna URL, which is missing.")
    folder = find_run(run, runs_dir)
    if csv is not None:
        show(f"Wrote {export_csv(folder, csv)}")
    if json_ is not None:
        show(f"Wrote {export_json(folder, json_)}")
    if url is not None:
        show(f"Made the study {export_optuna(folder, url, study)!r} in {url}")
