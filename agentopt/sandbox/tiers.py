"""Says which tiers work on this machine."""

from __future__ import annotations

import threading
from functools import cache
from pathlib import Path

from agentopt.sandbox import bubblewrap, landlock, seccomp
from agentopt.sandbox.values import Tier


@cache
def why_not(tier: Tier) -> str:
    """Returns why a tier cannot be used here and the remedy, or nothing where it can; it is tried once a process."""
    if not Path(f"/proc/self/task/{threading.get_native_id()}/children").exists():
        return "/proc does not list the children of processes: use a kernel with CONFIG_PROC_CHILDREN"
    if tier is Tier.PROCESS:
        return ""
    if not seccomp.supported():
        return "the system calls of this processor are not known here: only x86_64 and aarch64 are"
    return bubblewrap.why_not() if tier is Tier.BUBBLEWRAP else landlock.why_not()
