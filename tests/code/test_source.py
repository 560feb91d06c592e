"""Code is read by several threads at once, where several replies of a model are."""

from __future__ import annotations

import gc
import sys
import threading
import time

import pytest

from agentopt.code.source import parse
from agentopt.testing.contracts import CODE_PROBLEM


class Yielding:
    """Lets another thread go on when it is collected, which may be in the middle of anything."""

    def __init__(self):
        self.itself = self

    def __del__(self):
        time.sleep(0)


@pytest.fixture
def restless():
    """Threads that take turns and collect garbage as often as can be."""
    threshold, interval = gc.get_threshold(), sys.getswitchinterval()
    gc.set_threshold(20)
    sys.setswitchinterval(1e-6)
    yield
    gc.set_threshold(*threshold)
    sys.setswitchinterval(interval)


def test_threads_read_code_at_once(restless):
    failed = []

    def read():
        try:
            for _ in range(200):
                Yielding()
                parse(CODE_PROBLEM.code.text * 5)
        except SystemError as error:
            failed.append(error)

    threads = [threading.Thread(target=read) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
