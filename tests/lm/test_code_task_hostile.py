"""Hostile programs as versions of the training code: what each gets, and that what surrounds a trial is untouched."""

import json
import os
from pathlib import Path

import pytest
from tiny_runs import TINY, edited, processes_of, tiny_home

from agentopt.lm.corpora import Split
from agentopt.lm.dataset import load_dataset
from agentopt.lm.task import load_code_task
from agentopt.task import FOLDER_VARIABLE
from agentopt.trial import Edit, Status

PROGRAMS = Path(os.environ.get("AGENTOPT_HOSTILE") or Path(__file__).parents[3] / "shared" / "hostile")
pytestmark = [
    pytest.mark.thorough,
    pytest.mark.xdist_group("code-hostile"),
    pytest.mark.skipif(not PROGRAMS.is_dir(), reason=f"the hostile programs are not at {PROGRAMS}"),
]

CANARY = "SBX_CANARY_API_KEY"
HONEST = edited(("SMOOTHING = 300.0", "SMOOTHING = 0.1"))
NO_BATCH = "the training took no batch"
SPINNING = ("h06_infinite_loop", "h07_ignore_sigterm")
BLOCKED = ("h09", "h10", "h11", "h12", "h16", "h21", "h27", "h31")
"""Programs that say themselves that nothing came of it."""
ALONE = {
    "h01_fork_bomb": ({Status.FAILED}, NO_BATCH),
    "h02_memory_hog": ({Status.OOM, Status.FAILED}, ""),
    "h03_memory_hog_many": ({Status.OOM}, "more than 667.6 MiB of memory"),
    "h06_infinite_loop": ({Status.TIMEOUT}, "still running after 3 s"),
    "h07_ignore_sigterm": ({Status.TIMEOUT}, "still running after 3 s"),
    "h09_write_outside": ({Status.FAILED}, NO_BATCH),
    "h10_read_secrets": ({Status.FAILED}, NO_BATCH),
    "h12_edit_harness": ({Status.FAILED}, NO_BATCH),
    "h14_flood_stdout": ({Status.FAILED}, "output: printed more than 64 MiB"),
    "h15_fill_disk": ({Status.FAILED}, "disk: wrote more than 7.629 MiB"),
    "h21_git_hook": ({Status.FAILED}, NO_BATCH),
    "h25_exit0_no_metric": ({Status.FAILED}, NO_BATCH),
    "h27_open_10k_files": ({Status.FAILED}, NO_BATCH),
    "h31_proc_sys": ({Status.FAILED}, NO_BATCH),
}
"""The statuses that a program may get which does nothing but attack, and a part of the error."""
AFTER_TRAINING = {
    "h16_sparse_checkpoint": "is no safetensors file",
    "h24_pickle_bomb": "is no safetensors file",
    "h26_delete_worktree": "weights.safetensors is not taken: missing",
}
"""Attacks on the weights that a training has saved, and a part of the error."""
BESIDE_TRAINING = (
    "h08_daemon",
    "h11_read_val_fake_metric",
    "h17_nan_metric",
    "h18_two_metrics",
    "h30_shadow_module",
)
"""Attacks on the score: after a training, and again in the model's servers, which import the same file."""


class Place:
    """A run with what an attacker would like to have beside it."""

    def __init__(self, folder, corpus):
        self.folder, self.corpus = folder, corpus
        names = (
            "home/.bashrc",
            "home/.ssh/id_canary",
            "main/README.md",
            "main/.git/hooks/x",
            "sibling/train.py",
            "harness",
        )
        self._kept = [folder / name for name in names]
        for path in self._kept:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("original\n")
        self._count = 0

    def layout(self):
        """Returns what the attacker is assumed to know of the machine."""
        work, dataset = self.folder / "run" / "worktrees" / f"t{self._count}", load_dataset(str(self.corpus), 300)
        names = ("home", "main", "sibling", "harness", "marker")
        known = {name: str(self.folder / name) for name in names}
        val = str(dataset.folder / f"{Split.VAL}.npy")
        return {**known, "val": val, "work": str(work), "out": str(work), "launcher_pid": os.getpid()}

    def program(self, name):
        """Returns a hostile program as one file; a checkpoint that it leaves is called weights."""
        library, program = ((PROGRAMS / f"{part}.py").read_text() for part in ("_lib", name))
        program = program.replace("from _lib import *", "pass").replace("/checkpoint", "/weights.safetensors")
        return f"import os\nos.environ['SBX_LAYOUT'] = {json.dumps(self.layout())!r}\n{library}\n{program}"

    def evaluate(self, text, monkeypatch, profile="cpu"):
        monkeypatch.setenv(FOLDER_VARIABLE, str(self.folder / "run" / "trials" / str(self._count)))
        self._count += 1
        task = load_code_task("tiny", TINY, {"corpus": str(self.corpus), "profile": profile})
        return task.evaluate({}, 0, Edit(text, None, "an attack"))

    def untouched(self):
        kept = all(path.read_text() == "original\n" for path in self._kept)
        hooks = [path.name for path in (self.folder / "main" / ".git" / "hooks").iterdir()]
        return kept and hooks == ["x"] and not (self.folder / "marker").exists()


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("hostile")
    with tiny_home(folder) as corpus, pytest.MonkeyPatch.context() as patch:
        patch.setenv(CANARY, "secret")
        yield Place(folder, corpus)


@pytest.fixture(scope="module")
def honest(place):
    with pytest.MonkeyPatch.context() as patch:
        outcome = place.evaluate(HONEST, patch)
    assert outcome.status is Status.COMPLETE, outcome.error
    return outcome.values


@pytest.mark.parametrize("name", ALONE)
def test_an_attack_is_a_failed_trial_with_its_cause(name, place, monkeypatch, capsys):
    statuses, cause = ALONE[name]
    outcome = place.evaluate(place.program(name), monkeypatch, "hasty" if name in SPINNING else "cpu")
    printed = capsys.readouterr().out
    assert outcome.status in statuses, outcome
    assert cause in outcome.error
    if name.startswith(BLOCKED):
        assert "ATTACK blocked" in printed
    if name == "h01_fork_bomb":
        assert int(printed.partition("children=")[2].split()[0]) < 300
    assert place.untouched()
    assert not list((place.folder / "run" / "worktrees").iterdir())
    assert processes_of(place.folder) == []


@pytest.mark.parametrize("name", AFTER_TRAINING)
def test_an_attack_on_the_weights_is_a_failed_trial(name, place, monkeypatch, capsys):
    outcome = place.evaluate(f"{HONEST}\n\n{place.program(name)}", monkeypatch)
    assert outcome.status is Status.FAILED
    assert AFTER_TRAINING[name] in outcome.error
    if name.startswith(BLOCKED):
        assert "ATTACK blocked" in capsys.readouterr().out
    assert place.untouched()
    assert not list((place.folder / "run" / "worktrees").iterdir())


@pytest.mark.parametrize("name", BESIDE_TRAINING)
def test_an_attack_on_the_score_changes_nothing(name, place, honest, monkeypatch, capsys):
    outcome = place.evaluate(f"{HONEST}\n\n{place.program(name)}", monkeypatch)
    printed = capsys.readouterr().out
    assert outcome.values == honest, outcome
    if name.startswith(BLOCKED):
        assert "ATTACK blocked" in printed
    assert place.untouched()
    assert processes_of(place.folder) == []


def test_every_program_has_a_verdict():
    assert {path.stem for path in PROGRAMS.glob("h*.py")} <= {*ALONE, *AFTER_TRAINING, *BESIDE_TRAINING}
