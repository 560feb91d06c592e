"""Prints what a sandbox costs: milliseconds to run `true` and an empty Python in each tier, beside a plain start."""

import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable

from agentopt.sandbox import Sandbox, Tier, why_not

REPEATS = 20
PROGRAMS = {"true": ["/bin/true"], "python -I": [sys.executable, "-I", "-c", ""]}


def median_ms(action: Callable[[], object]) -> float:
    seconds = []
    for _ in range(REPEATS):
        begun = time.perf_counter()
        action()
        seconds.append(time.perf_counter() - begun)
    return statistics.median(seconds) * 1000


def main() -> None:
    print(f"{'program':<12}{'tier':<14}{'ms':>8}{'over plain':>12}   (median of {REPEATS})")
    for name, argv in PROGRAMS.items():
        plain = median_ms(lambda argv=argv: subprocess.run(argv, check=True, capture_output=True))
        print(f"{name:<12}{'plain':<14}{plain:>8.1f}")
        for tier in Tier:
            if why_not(tier):
                print(f"{name:<12}{tier:<14}{'-':>8}   {why_not(tier)}")
                continue
            with tempfile.TemporaryDirectory() as work:
                box = Sandbox(work, tier=tier)
                took = median_ms(lambda box=box, argv=argv: box.run(argv, timeout=60))
            print(f"{name:<12}{tier:<14}{took:>8.1f}{took - plain:>12.1f}")


if __name__ == "__main__":
    main()
