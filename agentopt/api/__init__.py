"""agentopt from Python: `minimize` for a function, `AskTell` for people who evaluate by themselves.

For example:

    from agentopt import Float, minimize

    result = minimize(lambda p: (p["x"] - 2) ** 2, [Float("x", -5, 5)], method="cmaes", trials=50)
    print(result.value, result.params)

"""

from __future__ import annotations

from agentopt.api.ask_tell import Ask, AskTell
from agentopt.api.result import Result
from agentopt.api.search import minimize

__all__ = ["Ask", "AskTell", "Result", "minimize"]
