"""Prints how long `import agentopt` and `agentopt --help` take: the median of several fresh processes.

Run as `make bench`, or `python bench/startup.py`.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time

RUNS = 7
COMMANDS = {
    "python -c pass": ["-c", "pass"],
    "import agentopt": ["-c", "import agentopt"],
    "agentopt --help": ["-m", "agentopt", "--help"],
}


def main() -> None:
    """Prints the medians; the interpreter's own start is the first line."""
    for name, arguments in COMMANDS.items():
        times = []
        for _ in range(RUNS + 1):
            start = time.perf_counter()
            subprocess.run([sys.executable, *arguments], stdout=subprocess.DEVNULL, check=True)
            times.append(time.perf_counter() - start)
        print(f"{name:18s} median {statistics.median(times[1:]):.3f} s of {RUNS}")


if __name__ == "__main__":
    main()
