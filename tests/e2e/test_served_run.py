"""Whole runs against a served model: the real one, and one that dies."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from agentopt.journal import read_history
from agentopt.ledger import read_ledger
from agentopt.llm import ModelSettings, open_gateway
from agentopt.llm.values import Read
from agentopt.trial import Origin

MORTAL = Path(__file__).with_name("mortal_vllm.py")
TASK = """
from agentopt import Float
space = [Float("x", 0, 1, default=0.9), Float("y", 0, 1, default=0.9)]
isolation = "inline"
def evaluate(params):
    return (params["x"] - 0.3) ** 2 + params["y"]
"""


def agentopt(*arguments, cwd, env=None):
    command = [sys.executable, "-m", "agentopt", *map(str, arguments)]
    return subprocess.run(
        command, cwd=cwd, env={**os.environ, **(env or {})}, capture_output=True, text=True, check=False
    )


@pytest.mark.served
def test_the_real_server_says_that_a_prompt_is_too_long(served_model, tmp_path):
    settings = ModelSettings(name=served_model.served_name, base_url=served_model.base_url, max_tokens=64)
    with contextlib.closing(open_gateway(settings, tmp_path, 0, print)) as gateway:
        (much,) = gateway.ask("one two three " * 4000, Read)
        (little,) = gateway.ask("Say one.", Read)
    assert (much.too_long, little.too_long) == (True, False)
    assert "maximum context length is 8192 tokens" in much.reason


@pytest.mark.served
def test_the_main_job_with_the_real_model(served_model, tmp_path):
    """`agentopt run centaur --model ...` on the real problem: the model's own replies become trials."""
    flags = ["--trials", 20, "-o", "ratio=0.5", "-o", "recent=4", "-o", "best=3", "--name", "real", "--json"]
    done = agentopt("run", "centaur", "--model", "smollm2-135m", *flags, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout.splitlines()[-1])
    assert result["best"]["values"][0] < 1.0
    assert result["tokens"]["completion"] > 0
    run = tmp_path / "runs" / "real"
    exchanges = [exchange for exchange in read_ledger(run) if exchange.status != "error"]
    assert len(exchanges) >= 3
    assert all("val_bpb" in e.prompt and e.reply.startswith('{"values"') for e in exchanges if e.repairs is None)
    origins = [trial.origin for trial in read_history(run).trials]
    assert origins.count(Origin.LLM) >= 2
    assert (run / "convergence.png").stat().st_size > 5000
    assert served_model.check(), "a server that was there before the run stays"


@pytest.fixture
def mortal(tmp_path):
    """A checkpoint folder, a task, and the environment in which the mortal server is vLLM."""
    model = tmp_path / "model"
    model.mkdir()
    (model / "config.json").write_text('{"max_position_embeddings": 8192}')
    for name in ("model.safetensors", "tokenizer.json", "tokenizer_config.json"):
        (model / name).write_text("{}")
    (tmp_path / "job.py").write_text(TASK)
    env = {"AGENTOPT_VLLM_COMMAND": f"{sys.executable} {MORTAL}", "AGENTOPT_CACHE": str(tmp_path / "cache")}
    (tmp_path / "few.toml").write_text("[model]\nretries = 1")
    flags = ["--model", "./model", "--task", "job.py:evaluate", "--trials", 30, "-o", "ratio=0.5", "--name", "r"]
    flags += ["--config", "few.toml"]

    def run(*lives):
        (model / "lives").write_text("\n".join(map(str, lives)))
        return agentopt("run", "centaur", *flags, cwd=tmp_path, env=env)

    return run, env


def test_a_server_that_dies_is_restarted_once_and_a_run_that_it_stops_can_be_resumed(mortal, tmp_path):
    run, env = mortal
    done = run(3, 2, 3)
    assert done.returncode == 1
    assert "starting it again" in done.stderr
    assert "does not answer" in done.stderr
    assert "agentopt resume" in done.stderr
    assert "Traceback" not in done.stderr
    before = read_history(tmp_path / "runs" / "r").trials
    assert 10 < len(before) < 30
    assert "EngineDeadError" in next(e.reason for e in read_ledger(tmp_path / "runs" / "r") if e.status == "error")
    again = agentopt("resume", "r", cwd=tmp_path, env=env)
    assert again.returncode == 0, again.stderr
    assert "starting it again" in again.stderr
    after = read_history(tmp_path / "runs" / "r").trials
    assert after[: len(before)] == before
    assert len(after) == 30
    assert sum(trial.origin is Origin.LLM for trial in after) >= 9


def test_without_a_hub_and_a_package_the_models_that_can_be_had_are_named(tmp_path):
    env = {"AGENTOPT_CACHE": str(tmp_path / "cache"), "HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path / "hub")}
    done = agentopt("run", "centaur", "--model", "qwen-0.8b", cwd=tmp_path, env=env)
    assert done.returncode in (1, 2)
    assert "smollm2-135m" in done.stderr
    assert "Traceback" not in done.stderr
