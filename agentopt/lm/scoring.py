"""Scores the weights that a trial left: serves its model in two fresh sandboxes and evaluates it."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from pathlib import Path

from agentopt.lm import server
from agentopt.lm.dataset import Dataset
from agentopt.lm.evaluate import Score, Tolerance, evaluate
from agentopt.lm.exam import Exam
from agentopt.lm.training import Profile
from agentopt.sandbox import Limits, Sandbox, Tier


def parameters(weights: Path) -> int:
    """Returns how many numbers a safetensors file holds; raises ValueError where it is none."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(weights, "numpy") as file:
            shapes = [file.get_slice(name).get_shape() for name in file.keys()]  # noqa: SIM118 - it is no mapping
    except (SafetensorError, OSError) as error:
        raise ValueError(f"{weights.name} is no safetensors file: {error}") from error
    total = 0
    for shape in shapes:
        size = 1
        for length in shape:
            size *= length
        total += size
    return total


def score(
    code: Mapping[str, Path],
    weights: Path,
    exam: Exam,
    *,
    profile: Profile,
    tolerance: Tolerance,
    tier: Tier,
    limits: Limits,
    timeout: float,
    covers: Iterable[tuple[Path, Path]] = (),
) -> Score:
    """Returns the score of weights under the code that builds their model.

    `code` are the files that the model is made of, by name: `train.py` and what it imports. `covers` are pairs for
    `Sandbox(readonly=...)`, see `covers_of`. The servers can write nothing that lasts, and see neither data nor each
    other.
    """
    with ExitStack() as stack:
        servers = []
        for _ in range(2):
            work = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="agentopt-server-"))).resolve()
            files = {**code, server.WEIGHTS: weights, Path(server.__file__).name: Path(server.__file__)}
            readonly = [*((path, work / name) for name, path in files.items()), *covers]
            box = Sandbox(work, tier=tier, limits=limits, readonly=readonly, gpu=profile.device == "cuda")
            argv = [sys.executable, "server.py"]
            servers.append(stack.enter_context(box.start(argv, env=profile.environment(), timeout=timeout)))
        return evaluate(servers[0], servers[1], exam, tolerance, timeout)


def covers_of(dataset: Dataset, empty: Path, tier: Tier) -> list[tuple[Path, Path]]:
    """Returns what to give to `Sandbox(readonly=...)`, so that a dataset's held-out text cannot be read inside.

    `empty` is a folder in which an empty file and an empty folder are made. Without mounts (any tier but `bubblewrap`)
    nothing can be covered: then there is nothing to give, and a corpus with `hidden` text is not held out.
    """
    if tier is not Tier.BUBBLEWRAP:
        return []
    file, folder = empty / "empty-file", empty / "empty-folder"
    file.touch()
    folder.mkdir(exist_ok=True)
    return [(folder if path.is_dir() else file, path) for path in dataset.hidden]
