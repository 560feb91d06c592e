"""What a sandbox gives a program, and how it says that one ended."""

import ctypes
import hashlib
import re
import signal
import socket
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest
from sandbox_arena import LAUNCHERS, LIMITS, arena, skip_where_impossible

from agentopt.errors import UsageError
from agentopt.sandbox import ExecutionStatus, Limits, Sandbox, Tier, collect, seccomp, why_not

TIERS = list(Tier)
MIB = 1 << 20
PYTHON = "python3"


@pytest.fixture(params=TIERS)
def box(request, tmp_path):
    skip_where_impossible("user", request.param)
    work = tmp_path / "work"
    work.mkdir()
    return Sandbox(work=work, tier=request.param, limits=LIMITS)


def test_a_program_runs_in_the_folder_with_a_clean_environment(box, monkeypatch):
    monkeypatch.setenv("SECRET", "x")
    code = "import os; open('left', 'w').write('1'); print(os.getcwd()); print(*sorted(os.environ))"
    done = box.run([PYTHON, "-c", code], env={"GIVEN": "y"}, timeout=20)
    assert (done.status, done.returncode, done.stderr, done.reason) == (ExecutionStatus.OK, 0, "", "")
    folder, names = done.stdout.splitlines()
    assert folder == str(box.work)
    assert names.split() == ["GIVEN", "HOME", "LANG", "PATH", "TMPDIR", "USER"]
    assert (box.work / "left").read_text() == "1"
    assert 0 < done.seconds < 20


def test_the_interpreter_is_the_one_that_runs_this(box):
    done = box.run([PYTHON, "-c", "import sys; print(sys.prefix)"], timeout=20)
    assert done.stdout.strip() == sys.prefix


@pytest.mark.parametrize(
    ("code", "status", "returncode", "reason"),
    [
        ("raise SystemExit(3)", "failed", 3, "exited with code 3"),
        ("import os; os.kill(os.getpid(), 11)", "failed", 139, "killed by SIGSEGV"),
        ("import os; os.kill(os.getpid(), 9)", "oom", 137, "out of memory, most likely"),
        ("raise MemoryError", "oom", 1, "ran out of memory"),
        ("raise OSError(28, 'No space left on device')", "disk", 1, "No space left"),
        ("import time; time.sleep(60)", "timeout", 137, "still running after 0.5 s"),
        ("print('x' * 5_000_000)", "output", None, "printed more than 4 MiB"),
        ("[open(n, 'w').write('x' * 70_000_000) for n in 'abc']", "disk", None, "wrote more than 128 MiB"),
        ("open('a', 'w').truncate(1_100_000_000)", "disk", 1, "File too large"),
    ],
)
def test_each_end_has_its_status_and_reason(box, code, status, returncode, reason):
    slow = status != "timeout"
    done = box.run([PYTHON, "-c", code], timeout=60 if slow else 0.5)
    assert done.status == status, done
    assert reason in done.reason
    if returncode is not None:
        assert done.returncode == returncode


def test_processor_time_is_bounded_over_the_tree(tmp_path):
    skip_where_impossible("user", Tier.PROCESS)
    for tier in TIERS:
        if why_not(tier):
            continue
        limits = replace(LIMITS, cpu_seconds=0.4)
        code = "import os; os.fork(); os.fork()\nwhile True: pass"
        done = Sandbox(tmp_path, tier=tier, limits=limits).run([PYTHON, "-c", code], timeout=60)
        assert done.status is ExecutionStatus.TIMEOUT, done
        assert "processor time" in done.reason
        assert 0.4 < done.cpu_seconds < 2


def test_peak_memory_is_that_of_the_tree(box):
    code = "import os, time; os.fork(); x = b'1' * (100 << 20); time.sleep(0.5)"
    done = box.run([PYTHON, "-c", code], timeout=30)
    assert done.status is ExecutionStatus.OK, done
    assert 200 * MIB < done.peak_bytes < 300 * MIB


def test_a_program_that_is_not_there_fails_and_one_with_wrong_arguments_too(box):
    done = box.run(["no-such-program"], timeout=20)
    assert (done.status, done.returncode) == (ExecutionStatus.FAILED, 127)
    assert "cannot start no-such-program: No such file or directory" in done.reason
    assert box.run([PYTHON, "-c", "pass", "\0"], timeout=20).status is ExecutionStatus.FAILED


def test_standard_input_is_given_or_empty(box):
    assert box.run(["cat"], timeout=20).stdout == ""
    data = b"0123456789" * 100_000
    assert box.run(["wc", "-c"], stdin=data, timeout=20).stdout.strip() == str(len(data))
    assert box.run(["true"], stdin=data, timeout=20).status is ExecutionStatus.OK


