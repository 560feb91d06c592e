"""A collection of hostile programs, each held to its verdict in each tier, launched by root and by an ordinary user."""

import os
import shutil
from pathlib import Path

import pytest
from sandbox_arena import CANARY, LAUNCHERS, ROOM, Arena, arena

from agentopt.sandbox import ExecutionStatus, Refusal, Refused, Tier, collect

PROGRAMS = Path(os.environ.get("AGENTOPT_HOSTILE") or ROOM.parent / "shared" / "hostile")
pytestmark = [
    pytest.mark.xdist_group("sandbox"),
    pytest.mark.skipif(not PROGRAMS.is_dir(), reason=f"the hostile programs are not at {PROGRAMS}"),
]

SPINNING = {"h06_infinite_loop", "h07_ignore_sigterm"}
VERDICTS = {
    "h01_fork_bomb": "blocked or stopped",
    "h02_memory_hog": "blocked or stopped",
    "h03_memory_hog_many": ExecutionStatus.OOM,
    "h06_infinite_loop": ExecutionStatus.TIMEOUT,
    "h07_ignore_sigterm": ExecutionStatus.TIMEOUT,
    "h08_daemon": ExecutionStatus.OK,
    "h09_write_outside": "blocked",
    "h10_read_secrets": "blocked",
    "h11_read_val_fake_metric": "blocked",
    "h12_edit_harness": "blocked",
    "h14_flood_stdout": ExecutionStatus.OUTPUT,
    "h15_fill_disk": ExecutionStatus.DISK,
    "h16_sparse_checkpoint": "blocked",
    "h17_nan_metric": ExecutionStatus.OK,
    "h18_two_metrics": ExecutionStatus.OK,
    "h21_git_hook": "blocked",
    "h24_pickle_bomb": ExecutionStatus.OK,
    "h25_exit0_no_metric": ExecutionStatus.OK,
    "h26_delete_worktree": "its own",
    "h27_open_10k_files": "blocked",
    "h30_shadow_module": ExecutionStatus.OK,
    "h31_proc_sys": "blocked",
}
"""A status, or `blocked` where the program has to say so itself; `its own`: what it destroys is its own."""


def untouched(place: Arena) -> bool:
    names = ("home/.bashrc", "home/.ssh/id_canary", "main/README.md", "sibling/train.py", "val", "harness")
    return all(place.path(name).read_text() == "original\n" for name in names) and not place.path("marker").exists()


@pytest.mark.parametrize("launcher", LAUNCHERS)
@pytest.mark.parametrize("tier", [Tier.BUBBLEWRAP, Tier.LANDLOCK])
@pytest.mark.parametrize("name", VERDICTS)
def test_a_hostile_program_gets_its_verdict(name, tier, launcher, monkeypatch):
    monkeypatch.setenv(CANARY, "secret")
    with arena(launcher, tier) as place:
        for source in ("_lib.py", f"{name}.py"):
            shutil.copy(PROGRAMS / source, place.work)
            (place.work / source).chmod(0o644)
        done = place.run("python", f"{place.work}/{name}.py", timeout=1 if name in SPINNING else 30)
        verdict = VERDICTS[name]
        if isinstance(verdict, ExecutionStatus):
            assert done.status is verdict, done
            assert done.reason or verdict is ExecutionStatus.OK
        elif verdict == "blocked or stopped":
            stopped = done.status in (ExecutionStatus.OOM, ExecutionStatus.FAILED) and done.reason
            assert stopped or "ATTACK blocked" in done.stdout, done
        elif verdict == "blocked":
            assert "ATTACK blocked" in done.stdout, done
        assert place.leaked() == []
        assert untouched(place)
        if name == "h15_fill_disk":
            assert sum(path.stat().st_size for path in (place.work / "out").iterdir()) < 1 << 30
        if name == "h26_delete_worktree":
            assert place.work.is_dir()
        if name == "h24_pickle_bomb":
            assert collect(place.work / "out" / "checkpoint", place.path("tmp") / "taken", 1 << 20).size > 0
        if name == "h25_exit0_no_metric":
            with pytest.raises(Refused) as refused:
                collect(place.work / "out" / "checkpoint", place.path("tmp") / "taken", 1 << 20)
            assert refused.value.refusal is Refusal.MISSING
        if name == "h30_shadow_module":
            assert place.run("python", "-I", "-c", "print(1)").stdout == "1\n"
            assert untouched(place)


def test_every_program_has_a_verdict():
    assert {path.stem for path in PROGRAMS.glob("h*.py")} <= set(VERDICTS)
