"""Attacks on the walls, the limits and the clean-up of a sandbox, in each tier and from each launcher."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from dataclasses import replace

import pytest
from sandbox_arena import LAUNCHERS, LIMITS, ROOM, arena

from agentopt.sandbox import ExecutionStatus, Refusal, Refused, Tier, collect

MIB = 1 << 20
pytestmark = pytest.mark.xdist_group("sandbox")  # bombs: one at a time
WALLED = [Tier.BUBBLEWRAP, Tier.LANDLOCK]

launched = pytest.mark.parametrize("launcher", LAUNCHERS)
walled = pytest.mark.parametrize("tier", WALLED)
every_tier = pytest.mark.parametrize("tier", list(Tier))

TRY = """
import ctypes, os, socket, sys
def attempt(what, action):
    try:
        action()
    except BaseException as error:
        return
    print("DONE", what)
libc = ctypes.CDLL(None, use_errno=True)
def call(number, *arguments):
    result = libc.syscall(number, *arguments)
    if result < 0:
        raise OSError(ctypes.get_errno(), "refused")
    return result
"""
"""A prelude for attacks that print what they managed to do, and nothing otherwise."""

FORBIDDEN = """
import platform
column = ["x86_64", "aarch64"].index(platform.machine())
for name, numbers, arguments in [
    ("memfd_create", (319, 279), (b"x", 0)),
    ("unshare user", (272, 97), (0x10000000,)),
    ("unshare mount", (272, 97), (0x00020000,)),
    ("clone user", (56, 220), (0x10000000 | 17, 0, 0, 0, 0)),
    ("clone3", (435, 435), (b"\\0" * 88, 88)),
    ("ptrace", (101, 117), (16, os.getppid(), 0, 0)),
    ("keyctl", (250, 219), (0, -3, 0)),
    ("io_uring_setup", (425, 425), (1, b"\\0" * 120)),
    ("shmget", (29, 194), (0, 4096, 0o1600)),
    ("userfaultfd", (323, 282), (1,)),
    ("perf_event_open", (298, 241), (b"\\0" * 112, 0, -1, -1, 0)),
    ("bpf", (321, 280), (0, b"\\0" * 64, 64)),
    ("mount", (165, 40), (b"none", b"/tmp", b"tmpfs", 0, 0)),
    ("hide from the supervisor", (157, 167), (4, 0, 0, 0, 0)),
]:
    def attack():
        found = call(numbers[column], *arguments)
        if found == 0 and name.startswith("clone"):
            os._exit(0)
    attempt(name, attack)
"""


@launched
@walled
def test_system_calls_that_go_around_the_walls_are_refused(tier, launcher):
    with arena(launcher, tier) as place:
        done = place.run("python", "-c", TRY + FORBIDDEN)
        assert done.stdout == "", done
        assert done.status is ExecutionStatus.OK, done


@launched
@walled
def test_nothing_that_listens_on_this_machine_can_be_reached(tier, launcher):
    with arena(launcher, tier) as place, socket.socket() as tcp, socket.socket(type=socket.SOCK_DGRAM) as udp:
        tcp.bind(("127.0.0.1", 0))
        tcp.listen()
        udp.bind(("127.0.0.1", 0))
        udp.settimeout(0.2)
        abstract, named = socket.socket(socket.AF_UNIX), socket.socket(socket.AF_UNIX)
        with abstract, named:
            abstract.bind(f"\0{place.folder.name}")
            named.bind(str(place.path("tmp") / "socket"))
            place.path("tmp").chmod(0o777)
            (place.path("tmp") / "socket").chmod(0o777)
            for server in (abstract, named):
                server.listen()
            attack = f"""
attempt("tcp", lambda: socket.create_connection(("127.0.0.1", {tcp.getsockname()[1]}), 1))
attempt("unix", lambda: socket.socket(socket.AF_UNIX).connect({str(place.path("tmp") / "socket")!r}))
attempt("abstract", lambda: socket.socket(socket.AF_UNIX).connect({chr(0) + place.folder.name!r}))
attempt("vsock", lambda: socket.socket(socket.AF_VSOCK))
attempt("packet", lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW))
attempt("algorithms", lambda: socket.socket(socket.AF_ALG))
socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"x", ("127.0.0.1", {udp.getsockname()[1]}))
"""
            done = place.run("python", "-c", TRY + attack)
            assert done.stdout == "", done
            with pytest.raises(TimeoutError):
                udp.recv(1)


@launched
@walled
def test_other_processes_can_be_neither_seen_nor_signalled(tier, launcher):
    with arena(launcher, tier) as place:
        victim = subprocess.Popen(["sleep", "60"], user=_uid(place), group=_uid(place))
        attack = f"""
