"""The profile for a GPU: chosen where the driver lists one, and told to the training. The device here is a fake."""

from __future__ import annotations

import shutil

import pytest
from lm.conftest import make_text
from tiny_runs import TINY

from agentopt.code.literals import read_literals
from agentopt.lm.budget import Budget
from agentopt.task import load_task
from agentopt.trial import Status


@pytest.fixture
def device(tmp_path, monkeypatch):
    """Puts a driver's tool first on the path that lists what it is told to, and lists one GPU to begin with."""
    tool = tmp_path / "bin" / "nvidia-smi"
    tool.parent.mkdir()

    def lists(text):
        tool.write_text(f"#!/bin/sh\necho '{text}'\n")
        tool.chmod(0o755)

    lists("GPU 0: A fake device (UUID: GPU-0)")
    monkeypatch.setenv("PATH", str(tool.parent), prepend=":")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    return lists


def test_where_a_gpu_is_listed_its_settings_are_taken(device):
    task = load_task("nanolm")
    profile = task.source.profile
    assert (profile.device, profile.vocab_size, profile.seq_len) == ("cuda", 8192, 2048)
    assert task.budget == Budget.parse("300s")
    assert task.corpus == "hub:karpathy/climbmix-400b-shuffle"
    written = read_literals(task.code.text).values
    sizes = {"DEPTH": 8, "ASPECT_RATIO": 64, "HEAD_DIM": 128, "TOTAL_BATCH_SIZE": 524288, "DEVICE_BATCH_SIZE": 128}
    assert {name: written[name] for name in sizes} == sizes
    assert {name: task.space.defaults()[name] for name in sizes} == sizes
    assert task.facts["profile"] == "cuda, 8192 tokens, rows of 2048"


def test_a_profile_may_be_named_and_a_device_may_be_hidden(device, monkeypatch):
    assert load_task("nanolm", profile="cpu").source.profile.device == "cpu"
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert load_task("nanolm").source.profile.device == "cpu"
    assert load_task("nanolm", profile="cuda").source.profile.device == "cuda"
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    device("No devices were found")
    assert load_task("nanolm").source.profile.device == "cpu"


def test_a_folder_without_such_a_profile_takes_its_first(device):
    assert load_task(str(TINY)).source.profile.device == "cpu"


@pytest.fixture
def teller(tmp_path, monkeypatch):
    """A folder of code, with a profile for a GPU, whose training says what it is told and ends."""
    folder = tmp_path / "code"
    shutil.copytree(TINY, folder)
    head, _, tail = (
        (TINY / "sandbox.toml").read_text().replace("profiles.hasty", "profiles.cuda").partition("[profiles.cuda]")
    )
    (folder / "sandbox.toml").write_text(f"{head}[profiles.cuda]{tail.replace('cpu', 'cuda')}")
    said = "device {AGENTOPT_DEVICE}, threads {OMP_NUM_THREADS}"
    known = "collections.defaultdict(lambda: 'free', os.environ)"
    says = f"import collections, os\nraise SystemExit({said!r}.format_map({known}))"
    (folder / "train.py").write_text(f"{says}\n{(TINY / 'train.py').read_text()}")
    (tmp_path / "text.txt").write_text(make_text(60_000, seed=3))
    monkeypatch.setenv("AGENTOPT_CACHE", str(tmp_path / "cache"))
    return lambda profile: load_task(str(folder), tier="process", profile=profile, corpus=str(tmp_path / "text.txt"))


@pytest.mark.parametrize(("profile", "said"), [("auto", "device cuda, threads free"), ("cpu", "device cpu, threads 1")])
def test_the_training_is_told_the_device(device, teller, profile, said):
    outcome = teller(profile).evaluate({"SMOOTHING": 300.0})
    assert outcome.status is Status.FAILED
    assert said in outcome.error
