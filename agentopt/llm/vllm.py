"""The local model server: it is found or started, watched until it is ready, checked, restarted and stopped."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Self

from agentopt.errors import ModelUnavailable
from agentopt.llm.launch import Launch, ServerOptions, plan, port_for
from agentopt.llm.models import LocalModel, Progress, quiet
from agentopt.llm.serverlog import why_not_ready
from agentopt.llm.supervise import Record, end_server, lock_users, read_record, state_file, why_start
from agentopt.paths import cache_dir, own_python

__all__ = ["Server", "ServerOptions", "ensure_server"]

HEALTH_SECONDS = 10.0
PROBE_SECONDS = 120.0
PROBE_PROMPT = "one two three four five six"  # several tokens: one alone kills recurrent models on a CPU
RUNNING_LOCK_SECONDS = 60.0
METRICS = ("prefix_cache_queries", "prefix_cache_hits", "prompt_tokens", "generation_tokens")


class Server:
    """A running server for one model; usable as a context manager, from any thread.

    The server ends when the last process that uses it calls `stop` or ends. One that was started by another process
    (`reused`) stays as long as that process does.
    """

    def __init__(self, model: LocalModel, log: Path, options: ServerOptions, say: Progress = quiet) -> None:
        self.model = model
        self.log = log
        self._say = say
        self.reused = False
        self._options = options
        self._key = _key(model, options)
        self._guard = threading.RLock()
        self._users: int | None = None
        self._record: Record | None = None

    @property
    def base_url(self) -> str:
        """The address for an OpenAI client."""
        return f"{self._root}/v1"

    @property
    def port(self) -> int:
        """The port on this machine."""
        return self._running.port

    @property
    def served_name(self) -> str:
        """The name to ask for in a request."""
        return self._running.served_name

    @property
    def engine(self) -> str:
        """The program behind the server and its device, for the run's record."""
        return f"{self._running.engine} on {self._running.device}"

    @property
    def _running(self) -> Record:
        if self._record is None:
            raise ModelUnavailable(f"The server for {self.model.name} was stopped.")
        return self._record

    @property
    def _root(self) -> str:
        return f"http://127.0.0.1:{self._running.port}"

    def check(self, *, deep: bool = True) -> bool:
        """Says whether the server answers; `deep` asks for a token too: a dead engine may hide behind a live front."""
        import httpx

        record = self._record
        if record is None or not record.alive():
            return False
        try:
            with httpx.Client(base_url=self._root, trust_env=False) as client:
                if client.get("/health", timeout=HEALTH_SECONDS).status_code != httpx.codes.OK:
                    return False
                if not deep:
                    return True
                body = {"model": record.served_name, "prompt": PROBE_PROMPT, "max_tokens": 1, "temperature": 0}
                return client.post("/v1/completions", json=body, timeout=PROBE_SECONDS).status_code == httpx.codes.OK
        except httpx.HTTPError:
            return False

    def restart(self) -> None:
        """Replaces a server that does not answer, on the same port; does nothing when it answers (again)."""
        with self._guard, _start_lock(self._key, self._options):
            if self._users is None:
                raise ModelUnavailable(f"The server for {self.model.name} was stopped.")
            latest = read_record(self._key)
            port = self._record.port if self._record else None
            if latest is not None and latest != self._record and latest.alive():
                self._record, self.reused = latest, True  # another process was faster
            if self.check():
                return
            for record in {self._record, latest} - {None}:
                assert record is not None
                end_server(record)
            self._start(port)

    def stop(self) -> None:
        """Lets go of the server; ends it, with all its processes, when nobody else uses it."""
        with self._guard:
            record, users = self._record, self._users
            self._record = self._users = None
            if users is None:
                return
            os.close(users)
            alone = lock_users(self._key, alone=True)
            if alone is not None:
                try:
                    if record is not None:
                        end_server(record)
                finally:
                    os.close(alone)

    def metrics(self) -> dict[str, float]:
        """Returns the server's counters, in tokens: prompts, replies, looked up in the prefix cache, found there."""
        import httpx

        try:
            with httpx.Client(base_url=self._root, trust_env=False, timeout=HEALTH_SECONDS) as client:
                text = client.get("/metrics").raise_for_status().text
        except httpx.HTTPError:
            return {}
        return parse_metrics(text)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _open(self) -> None:
        """Joins the running server or starts one."""
        with self._guard, _start_lock(self._key, self._options):
            self._users = _join_users(self._key)
            try:
                found = read_record(self._key)
                if found is not None:
                    if found.alive() and self._adopt(found):
                        self._say(f"Using {found}.")
                        return
                    end_server(found)
                why = why_start(self._key, self.model.served_name, self._options.context, found)
                self._say(f"Starting a server for {self.model.name}: {why} (log: {self.log}) ...")
                self._start(None)
            except BaseException:
                self.stop()
                raise

    def _adopt(self, found: Record) -> bool:
        """Uses a running server if it answers, also when it is still loading; False when it is of no use."""
        self._record = found
        with contextlib.suppress(ModelUnavailable):
            self._wait_until_ready(found, time.monotonic() + self._options.start_seconds, Path(found.log), 0)
            if self.check():
                self.reused = True
                return True
        self._record = None
        return False

    def _start(self, port: int | None) -> None:
        port = port_for(self._options, port)
        launch = plan(self.model, port, self._options)
        self.log.parent.mkdir(parents=True, exist_ok=True)
        begin = self.log.stat().st_size if self.log.exists() else 0
        deadline = time.monotonic() + self._options.start_seconds
        note = {"key": self._key, "port": port, "served_name": self.model.served_name, "context": self._options.context}
        supervisor = _spawn(note, launch, self.log)
        self._record, self.reused = None, False
        try:
            while self._record is None:
                self._expect(deadline, self.log, begin, alive=supervisor.poll() is None)
                found = read_record(self._key)
                self._record = found if found is not None and found.supervisor == supervisor.pid else None
                time.sleep(0.05)
            self._wait_until_ready(self._record, deadline, self.log, begin, supervisor)
        except BaseException:
            if self._record is not None:
                end_server(self._record)
            supervisor.terminate()
            supervisor.wait()
            self._record = None
            raise
        # Reaps the supervisor when it ends, or it would stay as a zombie for as long as this process runs.
        threading.Thread(target=supervisor.wait, daemon=True, name="agentopt-server-reaper").start()

    def _wait_until_ready(
        self, record: Record, deadline: float, log: Path, begin: int, supervisor: subprocess.Popen[bytes] | None = None
    ) -> None:
        import httpx

        with httpx.Client(trust_env=False, timeout=HEALTH_SECONDS) as client:
            while True:
                with contextlib.suppress(httpx.HTTPError):
                    if client.get(f"http://127.0.0.1:{record.port}/health").status_code == httpx.codes.OK:
                        return
                alive = record.alive() and (supervisor is None or supervisor.poll() is None)
                self._expect(deadline, log, begin, alive=alive)
                time.sleep(0.25)

    def _expect(self, deadline: float, log: Path, begin: int, *, alive: bool) -> None:
        """Raises when the server died or the time is up, with the end of its log and what to do about it."""
        if alive and time.monotonic() < deadline:
            return
        what = "was not ready in time" if alive else "ended before it was ready"
        raise ModelUnavailable(why_not_ready(f"The server for {self.model.name} {what}", log, begin))


