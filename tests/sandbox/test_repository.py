"""The repository of a run: repeatable commits that nothing removes, worktrees that leave nothing, and no git tricks."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from agentopt.errors import JournalError, ReplayMismatch, UsageError
from agentopt.sandbox.plumbing import call_git
from agentopt.sandbox.repository import Repository

SEED = {"train.py": "DEPTH = 8\n", "prepare.py": "# größer\r\n", "lib/model.py": "WIDTH = 4"}


@pytest.fixture
def repository(tmp_path):
    return Repository.create(tmp_path / "run" / "repo", SEED)


def fsck(repository):
    """Fails where an object is missing or damaged."""
    call_git(repository.folder, "fsck", "--full", "--strict")


def test_a_version_is_its_parent_with_the_new_files_in_place(repository):
    repository.commit(0, {"train.py": "DEPTH = 9\n"}, None, "deeper")
    repository.commit(1, {"train.py": "DEPTH = 9\nX = 1\n", "lib/extra.py": "é\n"}, 0, "more")
    assert repository.files(1) == {**SEED, "train.py": "DEPTH = 9\nX = 1\n", "lib/extra.py": "é\n"}
    assert repository.file(0, "train.py") == "DEPTH = 9\n"
    assert repository.files(None) == SEED
    assert [(v.trial, v.parent, v.message) for v in repository.log()] == [
        (None, None, "seed"),
        (0, None, "deeper"),
        (1, 0, "more"),
    ]
    fsck(repository)


def test_the_patch_says_what_changed_and_the_count_how_much(repository):
    repository.commit(3, {"train.py": "DEPTH = 9\nX = 1\n"}, None)
    assert repository.diff(None, 3).splitlines()[-5:] == [
        "+++ b/train.py",
        "@@ -1 +1,2 @@",
        "-DEPTH = 8",
        "+DEPTH = 9",
        "+X = 1",
    ]
    assert repository.changed_lines(None, 3) == repository.changed_lines(3, None) == 3
    assert repository.diff(3, 3) == ""
    assert repository.changed_lines(3, 3) == 0


def test_the_same_content_gives_the_same_commit_whatever_the_user_has_configured(tmp_path, monkeypatch):
    one = Repository.create(tmp_path / "one", SEED)
    first = one.commit(7, {"train.py": "A = 1\n"}, None, "a")
    home = tmp_path / "home"
    home.mkdir()
    (home / ".gitconfig").write_text("[commit]\n gpgsign = true\n[core]\n autocrlf = true\n[user]\n name = Somebody\n")
    monkeypatch.setenv("HOME", str(home))
    for name, value in {"DIR": "/nowhere", "WORK_TREE": "/", "INDEX_FILE": "/nowhere", "AUTHOR_NAME": "Me"}.items():
        monkeypatch.setenv(f"GIT_{name}", value)
    monkeypatch.setenv("GIT_CONFIG_COUNT", "1")
    monkeypatch.setenv("GIT_CONFIG_KEY_0", "core.bare")
    monkeypatch.setenv("GIT_CONFIG_VALUE_0", "nonsense")
    monkeypatch.setenv("GIT_OBJECT_DIRECTORY", str(home))
    other = Repository.create(tmp_path / "other", SEED)
    assert other.commit(7, {"train.py": "A = 1\n"}, None, "a") == first
    assert [v.sha for v in other.log()] == [v.sha for v in one.log()]


def test_a_trial_committed_again_keeps_what_it_was(repository):
    first = repository.commit(2, {"train.py": "A = 1\n"})
    assert repository.commit(2, {"train.py": "A = 1\n"}) == first
    assert len(repository.log()) == 2
    second = repository.commit(2, {"train.py": "A = 2\n"})
    third = repository.commit(2, {"train.py": "A = 3\n"})
    assert repository.file(2, "train.py") == "A = 3\n"
    assert {(v.sha, v.superseded) for v in repository.log() if v.trial == 2} == {
        (first, True),
        (second, True),
        (third, False),
    }
    assert repository.commit(2, {"train.py": "A = 1\n"}) == first
    assert repository.file(2, "train.py") == "A = 1\n"
    assert {v.sha for v in repository.log() if v.trial == 2} == {first, second, third}
    fsck(repository)


@pytest.mark.parametrize(
    "name",
    ["", ".git/config", ".gitattributes", "lib/.git/x", "../x", "/etc/x", "a//b", "a/../b", "-f", "a\nb", "é.py", "a/"],
)
def test_names_that_could_mean_something_to_git_are_refused(repository, name):
    with pytest.raises(UsageError, match="cannot be in a version"):
        repository.commit(0, {name: "x"})
    assert len(repository.log()) == 1


def test_a_file_cannot_be_a_folder_too(repository):
    with pytest.raises(UsageError, match="file and a folder"):
        repository.commit(0, {"lib": "x"})


def test_text_that_is_not_unicode_is_refused(repository):
    with pytest.raises(UsageError, match=r"'train\.py'.*surrogate"):
        repository.commit(0, {"train.py": "\ud800"})


def test_messages_may_be_anything(repository):
    repository.commit(0, {"train.py": "A = 1\n"}, None, "a\x1b[31m\nb\0c\u202e\ud800 -m\r\n" + "x" * 9999)
    repository.commit(1, {"train.py": "A = 1\n"}, None, "")
    message = repository.log()[1].message
    assert message.startswith("a [31m b c -m xxx")
    assert len(message) == 500
    assert repository.log()[2].message == ""


def test_what_is_not_there_is_named(repository, tmp_path):
    with pytest.raises(UsageError, match="Trial 9 has no version"):
        repository.files(9)
    with pytest.raises(UsageError, match="Trial 9 has no version"):
        repository.commit(10, {"train.py": ""}, 9)
    with pytest.raises(UsageError, match=r"no file 'main\.py'.*lib/model\.py"):
        repository.file(None, "main.py")
    with pytest.raises(JournalError, match="not the repository"):
        Repository.open(tmp_path)
    with pytest.raises(JournalError, match="not the repository"):
        Repository.open(tmp_path / "absent")
    assert Repository.open(repository.folder).files(None) == SEED


def test_a_repository_with_another_seed_is_not_continued(repository):
    assert Repository.create(repository.folder, SEED).files(None) == SEED
    with pytest.raises(ReplayMismatch, match="seed"):
        Repository.create(repository.folder, {**SEED, "train.py": "DEPTH = 7\n"})


def test_a_worktree_holds_the_files_exactly_and_no_git(repository):
    repository.commit(4, {"train.py": "a = 'é'\r\n\f\n"})
    with repository.worktree(4) as folder:
        found = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
        assert set(found) == set(SEED)
        assert found["train.py"].read_bytes() == "a = 'é'\r\n\f\n".encode()
        assert found["prepare.py"].read_bytes() == SEED["prepare.py"].encode()
    assert list(repository.worktrees.iterdir()) == []


def test_a_worktree_is_removed_whatever_was_left_in_it(repository, tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "kept").write_text("x")
    with repository.worktree(None) as folder:
        (folder / "link").symlink_to(outside)
        (folder / "train.py").unlink()
        os.mkfifo(folder / "train.py")
        (folder / "closed").mkdir()
        (folder / "closed" / "x").write_text("x")
        (folder / "closed").chmod(0)
    assert list(repository.worktrees.iterdir()) == []
    assert (outside / "kept").exists()


def test_a_worktree_is_removed_when_the_trial_fails_and_when_it_was_killed(repository):
    (repository.worktrees / "t1" / "old").mkdir(parents=True)
    (repository.worktrees / "t2").mkdir()
    repository.commit(1, {"train.py": ""})

    def fails():
        with repository.worktree(1) as folder:
            assert not (folder / "old").exists()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fails()
    assert [path.name for path in repository.worktrees.iterdir()] == ["t2"]
    repository.remove_worktrees()
    assert not repository.worktrees.exists()


def test_nothing_planted_for_git_runs(repository, tmp_path, monkeypatch):
    marker = tmp_path / "ran"
    program = tmp_path / "program"
    program.write_text(f"#!/bin/sh\ntouch {marker}\ncat\n")
    program.chmod(0o755)
    hooks = repository.folder / "hooks"
    hooks.mkdir(exist_ok=True)
    for hook in ("reference-transaction", "post-checkout", "pre-commit", "post-index-change", "fsmonitor-watchman"):
        (hooks / hook).symlink_to(program)
    with repository.worktree(None) as folder:
        subprocess.run(["git", "init", "-q", folder], check=True)
        with (folder / ".git" / "config").open("a") as config:
            config.write(f'[core]\n fsmonitor = {program}\n hooksPath = {hooks}\n[filter "x"]\n clean = {program}\n')
            config.write(f' smudge = {program}\n[diff]\n external = {program}\n[diff "x"]\n textconv = {program}\n')
        (folder / ".gitattributes").write_text("* filter=x diff=x\n")
        monkeypatch.chdir(folder)
        subprocess.run(["git", "add", "train.py"], check=False, capture_output=True)
        assert marker.exists(), "under plain git the trap must spring, or this test proves nothing"
        marker.unlink()
        sha = repository.commit(0, {"train.py": (folder / "train.py").read_text() + "A = 1\n"})
        assert repository.diff(None, 0)
        with repository.worktree(0):
            pass
        monkeypatch.chdir(tmp_path)
    assert not marker.exists()
    subprocess.run(["git", "-C", repository.folder, "update-ref", "refs/x", sha], check=False, capture_output=True)
    assert marker.exists(), "under plain git the repository's hook must run, or this test proves nothing"


def test_links_and_submodules_are_never_read(repository):
    blob = call_git(repository.folder, "hash-object", "-w", "--stdin", stdin=b"/etc/passwd").decode().strip()
    base = call_git(repository.folder, "rev-parse", "refs/agentopt/seed").decode().strip()
    for trial, row in enumerate((f"120000 blob {blob}\ttrain.py", f"160000 commit {base}\ttrain.py")):
        tree = call_git(repository.folder, "mktree", "--missing", stdin=f"{row}\n".encode()).decode().strip()
        sha = call_git(repository.folder, "commit-tree", tree).decode().strip()
        call_git(repository.folder, "update-ref", f"refs/agentopt/t{trial}", sha)
        with pytest.raises(JournalError, match="no regular file"), repository.worktree(trial):
            pass
        with pytest.raises(JournalError, match="no regular file"):
            repository.commit(9, {"lib/model.py": ""}, trial)


def test_many_trials_by_eight_threads_in_two_processes(repository):
    code = (
        "import sys; from pathlib import Path; sys.path.insert(0, sys.argv[2]);"
        "from test_repository import run_trials; run_trials(Path(sys.argv[1]), range(40, 80))"
    )
    child = subprocess.Popen([sys.executable, "-c", code, str(repository.folder), Path(__file__).parent])
    run_trials(repository.folder, range(40))
    assert child.wait() == 0
    versions = {v.trial: v for v in repository.log()}
    assert len(versions) == 81
    for trial in range(80):
        assert repository.file(trial, "train.py") == f"DEPTH = {trial}\n"
        assert versions[trial].parent == (trial - 8 if trial % 40 >= 8 else None)
    assert list(repository.worktrees.iterdir()) == []
    assert list(repository.folder.rglob("*.lock")) == []
    fsck(repository)


def run_trials(folder, trials):
    """Commits the trials by four threads, each trial on the one eight before it, and opens each one's worktree."""

    def one(lane):
        for trial in list(trials)[lane::4]:
            parent = trial - 8 if trial - 8 in trials else None
            repository.commit(trial, {"train.py": f"DEPTH = {trial}\n"}, parent, f"trial {trial}")
            with repository.worktree(trial) as worktree:
                assert (worktree / "train.py").read_text() == f"DEPTH = {trial}\n"
                (worktree / "left").mkdir()

    repository = Repository.open(folder)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(one, range(4)))


