"""Prints what one turn of HOLLM takes on a served model: its questions sent together, beside one after the other.

Run as `python bench/hollm_serving.py [--model NAME] [--repeats N] [--best N] [--recent N]`. A turn asks about 5 cells
of hartmann6, 5 candidates in each, with 25 trials of history, as in the middle of a run: the turn before it was asked
on the same server, and its four trials are the last of the history. Both ways ask the same questions but for the name
of the task in the description, so that neither finds the other's prompts in the server's cache: what is found there is
what the prompts of a turn share with each other and with those of the turn before. The first repeat warms up and is not
counted.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import statistics
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from agentopt.ledger import read_ledger
from agentopt.llm import ModelSettings, open_gateway
from agentopt.llm.models import pull
from agentopt.llm.vllm import Server, ServerOptions, ensure_server
from agentopt.optimizers.hollm import Hollm, HollmOptions
from agentopt.protocols import Problem
from agentopt.task import load_task
from agentopt.trial import Origin, Trial

HISTORY = 25
TOGETHER = 8


@dataclass(frozen=True)
class Turn:
    """What a turn took."""

    seconds: float
    calls: int
    prompt: int
    """Tokens of all prompts."""
    completion: int
    cached: int
    """Tokens of prompts that the server had in its cache."""
    accepted: int


def turn(server: Server, name: str, concurrency: int, options: HollmOptions, folder: Path) -> Turn:
    """Asks the questions of one turn; `name` makes its prompts new to the server."""
    task = load_task("hartmann6")
    problem = Problem(task.space, (replace(task.objectives[0], name=name),), f"The task {name}. {task.describe()}", 50)
    settings = ModelSettings(
        name=server.served_name,
        base_url=server.base_url,
        max_tokens=options.reply_tokens,
        temperature=options.temperature,
        concurrency=concurrency,
    )
    rng = np.random.default_rng(0)
    with contextlib.closing(open_gateway(settings, folder, 0, print)) as gateway:
        search = Hollm(problem, options, np.random.default_rng(1), gateway)
        for number in range(HISTORY - options.batch):
            params = task.space.sample(rng)
            search.tell(Trial(number, params, task.evaluate(params), Origin.RANDOM))
        for number, one in enumerate(search.ask(options.batch), HISTORY - options.batch):
            search.tell(Trial(number, one.params, task.evaluate(one.params), one.origin, one.token))
        asked = len(read_ledger(folder))
        before, start = server.metrics(), time.perf_counter()
        (suggestion,) = search.ask(1)
        seconds, after = time.perf_counter() - start, server.metrics()
    exchanges = [exchange for exchange in read_ledger(folder)[asked:] if exchange.status != "error"]
    return Turn(
        seconds,
        len(exchanges),
        int(after["prompt_tokens"] - before["prompt_tokens"]),
        sum(exchange.completion_tokens for exchange in exchanges),
        int(after["prefix_cache_hits"] - before["prefix_cache_hits"]),
        suggestion.note["pool"].get("accepted", 0),
    )


def line(words: str, one: Turn) -> str:
    """Returns a turn in words."""
    return (
        f"{words:32s} {one.seconds:6.2f} s  {one.calls:2d} calls  {one.prompt:6d} prompt tokens,"
        f" {one.cached / one.prompt:4.0%} from the cache  {one.completion:5d} written  {one.accepted:2d} candidates"
    )


def main() -> None:
    """Prints a line for each turn, and the medians."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="smollm2-135m")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--best", type=int, default=HollmOptions().best)
    parser.add_argument("--recent", type=int, default=HollmOptions().recent)
    given = parser.parse_args()
    options = HollmOptions(initial=0, best=given.best, recent=given.recent)
    own = ServerOptions(extra=("--seed", str(os.getpid())))  # a server that nobody else asks meanwhile
    with (
        tempfile.TemporaryDirectory() as scratch,
        ensure_server(pull(given.model), log=Path(scratch) / "vllm.log", options=own) as server,
    ):
        ratios, shares = [], []
        for repeat in range(given.repeats + 1):
            found = {}
            for concurrency in (1, TOGETHER):
                name = f"h{repeat}x{concurrency}x{time.time_ns() % 1_000_000}"
                found[concurrency] = turn(server, name, concurrency, options, Path(scratch) / name)
                words = "one after the other" if concurrency == 1 else f"{concurrency} at a time"
                print(
                    line(f"{'warm-up' if repeat == 0 else f'turn {repeat}'}, {words}", found[concurrency]), flush=True
                )
            if repeat:
                ratios.append(found[TOGETHER].seconds / found[1].seconds)
                shares += [one.cached / one.prompt for one in found.values()]
        print(f"together / one after the other: median {statistics.median(ratios):.2f} of {given.repeats}")
        print(f"prompt tokens from the cache: median {statistics.median(shares):.0%}")


if __name__ == "__main__":
    main()
