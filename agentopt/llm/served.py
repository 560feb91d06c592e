"""The local vLLM server as a backend: started or found when the run opens, restarted once when it dies."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

from agentopt.llm.models import pull
from agentopt.llm.openai import OpenAIBackend
from agentopt.llm.settings import ModelSettings
from agentopt.llm.vllm import Server, ServerOptions, ensure_server


def start_server(settings: ModelSettings, folder: Path, say: Callable[[str], None]) -> Server:
    """Returns a running server for the model, fetched and started where that is needed; its log is in `folder`."""
    model, log = pull(settings.name, say), folder / "vllm.log"
    return ensure_server(model, log=log, options=ServerOptions(context=settings.context), say=say)


class ServedBackend(OpenAIBackend):
    """Asks the server that holds the model; its log is in the run folder."""

    def __init__(self, settings: ModelSettings, run: Path, say: Callable[[str], None]) -> None:
        self._server = start_server(settings, run, say)
        self._say, self._restarted, self._guard = say, False, threading.Lock()
        super().__init__(self._server.served_name, self._server.base_url, settings, local=True)

    def recover(self) -> bool:
        """Restarts a dead server, the first time; requests that died with it wait for that and go again."""
        with self._guard:
            if self._server.check():
                return self._restarted
            if self._restarted:
                return False
            self._restarted = True
            self._say("The model server died; starting it again ...")
            self._server.restart()
            return True

    def close(self) -> None:
        """Stops the server if this run started it."""
        self._server.stop()
