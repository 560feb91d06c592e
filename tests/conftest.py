"""Fixtures that several test folders share."""

pytest_plugins = ["tests.conftest_served"]
