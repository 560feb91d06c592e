"""Calls git so that no configuration, hook or variable it could find makes it do anything else.

Commands get the repository by name and no working tree, so they never read a folder that a trial could write. Their
environment is made here: the user's configuration, identity and `GIT_*` variables are not in it.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from agentopt.errors import JournalError, UsageError

_AUTHOR = "agentopt"
_ADDRESS = "agentopt@localhost"
_VARIABLES = {
    "LC_ALL": "C",
    "HOME": "/nonexistent",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_ATTR_NOSYSTEM": "1",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_NO_REPLACE_OBJECTS": "1",
    "GIT_AUTHOR_NAME": _AUTHOR,
    "GIT_AUTHOR_EMAIL": _ADDRESS,
    "GIT_COMMITTER_NAME": _AUTHOR,
    "GIT_COMMITTER_EMAIL": _ADDRESS,
}
_SETTINGS = {
    "core.hooksPath": os.devnull,
    "core.fsmonitor": "false",
    "core.attributesFile": os.devnull,
    "core.filesRefLockTimeout": "2000",
    "core.fsync": "committed,reference",
    "protocol.allow": "never",
    "submodule.recurse": "false",
    "gc.auto": "0",
    "maintenance.auto": "false",
    "commit.gpgSign": "false",
}
LOCK_SECONDS = 2.0
"""How long git waits for the lock file of a ref, as set above."""


def call_git(folder: Path, *arguments: str, stdin: bytes = b"", date: int = 0) -> bytes:
    """Returns what a git command on the bare repository `folder` printed.

    `date` is the time of a commit that it makes, in seconds since 1970. Raises JournalError with git's own words where
    the command fails, UsageError where git is not installed.
    """
    try:
        from git import Git
    except ImportError as error:
        raise UsageError("Editing code needs git, which is not on the PATH: install it (package `git`).") from error

    stamp = f"@{date} +0000"
    variables = {
        **_VARIABLES,
        "PATH": os.environ.get("PATH", os.defpath),
        "GIT_AUTHOR_DATE": stamp,
        "GIT_COMMITTER_DATE": stamp,
    }
    settings = [word for name, value in _SETTINGS.items() for word in ("-c", f"{name}={value}")]
    # GitPython adds to this process's environment and cannot take from it: `env -i` does.
    command = ["env", "-i", *(f"{name}={value}" for name, value in variables.items())]
    command += [str(Git.GIT_PYTHON_GIT_EXECUTABLE), f"--git-dir={folder}", *settings, *arguments]
    process = Git("/").execute(command, istream=subprocess.PIPE, as_process=True)
    printed, complaint = process.communicate(stdin)
    if process.returncode:
        words = complaint.decode("utf-8", "replace").strip()[-500:] or f"exit code {process.returncode}"
        raise JournalError(f"git {arguments[0]} failed in {folder}: {words}")
    return bytes(printed)