def test_a_channel_talks_both_ways_and_closes_with_the_program(box):
    code = """
import os, socket
channel = socket.socket(fileno=int(os.environ["AGENTOPT_CHANNEL"]))
while data := channel.recv(100):
    channel.sendall(data.upper())
"""
    with box.start([PYTHON, "-c", code], timeout=30) as process:
        for word in (b"one", b"two"):
            process.channel.sendall(word)
            assert process.channel.recv(100) == word.upper()
        process.channel.shutdown(socket.SHUT_WR)
        assert process.channel.recv(100) == b""
        assert process.wait().status is ExecutionStatus.OK


def test_the_caller_can_end_a_program_with_a_reason(box):
    with box.start(["sleep", "60"], timeout=60) as process:
        process.kill("the budget is spent")
        done = process.wait()
    assert (done.status, done.reason) == (ExecutionStatus.FAILED, "the budget is spent")
    process.kill("too late")
    assert process.wait().reason == "the budget is spent"


def test_leaving_the_context_ends_the_program(box):
    with box.start(["sleep", "60"], timeout=60) as process:
        pass
    assert process.wait().status is ExecutionStatus.FAILED


def test_a_program_outlives_the_thread_that_started_it(box):
    started = []
    code = "import time; time.sleep(0.3); print('done')"
    thread = threading.Thread(target=lambda: started.append(box.start([PYTHON, "-c", code], timeout=30)))
    thread.start()
    thread.join()
    assert started[0].wait().stdout == "done\n"


def test_a_broken_pipe_ends_a_program_as_usual(box):
    done = box.run(["sh", "-c", "yes | head -n 1"], timeout=20)
    assert (done.stdout, done.stderr) == ("y\n", "")


@pytest.mark.parametrize("launcher", LAUNCHERS)
@pytest.mark.parametrize("tier", TIERS)
def test_several_sandboxes_run_at_once(tier, launcher):
    count = 8 if launcher == "root" else 4
    code = """
import os, time
for _ in range(7):
    if os.fork() == 0:
        time.sleep(0.5); os._exit(0)
for _ in range(7): os.wait()
print(os.getuid())
"""
    limits = replace(LIMITS, processes=12)  # of one sandbox, not of them together
    with ExitStack() as stack, ThreadPoolExecutor(count) as pool:
        places = [stack.enter_context(arena(launcher, tier)) for _ in range(count)]
        done = list(pool.map(lambda place: place.run("python", "-c", code, timeout=60, limits=limits), places))
        assert [one.status for one in done] == [ExecutionStatus.OK] * count, done
        assert [place.leaked() for place in places] == [[]] * count
        if launcher == "root" and tier is not Tier.PROCESS:
            assert len({one.stdout for one in done}) == count, "each has a user of its own"
            assert "0\n" not in {one.stdout for one in done}


def test_extra_files_can_be_read_and_not_written(box, tmp_path):
    data = tmp_path / "data"
    data.mkdir()
    (data / "text").write_text("hello")
    reader = Sandbox(box.work, tier=box.tier, readonly=[data])
    assert reader.run(["cat", str(data / "text")], timeout=20).stdout == "hello"
    if box.tier is not Tier.PROCESS:
        code = f"open({str(data / 'text')!r}, 'w')"
        assert reader.run([PYTHON, "-c", code], timeout=20).status is ExecutionStatus.FAILED
        assert box.run(["cat", str(data / "text")], timeout=20).status is ExecutionStatus.FAILED


def test_a_file_can_be_shown_elsewhere_with_mounts_only(tmp_path):
    skip_where_impossible("user", Tier.BUBBLEWRAP)
    work, source = tmp_path / "work", tmp_path / "source"
    work.mkdir()
    source.write_text("hello")
    pair = (source, "/opt/there/it")
    assert Sandbox(work, readonly=[pair]).run(["cat", "/opt/there/it"], timeout=20).stdout == "hello"
    with pytest.raises(UsageError, match="Only the tier `bubblewrap` can show"):
        Sandbox(work, tier="process", readonly=[pair])
    with pytest.raises(UsageError, match=r"keeps the folder .* read-only"):
        Sandbox(work, tier="process", readonly=[(tmp_path, work / "folder")])


def test_a_git_file_is_hidden_and_a_repository_refused(box):
    (box.work / ".git").write_text("gitdir: /somewhere\n")
    box.run([PYTHON, "-c", "open('.git', 'w').write('gitdir: /mine')"], timeout=20)
    assert (box.work / ".git").read_text() == "gitdir: /somewhere\n"
    (box.work / ".git").unlink()
    (box.work / ".git").mkdir()
    with pytest.raises(UsageError, match="is a git repository"):
        Sandbox(box.work, tier=box.tier)