def ensure_server(
    model: LocalModel, *, log: Path, options: ServerOptions | None = None, say: Progress = quiet
) -> Server:
    """Returns a server for the model that answers: one that runs already with the same options, or a new one.

    `say` is told which of the two, and why.
    """
    server = Server(model, log, options or ServerOptions(), say)
    server._open()  # noqa: SLF001 - the only way to make one that runs
    return server


def parse_metrics(text: str) -> dict[str, float]:
    """Returns the sums of the counters in `METRICS` from Prometheus text."""
    sums = dict.fromkeys(METRICS, 0.0)
    for line in text.splitlines():
        name = line.split("{", 1)[0].split(" ", 1)[0].removeprefix("vllm:").removesuffix("_total")
        if line.startswith("vllm:") and name in sums:
            sums[name] += float(line.rsplit(" ", 1)[1])
    return sums


def _key(model: LocalModel, options: ServerOptions) -> str:
    """Returns the name of a server's files: equal for equal models and options, whatever the patience and the port."""
    chosen = {name: value for name, value in asdict(options).items() if name not in ("start_seconds", "port")}
    digest = hashlib.sha256(json.dumps([str(model.path), model.served_name, chosen]).encode()).hexdigest()
    return f"{model.served_name.replace('/', '--')}-{digest[:12]}"


@contextlib.contextmanager
def _start_lock(key: str, options: ServerOptions) -> Iterator[None]:
    """Lets one process at a time look for, start or replace a server."""
    from filelock import FileLock, Timeout

    folder = cache_dir("servers")
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / f"{key}.lock", timeout=options.start_seconds + RUNNING_LOCK_SECONDS)
    try:
        lock.acquire()
    except Timeout as error:
        raise ModelUnavailable(f"Another process has been starting this server for {lock.timeout:.0f} s.") from error
    try:
        yield
    finally:
        lock.release()


def _join_users(key: str) -> int:
    deadline = time.monotonic() + RUNNING_LOCK_SECONDS
    while time.monotonic() < deadline:
        if (users := lock_users(key, alone=False)) is not None:
            return users
        time.sleep(0.1)  # a server is just being ended
    raise ModelUnavailable(f"The former server does not end; its processes are noted in {state_file(key)}.")


def _spawn(note: dict[str, object], launch: Launch, log: Path) -> subprocess.Popen[bytes]:
    note |= {"engine": launch.engine, "device": launch.device, "log": str(log)}
    spec = json.dumps({"note": note, "command": launch.command})
    with log.open("ab") as out:
        return subprocess.Popen(
            own_python("-m", "agentopt.llm.supervise", spec),
            env={**os.environ, **launch.env},
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
