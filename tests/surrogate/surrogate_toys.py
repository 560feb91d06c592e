"""A made-up task whose truth is known."""

import math

from agentopt.space import Choice, Float, Int, SearchSpace
from agentopt.surrogate.fit import Boosting
from agentopt.surrogate.rows import Row
from agentopt.trial import Status

SPACE = SearchSpace((Float("lr", 1e-4, 1.0, log=True), Int("width", 8, 64, powers_of=2), Choice("kind", ("a", "b"))))
QUICK = Boosting(trees=30, depth=3, learning_rate=0.2, members=2)


def row(params):
    if params["width"] == 64 and params["kind"] == "b":
        return Row(params, Status.OOM, None, 10.0 + params["lr"])
    loss = (math.log10(params["lr"]) + 2) ** 2 + 8 / params["width"]
    return Row(params, Status.COMPLETE, loss, 100.0 + params["width"])
