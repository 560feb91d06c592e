"""Models of the hub: fetched from a small hub on this machine, by the hub's own client, and found again without it."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

pytest.importorskip("huggingface_hub")
COMMIT = "0123456789abcdef0123456789abcdef01234567"
FILES = {"config.json": b"{}", "model.safetensors": b"weights", "tokenizer.json": b"{}", "model.gguf": b"not wanted"}


class Hub(BaseHTTPRequestHandler):
    """Answers as a hub that has one model, `somebody/tiny`."""

    asked: list[str]

    def do_HEAD(self) -> None:
        self.answer(body=False)

    def do_GET(self) -> None:
        self.answer(body=True)

    def answer(self, *, body: bool) -> None:
        self.server.asked.append(self.path)  # type: ignore[attr-defined]
        name = self.path.rpartition("/")[2]
        status, text, headers = 404, b"{}", {"X-Error-Code": "RepoNotFound"}
        if self.path == "/":
            status, text, headers = 200, b"a hub", {}
        elif self.path.startswith("/api/models/somebody/tiny/revision/"):
            siblings = [{"rfilename": file} for file in FILES]
            found = {"id": "somebody/tiny", "modelId": "somebody/tiny", "sha": COMMIT, "siblings": siblings}
            status, text, headers = 200, json.dumps(found).encode(), {"Content-Type": "application/json"}
        elif self.path.startswith("/api/models/somebody/tiny/tree/"):
            tree = [{"type": "file", "path": file, "size": len(text), "oid": "0" * 40} for file, text in FILES.items()]
            status, text, headers = 200, json.dumps(tree).encode(), {"Content-Type": "application/json"}
        elif self.path.startswith("/somebody/tiny/resolve/") and name in FILES:
            status, text = 200, FILES[name]
            headers = {"ETag": f'"{hashlib.sha1(text).hexdigest()}"', "X-Repo-Commit": COMMIT}
        self.send_response(status)
        for key, value in {**headers, "Content-Length": str(len(text))}.items():
            self.send_header(key, value)
        self.end_headers()
        if body:
            self.wfile.write(text)

    def log_message(self, *_arguments: object) -> None:
        """Says nothing."""


@pytest.fixture
def hub() -> Iterator[ThreadingHTTPServer]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    server.asked = []  # type: ignore[attr-defined]
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def pull(tmp_path, hub, model, **more):
    """Runs `agentopt models pull` in a process of its own: the hub's client reads the address when it is loaded."""
    address = f"http://127.0.0.1:{hub.server_address[1]}"
    ours = {"HF_ENDPOINT": address, "HF_HUB_CACHE": str(tmp_path / "hub"), "AGENTOPT_CACHE": str(tmp_path / "cache")}
    kept = {key: value for key, value in os.environ.items() if not key.startswith("HF_")}
    kept |= {"TRANSFORMERS_OFFLINE": "0", "NO_PROXY": "127.0.0.1", "HF_HUB_DISABLE_XET": "1"} | ours | more
    command = [sys.executable, "-m", "agentopt", "models", "pull", model]
    return subprocess.run(command, env=kept, capture_output=True, text=True, check=False, timeout=60)


def test_a_model_of_the_hub_is_fetched_once_and_found_without_it(tmp_path, hub):
    done = pull(tmp_path, hub, "somebody/tiny")
    assert done.returncode == 0, done.stderr
    assert "Downloading somebody/tiny from the Hugging Face hub." in done.stderr
    assert f"(hub somebody/tiny at {COMMIT})" in done.stdout
    folder = tmp_path / "hub" / "models--somebody--tiny" / "snapshots" / COMMIT
    assert {path.name for path in folder.iterdir()} == set(FILES) - {"model.gguf"}
    hub.asked.clear()
    again = pull(tmp_path, hub, "somebody/tiny", HF_HUB_OFFLINE="1")
    assert (again.returncode, again.stdout) == (0, done.stdout)
    assert hub.asked == []


def test_a_model_that_the_hub_does_not_have_is_one_line(tmp_path, hub):
    done = pull(tmp_path, hub, "somebody/absent")
    assert done.returncode == 1
    assert "somebody/absent could not be downloaded from the hub" in done.stderr
    assert "Repository Not Found" in done.stderr
    assert len(done.stderr.splitlines()) == 2  # that it is tried, and what came of it
