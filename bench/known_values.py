"""Writes what is known of every table beside the task.py of tasks/{hpolib,hpobench,nb201,nbgraph}.

That is known.json, with optimum, median and best configuration, and fronts.json, with the hypervolume of the front of
every combination of objectives. Run as `python bench/known_values.py` after a change of a table's space or of
the package that holds it.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

from agentopt.tables import FRONTS_FILE, KNOWN_FILE, extremes, hypervolumes
from agentopt.task import import_code

TASKS = Path(__file__).resolve().parent.parent / "tasks"


def main() -> None:
    """Writes the files."""
    for suite in ("hpolib", "hpobench", "nb201", "nbgraph"):
        tables = import_code(str(TASKS / suite / "task.py")).TABLES
        found = {table.file: {name: asdict(e) for name, e in extremes(table).items()} for table in tables.values()}
        (TASKS / suite / KNOWN_FILE).write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
        fronts = {table.file: hypervolumes(table) for table in tables.values()}
        (TASKS / suite / FRONTS_FILE).write_text(json.dumps(fronts, indent=1) + "\n", encoding="utf-8")
        print(f"{suite}: {len(found)} tables")


if __name__ == "__main__":
    main()
