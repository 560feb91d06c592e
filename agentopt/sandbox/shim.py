"""Runs inside a sandbox, between its walls and the program: takes rights away from itself, then becomes the program.

Started as a file, with the standard library alone: `python -I -S shim.py FD`, where FD gives a marshalled dictionary.
Where there is no PID namespace it stays as the keeper: the program is its child, orphans come to it, and nothing of the
tree outlives it. It imports little, because its start is most of what a sandbox costs.
"""

from __future__ import annotations

import marshal
import os
import resource
import signal
import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

_PR_SET_PDEATHSIG, _PR_SET_KEEPCAPS, _PR_SET_SECCOMP = 1, 8, 22
_PR_SET_CHILD_SUBREAPER, _PR_SET_NO_NEW_PRIVS, _PR_CAP_AMBIENT = 36, 38, 47
_CAP_DAC_READ_SEARCH = 2
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446


def main() -> None:
    """Sets up what the dictionary asks for and runs its `argv`."""
    with os.fdopen(int(sys.argv[1]), "rb") as file:
        wanted = marshal.load(file)  # noqa: S302 - the supervisor wrote it, with the same Python
    os.set_inheritable(wanted["ready"], False)
    if wanted["keeper"]:
        _keep(wanted)
    else:
        _become(wanted)


def _become(wanted: Mapping[str, Any]) -> None:
    """Replaces this process by the program, with fewer rights; never returns."""
    os.umask(0o022)
    for name, value in wanted["rlimits"].items():
        number = getattr(resource, name)
        hard = resource.getrlimit(number)[1]
        bound = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(number, (bound, bound))
        if not wanted["keeper"] and wanted["uid"] is None:  # the first process has the same user: it may be taken over
            resource.prlimit(1, number, (bound, bound))
    ruleset = _ruleset(wanted["landlock"]) if wanted["landlock"] else None
    if wanted["uid"] is not None:
        _become_user(wanted["uid"], reads_all=wanted["keeper"])
    if wanted["keeper"]:
        _check(_libc().prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0), "prctl")
    if ruleset is not None:
        _restrict(ruleset, bytes.fromhex(wanted["seccomp"]))
    os.chdir(wanted["work"])
    for number in (signal.SIGPIPE, signal.SIGXFSZ):  # Python ignores them, and ignored signals stay so
        signal.signal(number, signal.SIG_DFL)
    os.write(wanted["ready"], b"ready")
    argv, env = wanted["argv"], wanted["env"]
    try:
        os.execvpe(argv[0], argv, env)  # noqa: S606
    except OSError as error:
        sys.stderr.write(f"cannot start {argv[0]}: {error.strerror}\n")
    except ValueError as error:
        sys.stderr.write(f"cannot start {argv[0]!r}: {error}\n")
    sys.stderr.flush()
    os._exit(127)


def _become_user(uid: int, *, reads_all: bool) -> None:
    """Becomes an unprivileged user; `reads_all` keeps the right to pass folders of others, for Landlock to bound."""
    os.setgroups([])
    os.setresgid(uid, uid, uid)
    if not reads_all:
        os.setresuid(uid, uid, uid)
        return
    import ctypes

    libc = _libc()
    _check(libc.prctl(_PR_SET_KEEPCAPS, 1, 0, 0, 0), "prctl")
    os.setresuid(uid, uid, uid)
    bit = 1 << _CAP_DAC_READ_SEARCH
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)
    data = (ctypes.c_uint32 * 6)(bit, bit, bit, 0, 0, 0)
    _check(libc.capset(header, data), "capset")
    _check(libc.prctl(_PR_CAP_AMBIENT, 2, _CAP_DAC_READ_SEARCH, 0, 0), "prctl")


