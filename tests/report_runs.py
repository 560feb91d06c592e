"""Run folders for the tests of reports and exports."""

from __future__ import annotations

from dataclasses import asdict

import numpy as np

from agentopt.journal import Journal
from agentopt.ledger import Exchange, Ledger
from agentopt.protocols import Objective
from agentopt.space import Choice, Float, Int, SearchSpace
from agentopt.trial import Origin, Outcome, Status, Suggestion

EVIL = "</script><script>window.hacked=1</script><img src=x onerror='window.hacked=1'>&amp;\"'`"
SPACE = SearchSpace(
    (
        Float("rate", 1e-4, 1.0, log=True, default=0.01),
        Float("decay", 0.0, 1.0),
        Int("width", 4, 64),
        Int("batch", 8, 256, powers_of=2),
        Int("steps", 0, 100, step=10),
        Choice("kind", ("plain", EVIL, True, 3)),
    )
)
LOSS = (Objective("loss"),)


def write_run(
    folder, trials=60, *, objectives=LOSS, method="centaur", pending=0, stopped="trials", evil=EVIL, seed=1, space=SPACE
):
    """Writes a run: CMA-ES, a model, its fallback and failures of every kind; foreign texts are `evil`."""
    rng = np.random.default_rng(seed)
    header = {
        "method": method,
        "task": f"toy {evil}",
        "seed": seed,
        "space": space.to_json(),
        "objectives": [asdict(objective) for objective in objectives],
        "options": {"ratio": evil},
        "budget": {"trials": trials, "seconds": None},
        "workers": 1,
        "model": {"name": f"model {evil}"},
        "started": "2026-01-02T03:04:05+00:00",
    }
    with Journal(folder, header) as journal:
        ledger = Ledger(folder)
        call = 0
        for i in range(trials + pending):
            origin = Origin.BASELINE if i == 0 else Origin.LLM if i % 7 == 3 else Origin.CMAES
            note = {"generation": i // 8, "slot": i % 8}
            if origin is Origin.LLM:
                bad = call % 3 == 2
                status = "invalid" if bad else "ok"
                why = {"reason": f"no JSON: {evil}"} if bad else {"issues": ("clipped:rate", evil)}
                texts = (f"prompt {call} {evil}", f"reply {call} {evil} \ud800")
                costs = {"prompt_tokens": 100 + call, "completion_tokens": 20, "seconds": 0.25}
                ledger.append(Exchange(call, status, *texts, "m", {"temperature": 0.7}, **why, **costs))
                origin = Origin.FALLBACK if bad else origin
                note |= {"calls": [call], "reason": evil}
                call += 1
            params = space.sample(rng)
            journal.asked(1, [Suggestion(params, origin, i, note)], [params], t=float(i), seconds=0.3)
            if i < trials:
                journal.finished(i, _outcome(i, params, objectives, evil), seconds=0.5, t=i + 0.75)
        ledger.append(Exchange(call, "error", "p", "", "m", reason="timeout: 3 s"))
        ledger.close()
        if stopped:
            journal.stopped(stopped, t=float(trials))
    return folder


def _outcome(i, params, objectives, evil):
    kinds = [Status.OOM, Status.FAILED, Status.TIMEOUT, Status.INVALID, Status.PRUNED]
    if i % 6 == 5:
        return Outcome(kinds[i // 6 % len(kinds)], error=f"Traceback\n{evil} \ud800")
    value = abs(float(params.get("decay", 0.5)) - 0.3) + 0.01
    values = [value, *(1 - value + 0.01 * n for n in range(1, len(objectives)))]
    return Outcome(Status.COMPLETE, tuple(values), {"size": 3.0 * i, f"=m {evil}": 1.0})
