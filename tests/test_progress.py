"""What is shown of a run while it goes on."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from agentopt.journal import History
from agentopt.progress import Watcher
from agentopt.trial import Origin, Outcome, Status, Trial


def trial(number, value):
    outcome = Outcome(Status.OOM) if value is None else Outcome(Status.COMPLETE, (value,))
    return Trial(number, {"x": 0.5}, outcome, Origin.RANDOM)


@pytest.mark.parametrize(("direction", "best"), [("minimize", 2), ("maximize", 7)])
def test_each_trial_is_looked_at_once(tmp_path, direction, best):
    objective = {"name": "value", "direction": direction, "reference": None}
    history = History({"objectives": [objective], "budget": {"trials": 9, "seconds": None}, "method": "random"})
    screen = io.StringIO()
    watcher = Watcher(Console(file=screen, width=120), tmp_path)
    history.trials += [trial(0, 5.0), trial(1, None)]  # a run that is resumed has trials at the first look
    watcher(history)
    history.trials[:] = [None, None, trial(2, 7.0), trial(3, 2.0)]
    watcher(history)
    history.trials[:] = [None, None, None, None, trial(4, 3.0)]
    history.stopped = "trials"
    watcher(history)
    assert f"trials 5/9  best {best}  (4 complete, 1 oom)" in screen.getvalue().splitlines()[-1]
