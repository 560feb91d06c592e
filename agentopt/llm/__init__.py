"""Language models: settings, the gateway that asks them, and the backends that answer."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from agentopt.errors import UsageError
from agentopt.llm.settings import ModelSettings

if TYPE_CHECKING:
    from agentopt.llm.gateway import Backend, Gateway

__all__ = ["ModelSettings", "check_model", "hold_model", "open_gateway", "recorded_gateway", "server_of"]


def open_gateway(
    settings: ModelSettings, run: Path, seed: int, say: Callable[[str], None], *, acknowledged: int = 0
) -> Gateway:
    """Returns a gateway to the model of a run, which it has started or found where that is needed.

    `run` is the folder of the ledger and the server's log; `say` gets lines on what takes its time; `acknowledged` is
    the number of calls that the run's journal builds on. Raises UsageError for a name that is no model,
    ModelUnavailable where the model cannot be had.
    """
    from agentopt.llm.gateway import Gateway

    return Gateway(_backend(settings, run, say), run, settings, seed, acknowledged=acknowledged)


def recorded_gateway(settings: ModelSettings, run: Path, seed: int, acknowledged: int) -> Gateway:
    """Returns a gateway that knows the recorded replies of a run alone: it asks no model and writes nothing."""
    from agentopt.llm.gateway import Gateway
    from agentopt.llm.recorded import RecordedBackend

    return Gateway(RecordedBackend(settings.name), run, settings, seed, acknowledged=acknowledged, writing=False)


def check_model(settings: ModelSettings) -> None:
    """Raises ModelUnavailable where the endpoint of a model does not answer, or does not serve it.

    Models that are served here are not looked for: that takes its time, and is done when a run opens.
    """
    if kind_of(settings) == "openai" and settings.base_url is not None:
        from agentopt.llm.openai import check_endpoint

        check_endpoint(settings.base_url, settings.name)


@contextmanager
def hold_model(settings: ModelSettings | None, folder: Path, say: Callable[[str], None]) -> Iterator[None]:
    """Keeps the local server of a model running meanwhile, so that several runs share it; its log is in `folder`.

    There is nothing to keep for models that are not served here.
    """
    if settings is None or kind_of(settings) != "vllm":
        yield
        return
    from agentopt.llm.served import start_server

    with start_server(settings, folder, say):
        yield


def server_of(settings: ModelSettings) -> tuple[str, int] | None:
    """Returns what tells apart the servers of models that are served here, name and context; None for any other."""
    return (settings.name, settings.context) if kind_of(settings) == "vllm" else None


def is_repeatable(settings: ModelSettings) -> bool:
    """Whether the same prompt and seed give the same reply: a server puts requests together as they come."""
    return kind_of(settings) in ("scripted", "transformers")


def kind_of(settings: ModelSettings) -> str:
    """Returns the backend that the settings come to; an endpoint's address wins over what it could be instead."""
    if settings.backend == "scripted" or (settings.backend == "auto" and settings.name.startswith("scripted:")):
        return "scripted"
    if settings.base_url is not None:
        return "openai"
    return "vllm" if settings.backend == "auto" else settings.backend


def _backend(settings: ModelSettings, run: Path, say: Callable[[str], None]) -> Backend:
    kind = kind_of(settings)
    if kind == "scripted":
        from agentopt.llm.scripted import scripted_backend

        return scripted_backend(settings.name)
    if kind == "openai":
        from agentopt.llm.openai import OpenAIBackend

        if settings.base_url is None:
            raise UsageError("The backend openai needs --base-url, the address of the endpoint.")
        return OpenAIBackend(settings.name, settings.base_url, settings)
    if kind == "transformers":
        from agentopt.llm import models
        from agentopt.llm.transformers import TransformersBackend

        return TransformersBackend(models.pull(settings.name, say), settings)
    from agentopt.llm.served import ServedBackend

    return ServedBackend(settings, run, say)
