"""Scores the weights that a trial left: serves its model in two fresh sandboxes and evaluates it."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

from agentopt.lm import server
from agentopt.lm.dataset import Dataset
from agentopt.lm.evaluate import Score, Tolerance, evaluate
from agentopt.lm.exam import Exam
from agentopt.lm.training import Profile
from agentopt.sandbox import Limits, Sandbox, Tier
from agentopt.sandbox.endings import names_only
from agentopt.sandbox.folders import remove_tree

_SPARE_SECONDS = 30.0
"""How much longer a server may live than it may answer: no answer in time is then what the evaluator sees."""


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
    scratch: Path | None = None,
) -> Score:
    """Returns the score of weights under the code that builds their model.

    `code` are the files that the model is made of, by name: `train.py` and what it imports. `covers` are pairs for
    `Sandbox(readonly=...)`, see `covers_of`. The servers can write nothing that lasts, and see neither data nor each
    other; their folders are made in `scratch`, or among the machine's temporary files.
    """
    with ExitStack() as stack:
        servers, folders = [], []
        for _ in range(2):
            work = stack.enter_context(_server_folder(scratch))
            folders.append(work)
            files = {**code, server.WEIGHTS: weights, Path(server.__file__).name: Path(server.__file__)}
            readonly = [*((path, work / name) for name, path in files.items()), *covers]
            box = Sandbox(work, tier=tier, limits=limits, readonly=readonly, gpu=profile.device == "cuda")
            argv = [sys.executable, "server.py"]
            limit = timeout + _SPARE_SECONDS
            servers.append(stack.enter_context(box.start(argv, env=profile.environment(), timeout=limit)))
        found = evaluate(servers[0], servers[1], exam, tolerance, timeout)
    return replace(found, reason=names_only(found.reason, *folders))


@contextmanager
def _server_folder(scratch: Path | None) -> Iterator[Path]:
    """Gives a folder to a server, and removes it whatever the model has made of it."""
    folder = Path(tempfile.mkdtemp(prefix="agentopt-server-", dir=scratch)).resolve()
    try:
        yield folder
    finally:
        remove_tree(folder)


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