def _ruleset(landlock: Mapping[str, Any]) -> int:
    """Returns a Landlock ruleset that grants the rights of each path, and nothing else that the kernel can refuse."""
    import ctypes

    libc = _libc()
    attributes = (ctypes.c_uint64 * 3)(landlock["files"], landlock["network"], landlock["scoped"])
    ruleset = libc.syscall(_CREATE_RULESET, attributes, ctypes.sizeof(attributes), 0)
    _check(ruleset, "landlock_create_ruleset")
    for path, rights in landlock["grants"]:
        where = os.open(path, os.O_PATH | os.O_CLOEXEC)
        rule = rights.to_bytes(8, sys.byteorder) + where.to_bytes(4, sys.byteorder)
        _check(libc.syscall(_ADD_RULE, ruleset, 1, rule, 0), f"landlock_add_rule for {path}")
        os.close(where)
    return int(ruleset)


def _restrict(ruleset: int, seccomp: bytes) -> None:
    """Puts this thread under the ruleset and the filter, for ever."""
    import ctypes

    libc = _libc()
    _check(libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "prctl")
    _check(libc.syscall(_RESTRICT_SELF, ruleset, 0), "landlock_restrict_self")
    os.close(ruleset)
    code = ctypes.create_string_buffer(seccomp, len(seccomp))
    length = len(seccomp) // 8
    program = length.to_bytes(8, sys.byteorder) + ctypes.addressof(code).to_bytes(8, sys.byteorder)
    _check(libc.prctl(_PR_SET_SECCOMP, 2, program, 0, 0), "seccomp")


def _keep(wanted: Mapping[str, Any]) -> None:
    """Runs the program as a child, until it ends or SIGTERM comes, then ends everything that it left."""
    libc = _libc()
    _check(libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0), "prctl")
    signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGCHLD, signal.SIGTERM))
    _check(libc.prctl(_PR_SET_PDEATHSIG, int(signal.SIGTERM), 0, 0, 0), "prctl")
    if os.getppid() != wanted["parent"]:
        os._exit(1)
    program = os.fork()
    if program == 0:
        os.setsid()
        # Signals wait until the keeper is watching; the mask would be inherited by the program.
        signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGCHLD, signal.SIGTERM))
        try:
            _become(wanted)
        except BaseException as error:
            sys.stderr.write(f"{type(error).__name__}: {error}\n")
        os._exit(126)
    os.close(wanted["ready"])
    for fd in wanted["passed"]:
        os.close(fd)
    code = None
    while code is None and signal.sigwait((signal.SIGCHLD, signal.SIGTERM)) == signal.SIGCHLD:
        code = _reap(program)
    _sweep(program)
    code = -signal.SIGKILL if code is None else code
    os._exit(code if code >= 0 else 128 - code)


def _reap(program: int) -> int | None:
    """Takes leave of the children that ended, and returns the exit code of the program if it is among them."""
    code = None
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return code
        if pid == 0:
            return code
        if pid == program:
            code = os.waitstatus_to_exitcode(status)


def _sweep(program: int) -> None:
    """Kills all descendants until there are none: orphans come to this process.

    The dead are reaped when no process was added, because they count as processes till then: a bomb that is at its
    limit cannot fork meanwhile.
    """
    before: list[int] = []
    while found := _descendants():
        if found == before:
            _reap(program)
            time.sleep(0.001)
            continue
        for pid in found:
            try:
                os.kill(pid, signal.SIGKILL)
            except (ProcessLookupError, PermissionError):  # not ours to kill: what `sudo` started
                continue
        before = found


def _descendants() -> list[int]:
    found = [os.getpid()]
    for pid in found:
        try:
            for thread in os.listdir(f"/proc/{pid}/task"):  # noqa: PTH208
                with open(f"/proc/{pid}/task/{thread}/children", encoding="ascii") as file:  # noqa: PTH123
                    found += map(int, file.read().split())
        except OSError:
            continue
    return found[1:]


def _libc() -> Any:
    import ctypes

    return ctypes.CDLL(None, use_errno=True)


def _check(result: int, what: str) -> None:
    if result < 0:
        import ctypes

        raise OSError(ctypes.get_errno(), f"{what}: {os.strerror(ctypes.get_errno())}")


if __name__ == "__main__":
    main()
