"""Runs of the code agent for the tests of reports: a toy program, a scripted model and a real study, in no time."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from report_runs import EVIL

from agentopt.build import open_run, plan
from agentopt.code.literals import read_literals
from agentopt.outcomes import failure
from agentopt.protocols import Code, Objective
from agentopt.sandbox.repository import REPOSITORY, Repository
from agentopt.space import Float, Int, SearchSpace
from agentopt.trial import Outcome, Status

TEXT = """# A program to be tuned or edited.
DEPTH = 2
RATE = 0.5  # of the learning


def build():
    return DEPTH


def main():
    print(build())
"""
CODE = Code("program.py", TEXT, "Anything may be changed.", ("build", "main"))
SPACE = SearchSpace((Int("DEPTH", 1, 9, default=2), Float("RATE", 0.0, 1.0, default=0.5)))
LOSS = Objective("loss")
LONG = "x" * 100_000
HIDDEN = "\x1b[31m \u202e \u200b"
TRIALS = 12
_HOSTILE = f"""<<<<<<< SEARCH
def main():
=======
# {EVIL}
# -- {HIDDEN}
A = "{LONG}"


def main():
>>>>>>> REPLACE"""


def edit(old, new, words):
    return f"{words}\n<<<<<<< SEARCH\n{old}\n=======\n{new}\n>>>>>>> REPLACE"


def model(_prompt, view):
    """Replies in turn: two edits that help, one that hurts, one that crashes and is mended, a lie, hostile text."""
    depth = f"DEPTH = {int(read_literals(view['text']).values['DEPTH'])}"
    replies = [
        edit(depth, "DEPTH = 4", f"Deeper. {EVIL}"),
        edit("RATE = 0.5  # of the learning", "RATE = 0.2", "Slower."),
        edit(depth, "DEPTH = 1", "Shallow."),
        edit("    return DEPTH", "    return boom", "Break it."),
        f"{edit('    return boom', '    return DEPTH', 'Mend it.')}\n{edit(depth, 'DEPTH = 5', '')}",
        edit("    return DEPTH", "    return 'cheat'", "Cheat."),
        "I would rather not.",
        "I would rather not.",
        f"Hide something.\n{_HOSTILE}",
    ]
    return replies[view["call"]] if view["call"] < len(replies) else edit(depth, "DEPTH = 6", "The right depth.")


@dataclass(frozen=True)
class Toy:
    """A task whose value is read from the numbers in the code; each version is committed as a real task does."""

    run: Path
    objectives: tuple[Objective, ...] = (LOSS,)
    name: str = "toy"
    isolation: str = "inline"
    timeout: None = None
    code: Code = CODE
    space: SearchSpace = SPACE
    count: list[int] = field(default_factory=list)

    def describe(self):
        return "A toy."

    def repair(self, params):
        return dict(params)

    def evaluate(self, params, seed=0, edit=None):
        number = len(self.count)
        self.count.append(number)
        repository = Repository.create(self.run / REPOSITORY, {self.code.file: TEXT})
        text, values = TEXT, dict(params)
        if edit is not None:
            text, values = edit.text, read_literals(edit.text).values
            repository.commit(number, {self.code.file: text}, edit.parent, edit.summary)
        if "boom" in text:
            return failure(Status.FAILED, f"Traceback\n{EVIL} NameError: boom {HIDDEN}")
        if "cheat" in text:
            return failure(Status.INVALID, "not causal: it looked ahead")
        loss = abs(values["DEPTH"] - 6) + abs(values["RATE"] - 0.1) + seed % 1000 / 1e5
        return Outcome(Status.COMPLETE, (self.objectives[0].loss(loss),), {"peak_bytes": float(1 << 29)})


def write_code_run(run, trials=TRIALS, *, method="autoresearch", objective=LOSS, watch=None, **options):
    """Makes a run of a method on the toy program, and returns its folder."""
    settings = {"method": method, "task": "toy", "trials": trials, "options": options}
    if method == "autoresearch":
        settings["model"] = {"name": f"scripted:{__file__}:model"}
    more = {} if watch is None else {"watch": watch}
    toy = Toy(run, (objective,))
    with open_run(plan(settings, task=toy), run, inline=True, **more) as opened:
        opened.execute()
    return run
