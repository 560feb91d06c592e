"""Stands in for vLLM: takes its command line, answers its endpoints, and has a child process as vLLM does.

What it does is read from the model's folder, or from FAKE_VLLM_FOLDER: `die` (it ends at once with the text of that
file), `never` (it loads for ever), `orphan` (it ends without its child), `dead` (process ids whose engine is dead
behind a live front), `pids` (it adds its own and its child's).
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

METRICS = """# HELP vllm:prefix_cache_queries Prefix cache queries, in tokens.
vllm:prefix_cache_queries_total{engine="0",model_name="m"} 100.0
vllm:prefix_cache_queries_created{engine="0",model_name="m"} 1.7e+09
vllm:prefix_cache_hits_total{engine="0",model_name="m"} 60.0
vllm:prefix_cache_hits_total{engine="1",model_name="m"} 4.0
vllm:prompt_tokens_total{engine="0",model_name="m"} 100.0
vllm:generation_tokens_total{engine="0",model_name="m"} 7.0
"""

folder = Path(os.environ.get("FAKE_VLLM_FOLDER", sys.argv[2]))


class Handler(BaseHTTPRequestHandler):
    def answer(self, status: int, text: str) -> None:
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self) -> None:
        self.answer(200, METRICS if self.path == "/metrics" else "")

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        dead = folder / "dead"
        broken = dead.exists() and str(os.getpid()) in dead.read_text().split()
        self.answer(500 if broken else 200, json.dumps({"error": "EngineDeadError"} if broken else {"choices": []}))

    def log_message(self, *_: object) -> None:
        pass


if __name__ == "__main__":
    sys.stdout.write(f"fake vLLM: {sys.argv[1:]}\n".replace("', '", " "))
    sys.stdout.flush()
    if (folder / "die").exists():
        sys.exit((folder / "die").read_text())
    child = subprocess.Popen(["sleep", "600"])

    def end(*_: object) -> None:
        if not (folder / "orphan").exists():
            child.kill()
            child.wait()
        os._exit(0)

    signal.signal(signal.SIGTERM, end)
    with (folder / "pids").open("a") as pids:
        pids.write(f"{os.getpid()} {child.pid}\n")
    if (folder / "never").exists():
        time.sleep(600)
    port = int(sys.argv[sys.argv.index("--port") + 1])
    ThreadingHTTPServer(("127.0.0.1", port), Handler).serve_forever()
