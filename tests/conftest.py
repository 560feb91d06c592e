"""Fixtures that several test folders share, and hypothesis without deadlines: the machines are shared."""

from hypothesis import settings

pytest_plugins = ["conftest_served"]

settings.register_profile("agentopt", deadline=None)
settings.load_profile("agentopt")
