"""Runs the command of a task for one configuration, and reads the numbers that it leaves behind."""

from __future__ import annotations

import json
import math
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from agentopt.outcomes import failure, outcome_of
from agentopt.protocols import Objective
from agentopt.task import FOLDER_VARIABLE
from agentopt.trial import Outcome, Params, Status, Value

KEPT_BYTES = 1 << 20
"""How much of the end of each stream is looked at."""
_NUMBER = r"[-+]?(?:\d+\.?\d*(?:e[-+]?\d+)?|\.\d+(?:e[-+]?\d+)?|nan|inf)"
_METRIC = re.compile(rf"\s*([a-z_][\w.\-/]*)\s*[:=]\s*({_NUMBER})\s*", re.IGNORECASE)


class _Relay(threading.Thread):
    """Passes a stream of the command on to ours, and keeps its end."""

    def __init__(self, source: IO[bytes], target: IO[bytes]) -> None:
        super().__init__(daemon=True)
        self._source, self._target = source, target
        self._kept = bytearray()
        self.start()

    def run(self) -> None:
        while chunk := os.read(self._source.fileno(), 1 << 16):
            self._target.write(chunk)
            self._target.flush()
            self._kept += chunk
            del self._kept[:-KEPT_BYTES]

    def end(self) -> str:
        """Returns the end of the stream once it has closed."""
        self.join()
        return self._kept.decode(errors="replace")


def run_command(
    fill: Callable[[Mapping[str, Value]], Sequence[str]],
    params: Params,
    *,
    seed: int,
    folder: Path,
    env: Mapping[str, str],
    objectives: Sequence[Objective],
) -> Outcome:
    """Runs the command that `fill` returns in `folder`, and returns its outcome; its output goes to ours.

    What it leaves in its output folder stays in the run folder where there is one.
    """
    with _scratch() as scratch:
        out, file = scratch / "out", scratch / "params.json"
        shutil.rmtree(out, ignore_errors=True)
        out.mkdir(parents=True)
        file.write_text(json.dumps(dict(params)), encoding="utf-8")
        ours = {"AGENTOPT_PARAMS": str(file), "AGENTOPT_OUT": str(out), "AGENTOPT_SEED": str(seed)}
        command = fill({"seed": seed, "params": str(file), "out": str(out)})
        try:
            process = subprocess.Popen(
                list(command),
                cwd=folder,
                env={**os.environ, **env, **ours},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
            )
        except OSError as error:
            return failure(Status.FAILED, f"cannot start {command[0]}: {error.strerror or error}")
        assert process.stdout is not None
        assert process.stderr is not None
        with process:
            relays = _Relay(process.stdout, sys.stdout.buffer), _Relay(process.stderr, sys.stderr.buffer)
            stdout, stderr = (relay.end() for relay in relays)
            code = process.wait()
        if code != 0:
            return _failed(code, stderr or stdout)
        return _outcome(out / "metrics.json", stdout, objectives)


@contextmanager
def _scratch() -> Iterator[Path]:
    """Gives the trial's own folder, or a temporary one outside a run."""
    if FOLDER_VARIABLE in os.environ:
        yield Path(os.environ[FOLDER_VARIABLE])
        return
    with tempfile.TemporaryDirectory(prefix="agentopt-") as folder:
        yield Path(folder)


def _failed(code: int, text: str) -> Outcome:
    tail = text.strip()[-1000:]
    if code == -signal.SIGKILL or "out of memory" in text.lower() or "MemoryError" in text:
        return failure(Status.OOM, f"the command ran out of memory (exit code {code})\n{tail}".strip())
    how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"exited with code {code}"
    return failure(Status.FAILED, f"the command {how}\n{tail}".strip())


def _outcome(file: Path, stdout: str, objectives: Sequence[Objective]) -> Outcome:
    """Returns the outcome that `metrics.json` states, else the last JSON object printed, else `name: number` lines."""
    if file.is_file():
        try:
            found = json.loads(file.read_text(encoding="utf-8"))
        except ValueError as error:
            return failure(Status.FAILED, f"metrics.json is not JSON: {error}")
        if not isinstance(found, dict):
            return failure(Status.FAILED, f"metrics.json holds {type(found).__name__}, not an object")
        return outcome_of(found, objectives)
    metrics = _last_object(stdout)
    if metrics is None:
        metrics = _named_numbers(stdout)
    if not metrics:
        names = ", ".join(objective.name for objective in objectives)
        text = "neither $AGENTOPT_OUT/metrics.json nor a JSON object or `name: number` lines on standard output"
        return failure(Status.FAILED, f"the command left no {names}: {text}")
    return outcome_of(metrics, objectives)


def _last_object(stdout: str) -> dict[str, Any] | None:
    for line in reversed(stdout.split("\n")):  # splitlines would cut at U+2028, which JSON may hold
        if line.strip().startswith("{"):
            try:
                found = json.loads(line)
            except ValueError:
                continue
            if isinstance(found, dict):
                return found
    return None


def _named_numbers(stdout: str) -> dict[str, float]:
    """Returns the numbers of lines such as `val_bpb: 0.9` or `loss = 3`; the last one of a name counts."""
    found = {}
    for line in stdout.splitlines():
        if match := _METRIC.fullmatch(line):
            number = float(match[2])
            found[match[1]] = number if math.isfinite(number) else math.nan
    return found
