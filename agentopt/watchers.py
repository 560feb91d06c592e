"""Those who watch a run as it goes on: a fault of theirs is said once, and the run goes on without them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

Seen = TypeVar("Seen")


class Watchers(Generic[Seen]):
    """Shows several watchers what there is to see; one that raises is left out from then on."""

    def __init__(self, watchers: Sequence[Callable[[Seen], None]], say: Callable[[str], None]) -> None:
        """`say` gets a line on a watcher that is left out."""
        self._watchers, self._say = list(watchers), say

    def __call__(self, seen: Seen) -> None:
        """Takes what there is to see."""
        for watcher in list(self._watchers):
            try:
                watcher(seen)
            except Exception as error:
                self._watchers.remove(watcher)
                name = getattr(watcher, "__name__", type(watcher).__name__)
                self._say(f"{name} is left out from now on, the run goes on: {type(error).__name__}: {error}")
