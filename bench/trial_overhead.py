"""Prints what a trial of a code task takes beyond its training and the start of Python and torch, and the parts of it.

Usage: python bench/trial_overhead.py [REPEATS]. The whole is a trial's wall time, trained on almost nothing and scored
on one row of text, minus the training's own time, minus two plain starts of Python with torch side by side (the model
is served twice for its score). Medians; start-up times depend on the load of the machine, so both sides are measured in
one run, by turns.
"""

import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from agentopt.lm.corpora import Split
from agentopt.lm.dataset import load_dataset
from agentopt.lm.task import CodeTask, Trained, load_code_task
from agentopt.sandbox import Sandbox
from agentopt.sandbox.repository import Repository
from agentopt.task import code_folders

IMPORT = [sys.executable, "-c", "import torch, safetensors.torch, numpy"]


def seconds(action: Callable[[], object]) -> float:
    """Returns how long a call takes."""
    begun = time.perf_counter()
    action()
    return time.perf_counter() - begun


def starts(count: int) -> float:
    """Returns how long plain starts of Python with torch take, side by side."""
    begun = time.perf_counter()
    for process in [subprocess.Popen(IMPORT) for _ in range(count)]:
        process.wait()
    return time.perf_counter() - begun


def trial(task: CodeTask, folder: Path, number: int) -> dict[str, float]:
    """Runs one trial, and returns the seconds of its parts."""
    files = {task.code.file: task.code.text, **task.source.locked}
    parts = {"start": starts(1), "two starts": starts(2)}
    begun = time.perf_counter()
    repository = Repository.create(folder / "repo", files)
    repository.commit(number, {task.code.file: f"{task.code.text}\n# {number}\n"}, None, "a comment")
    repository.diff(None, number)
    with repository.worktree(number) as work:
        parts["git: repository, commit, patch, worktree"] = time.perf_counter() - begun
        found = task.run(work, task.code.text, 0, [(Split.VAL, task.source.profile.seq_len)])
    whole = time.perf_counter() - begun
    assert isinstance(found, Trained), found
    parts["training, in its sandbox"] = found.execution.seconds
    parts["the rest: exam, two servers, score"] = (
        whole - found.execution.seconds - parts["git: repository, commit, patch, worktree"]
    )
    with tempfile.TemporaryDirectory() as empty:
        parts["one sandbox"] = seconds(
            lambda: Sandbox(Path(empty).resolve(), tier=task.tier).run(["/bin/true"], timeout=10.0)
        )
    parts["overhead"] = whole - found.execution.seconds - parts["two starts"] + parts["one sandbox"]
    return parts


def main(repeats: int = 5) -> None:
    """Prints the table."""
    task = load_code_task("nanolm", code_folders()["nanolm"], {"train_budget": "4k tokens"})
    load_dataset(task.corpus, task.source.profile.vocab_size)  # builds the corpus, where it is not there
    with tempfile.TemporaryDirectory() as folder:
        rows = [trial(task, Path(folder), number) for number in range(repeats)]
    print(f"A trial of nanolm, tier {task.tier}: median seconds of {repeats}")
    for name in rows[0]:
        print(f"{name:<44}{statistics.median(row[name] for row in rows):>8.3f}")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
