"""Calibrates the cost model of sandboxes/nanolm: processor seconds of trainings of many shapes, and a linear fit.

    python bench/nanolm_costs.py [CONFIGURATIONS] [SEED]

Each configuration, drawn from the CPU profile's space, trains with two token budgets; the difference of their processor
seconds is free of start-up. The fit is non-negative and minimises relative errors. The coefficients go into
sandbox.toml by hand, once: a search that follows them must not see them move. Another seed than the one they were
fitted with tests those that stand there.
"""

import os
import sys
import tempfile
import tomllib
from pathlib import Path

import numpy as np
from scipy.optimize import nnls

from agentopt.code.literals import write_literals
from agentopt.lm.budget import Budget, CostModel
from agentopt.lm.dataset import Dataset, load_dataset
from agentopt.lm.training import Profile, train
from agentopt.sandbox import Limits, Sandbox, Tier
from agentopt.space import AtLeast, Choice, Float, Int, SearchSpace

SEED_FOLDER = Path(__file__).parents[1] / "sandboxes" / "nanolm"
BUDGETS = ("16k tokens", "80k tokens")
KINDS = {"int": Int, "float": Float, "choice": Choice}


def space_of(table: dict) -> SearchSpace:
    parameters = []
    for name, fields in table["space"].items():
        kind = KINDS[fields.pop("type", "choice")]
        parameters.append(kind(name=name, **fields))
    return SearchSpace(tuple(parameters), tuple(AtLeast(**rule) for rule in table["repairs"]))


def measure(text: str, dataset: Dataset, profile: Profile, budget: str) -> tuple[float, np.ndarray]:
    """Returns processor seconds, and GFLOP, millions of tokens and steps."""
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder).resolve()
        (work / "train.py").write_text(text)
        readonly = [(SEED_FOLDER / "prepare.py", work / "prepare.py")]
        box = Sandbox(work, tier=Tier.PROCESS, limits=Limits(), readonly=readonly)
        options = {"dataset": dataset, "profile": profile, "cost": CostModel(0, 0, 0), "seed": 0, "timeout": 600.0}
        execution, served = train(box, [sys.executable, "train.py"], budget=Budget.parse(budget), **options)
    if execution.status != "ok":
        raise SystemExit(f"a training failed: {execution.reason} {execution.stderr[-500:]}")
    gflop = 6e-9 * served.parameters * served.tokens
    return execution.cpu_seconds, np.array([gflop, served.tokens / 1e6, served.steps])


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 24
    rng = np.random.default_rng(int(sys.argv[2]) if len(sys.argv) > 2 else 0)
    table = tomllib.loads((SEED_FOLDER / "sandbox.toml").read_text())["profiles"]["cpu"]
    profile = Profile(table["vocab_size"], table["seq_len"])
    dataset, space = load_dataset(table["corpus"], profile.vocab_size), space_of(table)
    source = (SEED_FOLDER / "train.py").read_text()
    seconds, features = [], []
    for number in range(count):
        params = space.sample(rng)
        text = write_literals(source, params)
        (less, few), (more, many) = (measure(text, dataset, profile, budget) for budget in BUDGETS)
        seconds.append(more - less)
        features.append(many - few)
        sizes = {name: params[name] for name in ("DEPTH", "ASPECT_RATIO", "DEVICE_BATCH_SIZE", "TOTAL_BATCH_SIZE")}
        print(f"{number + 1}/{count}  {seconds[-1]:.2f} s  {features[-1].round(3).tolist()}  {sizes}", flush=True)
    y, x = np.array(seconds), np.array(features)
    fitted, _ = nnls(x / y[:, None], np.ones(count))
    print(f"per_gflop = {fitted[0]:.4g}\nper_mtoken = {fitted[1]:.4g}\nper_step = {fitted[2]:.4g}")
    frozen = np.array([table["cost"][name] for name in ("per_gflop", "per_mtoken", "per_step")])
    for name, coefficients in (("this fit", fitted), ("sandbox.toml", frozen)):
        quantiles = np.quantile(np.abs(x @ coefficients / y - 1), [0.5, 0.9, 1.0])
        print("relative error of {}: median {:.0%}, 90 % {:.0%}, largest {:.0%}".format(name, *quantiles))
    print(f"{count} configurations, {os.cpu_count()} cores, load {os.getloadavg()[0]:.0f}")


if __name__ == "__main__":
    main()
