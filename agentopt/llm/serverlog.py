"""What a server's log says about why it did not start, and what the user can do about it."""

from __future__ import annotations

from pathlib import Path

QUOTED_LINES = 15
READ_BYTES = 20_000
FIXES = (
    ("Address already in use", "another program took the port: run the command again."),
    ("CUDA out of memory", "the GPU is full: choose a smaller model, or lower the server's share of its memory."),
    ("Free memory on device", "other programs hold the GPU's memory: end them, or lower the server's share of it."),
    ("No available memory for the cache blocks", "the cache has no room: more memory for it, or a smaller context."),
    (
        "larger than the maximum number of tokens",
        "the cache cannot hold one prompt: more memory, or a smaller context.",
    ),
    ("does not recognize this architecture", "this vLLM is too old for the model: upgrade it, or use another model."),
    ("are not supported for now", "vLLM cannot serve this kind of model: choose another one."),
    (
        "No module named 'torchvision",
        "the model needs torchvision, which cannot be loaded here: install the build that belongs to this torch.",
    ),
    ("No module named", "a package is missing or broken: install vLLM again in a fresh environment."),
    ("unrecognized arguments", "this vLLM does not know an option: install the version that agentopt asks for."),
)
UNKNOWN = "see the log."


def why_not_ready(what: str, log: Path, begin: int) -> str:
    """Returns the text of the error for a server that wrote its log from byte `begin` on: fix, place and last lines."""
    tail = _tail(log, begin)
    fix = next((fix for pattern, fix in FIXES if pattern in tail), UNKNOWN)
    shown = "\n".join(f"    {line}" for line in tail.splitlines()[-QUOTED_LINES:])
    return f"{what}: {fix}\nThe end of {log}:\n{shown}"


def _tail(log: Path, begin: int) -> str:
    try:
        with log.open("rb") as file:
            file.seek(max(begin, log.stat().st_size - READ_BYTES))
            return file.read().decode(errors="replace")
    except OSError:
        return ""