def test_one_trial_committed_by_eight_threads_at_once_loses_nothing(repository):
    start = threading.Barrier(8)

    def one(number):
        start.wait()
        return repository.commit(0, {"train.py": f"A = {number}\n"})

    with ThreadPoolExecutor(8) as pool:
        shas = set(pool.map(one, range(8)))
    assert {v.sha for v in repository.log() if v.trial == 0} == shas
    assert len(shas) == 8
    fsck(repository)


ENDLESS = """
import sys
from pathlib import Path
from agentopt.sandbox.repository import Repository
repository = Repository.create(Path(sys.argv[1]), {"train.py": "x\\n"})
for trial in range(int(sys.argv[2]), 10**9):
    repository.commit(trial, {"train.py": f"A = {trial}\\n"}, trial - 1 if trial else None)
    print(trial, flush=True)
"""


def test_a_kill_at_any_moment_leaves_a_repository_that_goes_on(tmp_path):
    folder, following = tmp_path / "repo", 0
    chance = random.Random(0)
    for round_ in range(6):
        command = [sys.executable, "-c", ENDLESS, str(folder), str(following)]
        child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True)
        if round_ > 1:
            child.stdout.readline()
        time.sleep(chance.uniform(0.05, 0.4))
        os.killpg(child.pid, signal.SIGKILL)
        said = child.stdout.read().split()
        child.wait()
        following = max([following, *(int(line) + 1 for line in said)])
        repository = Repository.create(folder, {"train.py": "x\n"})
        assert {v.trial for v in repository.log()} >= set(range(following))
        for trial in range(max(0, following - 2), following):
            assert repository.file(trial, "train.py") == f"A = {trial}\n"
        repository.commit(following, {"train.py": f"A = {following}\n"}, following - 1 if following else None)
        following += 1
        fsck(repository)
    assert following > 6


def test_a_lock_that_a_killed_git_left_is_taken_away(repository):
    lock = repository.folder / "refs" / "agentopt" / "t0.lock"
    lock.touch()
    repository.commit(0, {"train.py": "A = 1\n"})
    assert repository.file(0, "train.py") == "A = 1\n"
    assert not lock.exists()


def test_a_repository_that_was_half_made_is_made_again(tmp_path):
    half = tmp_path / "repo.making"
    half.mkdir()
    (half / "config.lock").touch()
    assert Repository.create(tmp_path / "repo", SEED).files(None) == SEED
    assert not half.exists()


def test_a_machine_without_git_is_told_to_install_it(tmp_path):
    code = (
        "import sys; from pathlib import Path; from agentopt.errors import UsageError\n"
        "from agentopt.sandbox.repository import Repository\n"
        "try: Repository.create(Path(sys.argv[1]), {})\n"
        "except UsageError as error: print(error)"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "repo")]
    done = subprocess.run(command, env={"PATH": str(tmp_path)}, capture_output=True, text=True, check=True)
    assert "install it (package `git`)" in done.stdout
