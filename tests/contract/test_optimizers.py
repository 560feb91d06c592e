import itertools

import numpy as np
import pytest

from agentopt.errors import UsageError
from agentopt.llm import ModelSettings
from agentopt.llm.gateway import Gateway
from agentopt.llm.scripted import ScriptedBackend
from agentopt.optimizers import METHODS, load_method
from agentopt.testing.contracts import OPTIMIZER_CHECKS, PROBLEMS
from agentopt.testing.models import uniform

VARIANTS = [
    *((name, {}) for name in METHODS),
    ("tpe", {"multivariate": False}),
    ("tpe", {"group": True, "failed": "ignore", "n_startup_trials": 2}),
    ("tpe", {"constant_liar": False, "failed": 100, "n_startup_trials": 0}),
    *(("centaur", {"sampler": sampler, "ratio": 0.5, "warmup": 2}) for sampler in ("incumbent", "uniform", "advisor")),
    ("centaur", {"preset": "paper", "warmup": 2}),
    ("centaur", {"injection": "none", "duplicates": "run", "popsize": 6}),
    ("cmaes", {"start": "centre", "choices": "uniform"}),
    ("llm", {"sampler": "incumbent", "initial": 3}),
    ("local", {"initial": 0, "move": 1.0, "step": 3.0, "keep": 0.0}),
]


def _label(variant):
    name, options = variant
    return "-".join([name, *(f"{k}={v}" for k, v in options.items())])


CASES = [(variant, problem) for variant in VARIANTS for problem in (("mixed", "choices") if variant[1] else PROBLEMS)]


@pytest.mark.parametrize("check", OPTIMIZER_CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize(("variant", "problem"), CASES, ids=lambda x: x if isinstance(x, str) else _label(x))
def test_contract(variant, check, problem, tmp_path):
    name, given = variant
    method = load_method(name)
    options = method.Options(**given)
    folders = itertools.count()

    def build(problem, seed):
        gateway = ()
        if options.needs_model:
            backend, settings = ScriptedBackend("scripted:uniform", uniform), ModelSettings(name="scripted:uniform")
            gateway = (Gateway(backend, tmp_path / str(next(folders)), settings, seed),)
        return method(problem, options, np.random.default_rng(seed), *gateway)

    check(build, PROBLEMS[problem])


def test_an_unknown_method_names_the_nearest():
    with pytest.raises(UsageError, match="Did you mean 'sobol'"):
        load_method("soobl")
    with pytest.raises(UsageError, match="Cannot import"):
        load_method("no_such_module_here:Thing")
