"""Runs one version of sandboxes/nanolm on several seeds: mean and spread of val_bpb, and what it cost.

python bench/nanolm_seeds.py --seeds 0:5 --budget "250k tokens" --set VALUE_EMBEDDINGS=False
"""

import argparse
import ast
import os
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from agentopt.code.literals import write_literals
from agentopt.lm.task import load_code_task
from agentopt.trial import Edit

FOLDER = Path(__file__).parents[1] / "sandboxes" / "nanolm"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", default="0:5")
    parser.add_argument("--budget", default="250k tokens")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE")
    given = parser.parse_args()
    task = load_code_task("nanolm", FOLDER, {"profile": "cpu", "train_budget": given.budget})
    values = {}
    for item in given.set:
        name, value = item.split("=", 1)
        values[name] = ast.literal_eval(value)
    edit = Edit(write_literals(task.code.text, values))
    first, last = map(int, given.seeds.split(":"))
    print(f"{task.budget}, {given.set or 'as it stands'}, {os.cpu_count()} cores", flush=True)
    bpb, cpu = [], []
    for seed in range(first, last):
        begun = time.perf_counter()
        sys.stdout, printed = open(os.devnull, "w"), sys.stdout  # noqa: SIM115, PTH123
        outcome = task.evaluate({}, seed, replace(edit, replicate=seed))
        sys.stdout = printed
        if not outcome.values:
            raise SystemExit(f"seed {seed}: {outcome.status} {outcome.error}")
        bpb.append(outcome.values[0])
        cpu.append(outcome.metrics["cpu_seconds"])
        steps, wall = outcome.metrics["train_steps"], time.perf_counter() - begun
        print(f"seed {seed}  val_bpb {bpb[-1]:.5f}  {steps:.0f} steps  {cpu[-1]:.1f} CPU s  {wall:.0f} s", flush=True)
    std = np.std(bpb, ddof=min(1, len(bpb) - 1))
    print(f"mean {np.mean(bpb):.4f}  std {std:.4f}  CPU s {np.mean(cpu):.1f}  load {os.getloadavg()[0]:.0f}")


if __name__ == "__main__":
    main()
