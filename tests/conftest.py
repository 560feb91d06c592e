"""Fixtures that several test folders share, and hypothesis without deadlines: the machines are shared."""

import os
import shutil
from pathlib import Path

import pytest
from hypothesis import settings

# Two workers with a thread for each core would wait for each other; it is read when torch is loaded.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# The size of the terminal that tests run in is none of theirs; workers of xdist are told one where there is none.
for name in ("COLUMNS", "LINES"):
    os.environ.pop(name, None)

# Journals and ledgers wait for the disk at each record: for nothing, where a test throws them away. So the folders of
# tests lie in memory, where there is plenty of it.
MEMORY = Path("/dev/shm")
ENOUGH_BYTES = 4 << 30
if MEMORY.is_dir() and os.access(MEMORY, os.W_OK) and shutil.disk_usage(MEMORY).free >= ENOUGH_BYTES:
    os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(MEMORY))

pytest_plugins = ["conftest_served", "endpoints"]

settings.register_profile("agentopt", deadline=None)
settings.load_profile("agentopt")


@pytest.hookimpl(tryfirst=True)  # before xdist reads the groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keeps the tests that share what a fixture made for their module on one worker of xdist, which makes it once."""
    for item in items:
        made = getattr(item, "_fixtureinfo", None)
        shared = made is not None and any(f.scope == "module" for fs in made.name2fixturedefs.values() for f in fs)
        if shared and item.get_closest_marker("xdist_group") is None:
            item.add_marker(pytest.mark.xdist_group(item.path.name))
