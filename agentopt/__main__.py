"""Runs the command line: `python -m agentopt`."""

import sys

from agentopt.cli import main

if __name__ == "__main__":
    sys.exit(main())