attempt("signal", lambda: os.kill({victim.pid}, 9))
attempt("signal the supervisor", lambda: os.kill({os.getpid()}, 0))
attempt("environ", lambda: open("/proc/{os.getpid()}/environ", "rb").read())
attempt("cmdline", lambda: open("/proc/{victim.pid}/cmdline", "rb").read())
attempt("signal the keeper", lambda: os.getppid() > 1 and os.kill(os.getppid(), 9) or 1 / (os.getppid() > 1))
attempt("memory of another user", lambda: {launcher == "root"} and open("/proc/1/mem", "r+b") or 1 / 0)
attempt("become root", lambda: os.setuid(0))
"""
        try:
            done = place.run("python", "-c", TRY + attack)
            assert done.stdout == "", done
            assert victim.poll() is None
        finally:
            victim.kill()
            victim.wait()


@launched
def test_the_first_process_of_the_namespace_has_the_same_limits(launcher):
    attack = "import resource; print(resource.prlimit(1, resource.RLIMIT_NOFILE)[0])"
    with arena(launcher, Tier.BUBBLEWRAP) as place:
        done = place.run("python", "-c", attack)
        if launcher == "root":
            assert "PermissionError" in done.stderr
        else:
            assert done.stdout == f"{LIMITS.open_files}\n", done


def _uid(place):
    return place.folder.stat().st_uid


@launched
@walled
def test_files_outside_cannot_be_written_read_or_linked(tier, launcher):
    with arena(launcher, tier) as place:
        secret = place.path("val")
        secret.chmod(0o666)
        attack = f"""
secret, work = {str(secret)!r}, {str(place.work)!r}
attempt("read", lambda: open(secret).read())
attempt("write", lambda: open(secret, "r+").write("x"))
attempt("truncate", lambda: os.truncate(secret, 0))
attempt("list", lambda: os.listdir({str(place.path("home"))!r}))
attempt("hard link", lambda: os.link(secret, work + "/linked"))
attempt("rename", lambda: os.rename(secret, work + "/moved"))
attempt("unlink", lambda: os.unlink(secret))
attempt("through a link", lambda: (os.symlink(secret, work + "/link"), open(work + "/link").read()))
attempt("climb", lambda: open(work + "/../val").read())
attempt("python", lambda: open(sys.prefix + "/lib/planted.py", "w"))
attempt("own interpreter", lambda: open(sys.executable, "r+b"))
attempt("system", lambda: open("/usr/planted", "w"))
attempt("shadow", lambda: open("/etc/shadow").read())
attempt("device", lambda: os.mknod(work + "/disk", 0o060644, os.makedev(8, 0)))
attempt("new root", lambda: os.chroot(work))
"""
        done = place.run("python", "-c", TRY + attack)
        assert done.stdout == "", done
        assert secret.read_text() == "original\n"


@launched
@every_tier
def test_daemons_and_zombies_end_with_the_program(tier, launcher):
    attack = """
import os, signal, time
for kind in range(8):
    if os.fork() == 0:
        os.setsid()
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        for _ in range(kind):
            if os.fork():
                os._exit(0)  # orphans
            os.setsid()
        if kind == 7:
            os.fork() or os._exit(0)  # a zombie: nobody waits
        time.sleep(60)
"""
    with arena(launcher, tier) as place:
        done = place.run("python", "-c", attack)
        assert done.status is ExecutionStatus.OK, done
        assert place.leaked() == []


@launched
@every_tier
def test_a_fork_bomb_is_stopped(tier, launcher):
    with arena(launcher, tier) as place:
        if tier is Tier.PROCESS and launcher == "root":
            pytest.skip("the kernel does not limit root's processes, and trusted code is not a bomb")
        attack = "import os\nwhile True:\n    try: os.fork()\n    except OSError: pass"
        done = place.run("python", "-c", attack, timeout=5)
        assert done.status in (ExecutionStatus.TIMEOUT, ExecutionStatus.FAILED), done
        assert place.leaked() == []


@launched
@every_tier
def test_disk_is_counted_wherever_it_is(tier, launcher):
    limits = replace(LIMITS, disk_bytes=8 * MIB, file_bytes=256 * MIB)
    hidden = """
