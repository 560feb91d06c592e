"""Stands in for vLLM with a limited life: after some replies its engine is dead behind a live front, as vLLM's can be.

The model's folder holds `lives`: how many replies each start of the server gives, one number per line; after the last
line the server lives for ever. Replies are random configurations for two parameters.
"""

from __future__ import annotations

import json
import random
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

folder = Path(sys.argv[2])
guard = threading.Lock()


def next_life() -> int:
    started = folder / "started"
    number = int(started.read_text()) if started.exists() else 0
    started.write_text(str(number + 1))
    lives = [int(line) for line in (folder / "lives").read_text().split()]
    return lives[number] if number < len(lives) else 10**9


class Handler(BaseHTTPRequestHandler):
    left = 0

    def answer(self, status: int, value: object) -> None:
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self) -> None:
        self.answer(200 if Handler.left > 0 else 503, {})

    def do_POST(self) -> None:
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with guard:
            alive = Handler.left > 0
            Handler.left -= "messages" in request and "seed" in request
        if not alive:
            self.answer(500, {"error": {"message": "EngineDeadError"}})
            return
        rng = random.Random(request.get("seed"))
        text = json.dumps({"values": [rng.random(), rng.random()]})
        choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": text}}
        usage = {"prompt_tokens": 100, "completion_tokens": 9, "total_tokens": 109}
        self.answer(200, {"id": "1", "object": "chat.completion", "model": "m", "choices": [choice], "usage": usage})

    def log_message(self, *_: object) -> None:
        pass


if __name__ == "__main__":
    Handler.left = next_life()
    port = int(sys.argv[sys.argv.index("--port") + 1])
    ThreadingHTTPServer(("127.0.0.1", port), Handler).serve_forever()
