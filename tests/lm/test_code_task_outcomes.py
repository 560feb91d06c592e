"""How a version of the code may end: each end has its status and its cause, and harms no other trial of the run."""

import pytest
from tiny_runs import TINY, edited, indented, processes_of, tiny_home

from agentopt.executors.local import LocalExecutor
from agentopt.protocols import Job
from agentopt.trial import Edit, Status

pytestmark = [pytest.mark.thorough, pytest.mark.xdist_group("code-outcomes")]

ENDING_HEAD = '\n\nif __name__ == "__main__":\n'
ENDING = f"{ENDING_HEAD}    main()\n"
HONEST = edited(("SMOOTHING = 300.0", "SMOOTHING = 0.1"))


class Run:
    """A run folder and its workers: a patient one, and one with limits of two and three seconds."""

    def __init__(self, folder, corpus):
        self.folder, self.temporary, self._count = folder, folder / "tmp", 0
        self.temporary.mkdir(parents=True)
        self._workers = {
            profile: LocalExecutor(
                str(TINY),
                {"corpus": str(corpus), "profile": profile},
                workers=1,
                timeout=110.0,
                folder=folder / "trials",
            )
            for profile in ("cpu", "hasty")
        }

    def outcome(self, text, profile="cpu"):
        worker = self._workers[profile]
        worker.submit(Job(self._count, {}, 0, Edit(text, None, "a test")))
        self._count += 1
        (done,) = worker.wait(None)
        return done.outcome

    def left(self):
        """Returns what trials have left behind: their folders, and processes other than the workers."""
        folders = [*(self.folder / "worktrees").iterdir(), *self.temporary.iterdir()]
        return [*folders, *(line for line in processes_of(self.folder) if "agentopt.executors.worker" not in line)]

    def close(self):
        for worker in self._workers.values():
            worker.close()


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("outcomes")
    with tiny_home(folder) as corpus, pytest.MonkeyPatch.context() as patch:
        patch.setenv("TMPDIR", str(folder / "run" / "tmp"))
        made = Run(folder / "run", corpus)
        yield made
        made.close()


@pytest.fixture(scope="module")
def alone(run):
    """What the honest version is worth before anything has gone wrong."""
    outcome = run.outcome(HONEST)
    assert outcome.status is Status.COMPLETE, outcome.error
    return outcome.values


def in_model(code):
    """Returns the honest program whose model, when it is built to be scored, does something else first."""
    return edited(("    import torch\n", f"    import torch\n\n{indented(code)}\n"), text=HONEST)


def before(code, text=HONEST):
    """Returns the honest program, which does something else before it trains."""
    return edited((ENDING, f"{ENDING_HEAD}{indented(code)}\n    main()\n"), text=text)


def after(code, text=HONEST):
    """Returns the honest program, which does something else when it has saved its weights."""
    return edited((ENDING, f"{ENDING}{indented(code)}\n"), text=text)


HOG = "import time\nhog = b'1' * (1 << 30)\ntime.sleep(30)"
SIGNAL = "import os\nos.kill(os.getpid(), 11)"
SLEEP = "import time\ntime.sleep(60)"
FLOOD = "import sys\nfor _ in range(100):\n    sys.stderr.write('x' * 999_999 + '\\n')"
FILL = """
import time
with open("full", "wb") as file:
    for _ in range(64):
        file.write(bytes(1 << 20))
        file.flush()
        time.sleep(0.02)
"""
NO_ROWS = "next(prepare.batches(1, 0), None)"
TRAININGS = {
    "a signal": (before(SIGNAL), "cpu", Status.FAILED, "failed: killed by SIGSEGV"),
    "memory": (before(HOG), "cpu", Status.OOM, "oom: used more than 667.6 MiB of memory"),
    "time": (before(SLEEP), "hasty", Status.TIMEOUT, "timeout: still running after 3 s"),
    "disk": (before(FILL), "cpu", Status.FAILED, "disk: wrote more than 7.629 MiB"),
    "output": (before(FLOOD), "cpu", Status.FAILED, "output: printed more than 64 MiB"),
    "an exit": (before("raise SystemExit(3)"), "cpu", Status.FAILED, "failed: exited with code 3"),
    "an error": (before("unknown"), "cpu", Status.FAILED, 'File "train.py", line 38, in <module>'),
    "nonsense, waiting": (before(f"{NO_ROWS}\n{SLEEP}"), "cpu", Status.INVALID, "a batch that there cannot be"),
    "nonsense, leaving": (before(f"{NO_ROWS}\nraise SystemExit('no')"), "cpu", Status.INVALID, "cannot be\nno"),
    "no data": (edited(("prepare.batches(counts.size, ROWS)", "()")), "cpu", Status.FAILED, "took no batch"),
    "a smaller model declared": (
        edited(("counts.size", "9")),
        "cpu",
        Status.INVALID,
        "90000 parameters and declared 9",
    ),
}
"""What a training does: the program, the limits it has, the status, and a part of the error."""


