"""Fixtures that several test folders share, and hypothesis without deadlines: the machines are shared."""

import os

from hypothesis import settings

# Two workers with a thread for each core would wait for each other; it is read when torch is loaded.
os.environ.setdefault("OMP_NUM_THREADS", "1")

pytest_plugins = ["conftest_served"]

settings.register_profile("agentopt", deadline=None)
settings.load_profile("agentopt")
