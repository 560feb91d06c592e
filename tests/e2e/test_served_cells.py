"""One turn of HOLLM on the served model: the prompts of a turn share their text, and the server makes use of it."""

from __future__ import annotations

import contextlib

import numpy as np
import pytest

from agentopt.ledger import read_ledger
from agentopt.llm import ModelSettings, open_gateway
from agentopt.optimizers.hollm import Hollm, HollmOptions
from agentopt.protocols import Problem
from agentopt.task import load_task
from agentopt.trial import Origin, Trial


@pytest.mark.served
def test_most_tokens_of_a_turns_prompts_come_from_the_servers_cache(served_model, tmp_path):
    """Five prompts that are sent at once: at most four fifths can be shared, and half must be."""
    task, rng = load_task("hartmann6"), np.random.default_rng(0)
    problem = Problem(task.space, task.objectives, f"Nobody has asked about {tmp_path} before. {task.describe()}", 50)
    settings = ModelSettings(name=served_model.served_name, base_url=served_model.base_url, max_tokens=100)
    options = HollmOptions(initial=0, candidates=1, capacity=2, best=3)
    with contextlib.closing(open_gateway(settings, tmp_path, 0, print)) as gateway:
        search = Hollm(problem, options, np.random.default_rng(1), gateway)
        for number in range(12):
            params = task.space.sample(rng)
            search.tell(Trial(number, params, task.evaluate(params), Origin.RANDOM))
        before = served_model.metrics()
        (suggestion,) = search.ask(1)
        after = served_model.metrics()
    exchanges = read_ledger(tmp_path)
    first = sum(e.prompt_tokens for e in exchanges if e.repairs is None)
    repairs = sum(e.prompt_tokens for e in exchanges if e.repairs is not None)
    assert sum(e.repairs is None for e in exchanges) == 5
    hits = after["prefix_cache_hits"] - before["prefix_cache_hits"]
    # What a repair repeats is cached too: as if all of it were, it says nothing of what the five prompts share.
    assert (hits - repairs) / first > 0.5, (hits, repairs, first)
    assert suggestion.note["pool"]["asked"] == 5