COSTLY = ("a signal", "memory", "time", "disk", "output")
"""After these the run goes on with a trial that has nothing wrong."""


@pytest.mark.parametrize("name", TRAININGS)
def test_a_training_that_ends_badly_says_why_and_harms_no_other(name, run, alone):
    text, profile, status, cause = TRAININGS[name]
    outcome = run.outcome(text, profile)
    assert outcome.status is status, outcome
    assert cause in outcome.error
    if name in COSTLY:
        assert run.outcome(HONEST).values == alone
    assert run.left() == []


MODELS = {
    "a signal": (in_model(SIGNAL), "cpu", Status.FAILED, "crash: killed by SIGSEGV"),
    "memory": (in_model(HOG), "cpu", Status.OOM, "crash: used more than 667.6 MiB of memory"),
    "an allocation": (in_model("bytearray(1 << 40)"), "cpu", Status.OOM, "crash: ran out of memory"),
    "time": (in_model(SLEEP), "hasty", Status.TIMEOUT, "hang: the model took too long"),
    "output": (in_model(FLOOD), "cpu", Status.FAILED, "crash: printed more than 64 MiB"),
    "an exit": (in_model("raise SystemExit(0)"), "cpu", Status.FAILED, "crash: the model server ended"),
}
"""What a model does when its weights are to be scored."""


@pytest.mark.parametrize("name", MODELS)
def test_a_model_that_ends_badly_says_why(name, run, alone):
    text, profile, status, cause = MODELS[name]
    outcome = run.outcome(text, profile)
    assert outcome.status is status, outcome
    assert cause in outcome.error
    assert run.left() == []


LATER = """
import os, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        time.sleep(0.2)
        for _ in range(600):
            open("weights.safetensors", "wb").write(b"forged")
            time.sleep(0.1)
    os._exit(0)
"""


def test_children_that_outlive_their_trial_are_ended_with_it(run, alone):
    """A child that holds the feed's channel, one that comes when the weights are saved, and those of the servers."""
    assert run.outcome(before(LATER, after(LATER, in_model(LATER)))).values == alone
    assert run.left() == []


WEIGHTS = {
    "nothing": ("", "is not taken: missing"),
    "a link": ("os.symlink(SAVED, WEIGHTS)", "is not taken: a symbolic link"),
    "a hard link": ("os.link(SAVED, WEIGHTS)", "is not taken: a hard link"),
    "a pipe": ("os.mkfifo(WEIGHTS)", "is not taken: not a regular file"),
    "a folder": ("os.mkdir(WEIGHTS)", "is not taken: not a regular file"),
    "too large": ("open(WEIGHTS, 'wb').truncate(4_000_001)", "is not taken: too large"),
    "rubbish": ("open(WEIGHTS, 'wb').write(b'rubbish')", "is no safetensors file"),
}
"""What a training leaves in the place of its weights."""


@pytest.mark.parametrize("name", WEIGHTS)
def test_what_only_looks_like_weights_is_not_taken(name, run, alone):
    code, cause = WEIGHTS[name]
    there = "import os\nWEIGHTS, SAVED = 'weights.safetensors', 'saved'\nos.rename(WEIGHTS, SAVED)\n"
    outcome = run.outcome(after(there + code))
    assert outcome.status is Status.FAILED
    assert cause in outcome.error