import os, time
block = b"1" * (1 << 20)
def fill(file):
    for _ in range(200):
        os.write(file, block)
        time.sleep(0.005)
    time.sleep(20)
"""
    attacks = {
        "unlinked": 'f = os.open("x", os.O_CREAT | os.O_RDWR); os.unlink("x"); fill(f)',
        "deep": '[(os.mkdir("d"), os.chdir("d")) for _ in range(300)]; fill(os.open("x", os.O_CREAT | os.O_RDWR))',
        "unreadable": 'os.mkdir("d"); f = os.open("d/x", os.O_CREAT | os.O_RDWR); os.chmod("d", 0); fill(f)',
        "many": "[open(str(n), 'w').close() for n in range(4000)]; time.sleep(20)",
        "long names": 'n = "n" * 250; [(os.mkdir(n), os.chdir(n)) for _ in range(40)]; '
        'fill(os.open("x", os.O_CREAT | os.O_RDWR))',
    }
    for name, attack in attacks.items():
        with arena(launcher, tier) as place:
            done = place.run("python", "-c", hidden + attack, limits=limits, timeout=15)
            assert done.status is ExecutionStatus.DISK, (name, done)
            assert place.leaked() == []


@launched
@walled
def test_memory_is_counted_wherever_it_is(tier, launcher):
    limits = replace(LIMITS, memory_bytes=192 * MIB)
    attacks = {
        "shared": "import mmap; m = mmap.mmap(-1, 2 << 30); [m.write(b'1' * (1 << 20)) for _ in range(2000)]",
        "children": "import os, time; [os.fork() for _ in range(3)]; x = b'1' * (64 << 20); time.sleep(10)",
        "one": "x = b'1' * (900 << 20); import time; time.sleep(10)",
    }
    for name, attack in attacks.items():
        with arena(launcher, tier) as place:
            done = place.run("python", "-c", attack, limits=limits)
            assert done.status is ExecutionStatus.OOM, (name, done)
            assert done.peak_bytes > 100 * MIB
            assert place.leaked() == []


@launched
@walled
def test_memory_file_systems_are_small_or_closed(tier, launcher):
    attack = """
import os
for folder in ("/dev/shm", "/tmp", "/dev", "/", "/run", "/var/tmp"):
    try:
        with open(os.path.join(folder, "x"), "wb") as file:
            for _ in range(400):
                file.write(b"1" * (1 << 20))
        print("DONE", folder)
    except OSError:
        pass
"""
    with arena(launcher, tier) as place:
        done = place.run("python", "-c", attack)
        assert done.stdout == "", done


@launched
@every_tier
def test_output_without_end_is_cut(tier, launcher):
    attack = "import os\nwhile True: os.write({}, b'x' * 65536)"
    for stream in (1, 2):
        with arena(launcher, tier) as place:
            done = place.run("python", "-c", attack.format(stream))
            assert done.status is ExecutionStatus.OUTPUT, done
            assert len(done.stdout) + len(done.stderr) < 2 * MIB


@launched
@every_tier
def test_what_is_left_can_be_removed_and_belongs_to_the_launcher(tier, launcher):
    attack = """
import os
os.makedirs("a/b/c"); open("a/b/c/file", "w").write("x"); os.chmod("a/b/c/file", 0)
os.makedirs(".git/hooks"); open(".git/config", "w").write("[core]\\nfsmonitor = touch planted\\n")
os.mkfifo("fifo"); os.symlink("/etc/passwd", "link"); os.symlink("loop", "loop"); os.link("link", "linked")
open("setuid", "w").close(); os.chmod("setuid", 0o6755)
for folder in ("a/b/c", "a/b", "a"): os.chmod(folder, 0)
for _ in range(40): os.mkdir("deep"); os.chdir("deep")
os.chmod(".", 0)
"""
    with arena(launcher, tier) as place:
        done = place.run("python", "-c", attack)
        # A folder that its launcher cannot look into has no known size.
        assert done.status in (ExecutionStatus.OK, *([ExecutionStatus.DISK] if launcher == "user" else [])), done
        owners = {path.lstat().st_uid for path in place.work.rglob("*")}
        assert owners <= {_uid(place)} if launcher == "user" else os.geteuid() in owners
        assert not (place.work / ".git").exists()
        assert (place.work / "a" / "b" / "c" / "file").exists()
        if launcher == "root":
            assert place.work.stat().st_uid == 0
        shutil.rmtree(place.work)


@launched
@every_tier
def test_a_read_only_file_stays_what_it_is(tier, launcher):
    with arena(launcher, tier) as place:
        (place.work / "prepare.py").write_text("mine\n")
        place.path("harness").chmod(0o644)
        attack = """
