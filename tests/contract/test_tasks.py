import importlib.util

import pytest

from agentopt.task import load_task, task_names
from agentopt.testing.contracts import TASK_CHECKS

NEED_SKLEARN = {"svm-breast-cancer", "mlp-digits"}


@pytest.mark.parametrize("check", TASK_CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("name", task_names())
def test_contract(name, check):
    if name in NEED_SKLEARN and importlib.util.find_spec("sklearn") is None:
        pytest.skip("needs scikit-learn")
    check(load_task(name))