@pytest.mark.parametrize("work", ["/", "/usr", "~", "/no/such/folder"])
def test_folders_that_no_program_may_be_given_are_refused(work):
    with pytest.raises(UsageError, match=r"cannot be the folder|does not exist"):
        Sandbox(Path(work).expanduser(), tier="process")


def test_wrong_requests_are_named(tmp_path):
    with pytest.raises(UsageError, match="Did you mean 'landlock'"):
        Sandbox(tmp_path, tier="landlok")
    with pytest.raises(UsageError, match="does not exist"):
        Sandbox(tmp_path, tier="process", readonly=[tmp_path / "nothing"])
    for argv, timeout in (([], 1.0), (["true"], 0.0)):
        with pytest.raises(UsageError, match="a positive timeout"):
            Sandbox(tmp_path, tier="process").run(argv, timeout=timeout)


def test_a_tier_that_does_not_work_is_an_error_and_never_a_weaker_one(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    why_not.cache_clear()
    try:
        with pytest.raises(UsageError, match="`bubblewrap` does not work here: bwrap is not installed"):
            Sandbox(tmp_path)
    finally:
        why_not.cache_clear()


def test_output_is_kept_at_both_ends(box):
    code = "print('first'); print('x' * 3_000_000); print('last')"
    done = box.run([PYTHON, "-c", code], timeout=30)
    assert done.stdout.startswith("first")
    assert done.stdout.endswith("last\n")
    assert "bytes left out" in done.stdout
    assert len(done.stdout) < 1.1 * MIB


def test_descriptors_and_processes_are_given_back(box):
    before = len(list(Path("/proc/self/fd").iterdir())), threading.active_count()
    for _ in range(5):
        box.run(["true"], timeout=20)
        box.run(["no-such-program"], timeout=20)
        with box.start(["sleep", "60"], timeout=20):
            pass
    assert (len(list(Path("/proc/self/fd").iterdir())), threading.active_count()) == before
    assert signal.getsignal(signal.SIGCHLD) == signal.SIG_DFL


def test_a_collected_file_is_copied_with_its_hash(tmp_path):
    (tmp_path / "w").write_bytes(b"1" * 3_000_000)
    taken = collect(tmp_path / "w", tmp_path / "copy", 3_000_000)
    assert taken.size == 3_000_000
    assert taken.sha256 == hashlib.sha256(b"1" * 3_000_000).hexdigest()
    assert (tmp_path / "copy").read_bytes() == b"1" * 3_000_000


def test_limits_have_defaults_for_a_small_training_run():
    limits = Limits()
    assert limits.memory_bytes == 4 << 30
    assert limits.cpu_seconds is None


@pytest.mark.parametrize(
    ("column", "header"),
    [
        (0, "/usr/include/x86_64-linux-gnu/asm/unistd_64.h"),
        (1, "/usr/include/asm-generic/unistd.h"),
    ],
)
def test_the_refused_system_calls_have_the_numbers_of_the_kernel(column, header):
    if not Path(header).exists():
        pytest.skip(f"no {header}")
    found = re.findall(r"#define\s+__NR(?:3264)?_(\w+)\s+(\d+)", Path(header).read_text())
    numbers = {name: int(number) for name, number in found}
    named = {name: row[column] for name, row in seccomp.DENIED.items() if row[column] is not None}
    assert len(set(named.values())) == len(named)
    known = {name: number for name, number in named.items() if name in numbers}
    assert len(known) > 50
    assert known == {name: numbers[name] for name in known}


@pytest.mark.parametrize("column", [0, 1], ids=["x86_64", "aarch64"])
def test_the_numbers_of_system_calls_are_those_of_libseccomp(column):
    """What an older libseccomp does not know is passed over."""
    try:
        resolve = ctypes.CDLL("libseccomp.so.2").seccomp_syscall_resolve_name_arch
    except OSError:
        pytest.skip("libseccomp is not installed")
    resolve.argtypes, resolve.restype = [ctypes.c_uint32, ctypes.c_char_p], ctypes.c_int
    architecture = next(number for number, place in seccomp._ARCHITECTURES.values() if place == column)
    ours = {name: row[column] for name, row in seccomp.DENIED.items()}
    for name in ("clone", "clone3", "socket", "prctl"):
        ours[name] = getattr(seccomp, f"_{name.upper()}")[column]
    theirs = {name: resolve(architecture, name.encode()) for name in ours}
    known = {name: number for name, number in theirs.items() if number != -1}  # -1: no system call that it knows
    assert len(known) > len(ours) - 5
    assert {name: ours[name] for name in known} == {name: n if n >= 0 else None for name, n in known.items()}