import os
print(open("prepare.py").read().strip())
def write(): open("prepare.py", "w").write("x")
def replace(): open("y", "w").write("x"); os.rename("y", "prepare.py")
for action in (write, replace):
    try: action()
    except OSError: pass
"""
        pair = (str(place.path("harness")), str(place.work / "prepare.py"))
        done = place.run("python", "-c", attack, readonly=(pair,))
        assert done.stdout == "original\n", done
        assert place.path("harness").read_text() == "original\n"
        assert (place.work / "prepare.py").read_text() == "mine\n"
        new = (str(place.path("harness")), str(place.work / "new.py"))
        assert place.run("cat", "new.py", readonly=(new,)).stdout == "original\n"
        assert not (place.work / "new.py").exists()


@launched
@every_tier
def test_a_link_never_leads_our_writes_out_of_the_folder(tier, launcher):
    with arena(launcher, tier) as place:
        pair = (str(place.path("harness")), str(place.work / "prepare.py"))
        attack = f"import os; os.symlink({str(place.path('val'))!r}, 'prepare.py')"
        place.run("python", "-c", attack)
        assert place.run("cat", "prepare.py", readonly=(pair,)).stdout == "original\n"
        assert place.path("val").read_text() == "original\n"


@launched
@walled
def test_only_a_regular_file_of_its_own_is_collected(tier, launcher):
    attacks = {
        "import os; os.symlink('/etc/passwd', 'w')": Refusal.LINK,
        "import os; os.symlink('/etc', 'out/d'); os.symlink('out', 'w')": Refusal.LINK,
        "import os; open('x', 'w').close(); os.link('x', 'w')": Refusal.HARD_LINK,
        "import os; os.mkfifo('w')": Refusal.NOT_A_FILE,
        "import os; os.mkdir('w')": Refusal.NOT_A_FILE,
        "open('w', 'wb').truncate(1 << 29)": Refusal.TOO_LARGE,
        "pass": Refusal.MISSING,
    }
    for attack, refusal in attacks.items():
        with arena(launcher, tier) as place:
            done = place.run("python", "-c", attack)
            assert done.status is ExecutionStatus.OK, done
            with pytest.raises(Refused, match=str(refusal)) as refused:
                collect(place.work / "w", place.path("tmp") / "taken", MIB)
            assert refused.value.refusal is refusal
            assert not (place.path("tmp") / "taken").exists()


@launched
@every_tier
def test_an_environment_of_any_size_is_passed_or_refused(tier, launcher):
    with arena(launcher, tier) as place:
        huge = {"HUGE": "x" * 100_000}
        assert place.run("python", "-c", "import os; print(len(os.environ['HUGE']))", env=huge).stdout == "100000\n"
        done = place.run("python", "-c", "pass", env={"HUGE": "x" * (8 * MIB)})
        assert done.status is ExecutionStatus.FAILED
        assert "Argument list too long" in done.reason


@every_tier
def test_a_sandbox_dies_with_its_launcher(tier):
    launcher = "root" if os.geteuid() == 0 else "user"
    with arena(launcher, tier) as place:
        program = f"""
from agentopt.sandbox import Sandbox
daemon = "import os, time; os.fork() or os.setsid(); open('up', 'w').close(); time.sleep(60)"
Sandbox({str(place.work)!r}, tier={str(tier)!r}).run([{sys.executable!r}, "-c", daemon], timeout=60)
"""
        env = {**os.environ, "TMPDIR": str(place.path("tmp"))}
        process = subprocess.Popen([sys.executable, "-c", program], cwd=ROOM, env=env)
        try:
            _until((place.work / "up").exists)
            assert place.leaked()
        finally:
            process.send_signal(signal.SIGKILL)
            process.wait()
        _until(lambda: not place.leaked())


def _until(condition):
    for _ in range(600):
        if condition():
            return
        time.sleep(0.05)
    raise AssertionError("waited 30 s in vain")
