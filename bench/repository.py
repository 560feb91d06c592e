"""Prints what a trial's commit and worktree cost, beside `git worktree add`, alone and by eight threads at once.

Run as `python bench/repository.py`.
"""

from __future__ import annotations

import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from agentopt.sandbox.repository import Repository

TRIALS = 100
THREADS = 8
FILES = {f"module_{number}.py": f"A = {number}\n" * 200 for number in range(5)}


def main() -> None:
    """Prints medians in milliseconds, and how many of the concurrent calls failed."""
    with tempfile.TemporaryDirectory() as folder:
        repository = Repository.create(Path(folder) / "repo", FILES)

        def commit(trial: int) -> None:
            repository.commit(trial, {"module_0.py": f"A = {trial}\n"}, None, "a change")

        def plain(trial: int) -> None:
            with repository.worktree(trial):
                pass

        def linked(trial: int) -> None:
            where = Path(folder) / f"linked-{trial}-{time.monotonic_ns()}"
            git = ["git", f"--git-dir={repository.folder}", "worktree"]
            added = ["add", "--quiet", "--detach", str(where), f"refs/agentopt/t{trial}"]
            subprocess.run([*git, *added], check=True, capture_output=True)
            subprocess.run([*git, "remove", "--force", str(where)], check=True, capture_output=True)

        for name, call in (("commit", commit), ("worktree, with removal", plain), ("git worktree add, remove", linked)):
            alone = sorted(_seconds(call, trial) for trial in range(TRIALS))
            others = range(TRIALS, 2 * TRIALS)
            start = time.perf_counter()
            with ThreadPoolExecutor(THREADS) as pool:
                failed = sum(pool.map(lambda trial, call=call: _fails(call, trial), others))
            each = (time.perf_counter() - start) / TRIALS
            print(
                f"{name:26s} median {1e3 * statistics.median(alone):6.1f} ms, slowest tenth from"
                f" {1e3 * alone[-TRIALS // 10]:6.1f} ms; by {THREADS} threads {1e3 * each:6.1f} ms each,"
                f" {failed} of {TRIALS} failed"
            )


def _seconds(call: Callable[[int], None], trial: int) -> float:
    start = time.perf_counter()
    call(trial)
    return time.perf_counter() - start


def _fails(call: Callable[[int], None], trial: int) -> bool:
    try:
        call(trial)
    except subprocess.CalledProcessError:
        return True
    return False


if __name__ == "__main__":
    main()
