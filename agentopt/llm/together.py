"""Calls that run side by side in threads, for no longer than there is time."""

from __future__ import annotations

import math
import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, wait
from contextlib import suppress
from typing import TypeVar

from agentopt.errors import OutOfTime

T = TypeVar("T")


def together(calls: Sequence[Callable[[], T]], at_a_time: int, seconds: float) -> list[T]:
    """Returns what the calls return, in their order; raises OutOfTime where that takes more than `seconds`.

    Neither that nor an interrupt waits for the calls that are under way: their threads end with the process.
    """
    futures: list[Future[T]] = [Future() for _ in calls]
    todo = deque(zip(futures, calls, strict=True))

    def work() -> None:
        with suppress(IndexError):
            while True:
                future, call = todo.popleft()
                try:
                    future.set_result(call())
                except BaseException as error:
                    future.set_exception(error)

    for _ in range(min(len(calls), at_a_time)):
        threading.Thread(target=work, daemon=True).start()
    try:
        if wait(futures, None if math.isinf(seconds) else max(0.0, seconds)).not_done:
            raise OutOfTime("The run's time budget was spent while the language model was asked.")
    finally:
        todo.clear()
    return [future.result() for future in futures]
