"""The commands of runs that tune or edit code."""

from __future__ import annotations

from pathlib import Path

import click

from agentopt.cli import cli, runs_dir_option, say, show, show_json


@cli.command("finalise")
@click.argument("run")
@click.option("--seeds", type=click.IntRange(1), default=None, show_default="3", help="Trainings of each version.")
@runs_dir_option
@click.option("--json", "as_json", is_flag=True, help="Prints one JSON object last on stdout.")
def finalise_command(run: str, runs_dir: Path, seeds: int | None, *, as_json: bool) -> None:
    """Trains the best version of RUN anew on fresh seeds and opens the test split, once.

    One that was cut off goes on with the version and the seeds that it began with.
    """
    from agentopt.final import FILE, final_json, finalise
    from agentopt.report.terminal import table
    from agentopt.runs import find_run

    folder = find_run(run, runs_dir)
    found = finalise(folder, seeds, say)
    if as_json:
        return show_json(final_json(folder, found))
    rows = [
        (
            one.version,
            str(len(one.test)),
            str(len(one.failed)),
            _mean(one.validation),
            _mean(one.test),
            f"{one.spread:.4f}",
        )
        for one in found
    ]
    columns = ("version", "seeds", "failed", "validation", "test", "std of test")
    show(table("Trained anew on seeds that the search did not use, scored on all held-out text", columns, rows))
    show((folder / FILE).as_posix())
    return None


def _mean(values: tuple[float, ...]) -> str:
    return f"{sum(values) / len(values):.4f}" if values else ""
