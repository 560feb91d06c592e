"""Where agentopt finds its data folders and keeps its cache."""

from __future__ import annotations

import os
import sys
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent


def cache_dir(*parts: str) -> Path:
    """Returns a folder of the cache: in `$AGENTOPT_CACHE`, `$XDG_CACHE_HOME/agentopt` or `~/.cache/agentopt`."""
    root = os.environ.get("AGENTOPT_CACHE")
    if root is None:
        root = str(Path(os.environ.get("XDG_CACHE_HOME", str(Path.home() / ".cache"))) / "agentopt")
    return Path(root).joinpath(*parts)


def own_python(*arguments: str) -> list[str]:
    """Returns a command of this Python that finds no modules in the working directory: it may hold a `types.py`."""
    return [sys.executable, "-P", *arguments]


def data_dirs(kind: str) -> list[Path]:
    """Returns the folders that may hold `kind` (`prompts`, `tasks`, `sandboxes`), the first one wins.

    The user's working directory comes first, then the wheel's copy, then the checkout that the package runs from.
    """
    places = [Path.cwd() / kind, PACKAGE / "_data" / kind, PACKAGE.parent / kind]
    seen: list[Path] = []
    for place in places:
        if place.is_dir() and place.resolve() not in [p.resolve() for p in seen]:
            seen.append(place)
    return seen
