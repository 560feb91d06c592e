"""The child's side of a supervised worker: takes jobs on a socket, evaluates them, answers.

Started as `python -m agentopt.executors.worker FD PARENT`. The task comes first and `loaded` is answered; then one
JSON line in, one out. Standard output and error belong to the code under evaluation and are flushed before each answer.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import socket
import sys
from pathlib import Path

from agentopt.executors.inline import evaluate
from agentopt.protocols import Job
from agentopt.task import FOLDER_VARIABLE, load_task
from agentopt.trial import edit_from_json, outcome_to_json

_PR_SET_PDEATHSIG = 1


def die_with_parent(parent: int) -> None:
    """Asks Linux to kill this process when its parent ends, however that happens."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)


def main() -> None:
    """Serves jobs until the socket closes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    die_with_parent(int(sys.argv[2]))
    channel = socket.socket(fileno=int(sys.argv[1])).makefile("rwb")
    if str(Path.cwd()) not in sys.path:
        sys.path.append(str(Path.cwd()))  # a user's own modules are there: after all others, as for the command line
    task, own = None, os.getpid()
    for line in channel:
        message = json.loads(line)
        if "task" in message:
            task = load_task(message["task"], **message["options"])
            channel.write(b'{"loaded": true}\n')
            channel.flush()
            continue
        assert task is not None
        edit = None if message["edit"] is None else edit_from_json(message["edit"])
        job = Job(message["id"], message["params"], message["seed"], edit)
        if message["folder"] is not None:
            os.environ[FOLDER_VARIABLE] = message["folder"]
        done = evaluate(task, job)
        if os.getpid() != own:
            os._exit(0)  # a child that the evaluation forked came back here: the answer is its parent's to give
        sys.stdout.flush()
        sys.stderr.flush()
        answer = {"id": done.id, "outcome": outcome_to_json(done.outcome), "seconds": done.seconds}
        channel.write(json.dumps(answer).encode() + b"\n")
        channel.flush()


if __name__ == "__main__":
    main()
