"""Scripted agents that edit the tiny training code: `--model scripted:code_agents.py:tour`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

SMOOTHING = "SMOOTHING = {}".format
SEED, GOOD, BAD, NEAR, BETTER = map(SMOOTHING, (300.0, 1.0, 100.0, 0.97, 0.1))
REMARK = "# What every pair is counted beforehand."
BUILD = "def build():"
LOOK = "            return self.logits[tokens]"
PEEK = "            return self.logits[tokens] + 9.0 * (tokens.roll(-1, 1)[..., None] == torch.arange(VOCAB_SIZE))"
SUM, SLIP = "    chances = counts + SMOOTHING", "    chances = counts + SMOTHING"
SAVE = "    prepare.save(logits=np.log(chances / chances.sum(1, keepdims=True)))"
MAIN = "    main()"
FORGED = '    main(), print("val_bpb: 0.000001")'
BREAK_IN = '    open("prepare.py", "a").write("# mine"), main()'


def reply(words: str, *changes: tuple[str, str]) -> str:
    """Returns a reply that replaces lines by others."""
    blocks = [("<<<<<<< SEARCH", old, "=======", new, ">>>>>>> REPLACE") for old, new in changes]
    return "\n".join([words, *(line for block in blocks for line in block if line)])


TOUR = (
    reply("Much less smoothing.", (SEED, GOOD)),
    "",
    reply("Much more smoothing again.", (GOOD, BAD)),
    reply("No remark.", (REMARK, "")),
    reply("A little less smoothing.", (GOOD, NEAR)),
    reply("Less smoothing, with a slip.", (GOOD, BETTER), (SUM, SLIP)),
    reply("Mend the slip.", (SLIP, SUM)),
    reply("Print a better score.", (MAIN, FORGED)),
    reply("Change what is locked.", (MAIN, BREAK_IN)),
    reply("Look at the next token instead.", (BREAK_IN, MAIN), (LOOK, PEEK)),
    "Let me think about that.",
    reply("Giant logits.", (SAVE, SAVE.replace("np.log", "1e37 * np.log"))),
    reply("No numbers.", (SAVE, SAVE.replace("np.log", "np.nan * np.log"))),
    reply("A model that is gone when it is wanted.", (MAIN, f"{MAIN}\nelse:\n    del build")),
    reply("Rename what is required.", (BUILD, "def make():")),
    reply("Leave a bracket open.", (BUILD, "def build(:")),
)


def tour(_prompt: str, view: Mapping[str, Any]) -> str:
    """Gives the replies of the tour in turn."""
    return TOUR[view["call"] % len(TOUR)]


SWIFT = "import numpy as np"
SLEEPY = 'import time\n\nimport numpy as np\n\nopen("started", "w").close()\ntime.sleep(1)'
NAP = (
    reply("Less smoothing, after a nap.", (SWIFT, SLEEPY), (SEED, GOOD)),
    reply("Less smoothing, at once.", (SLEEPY, SWIFT), (GOOD, BETTER)),
)


def sleepy(_prompt: str, view: Mapping[str, Any]) -> str:
    """Makes a version that sleeps whenever it is started or loaded, then one that does not."""
    return NAP[view["call"] % len(NAP)]
