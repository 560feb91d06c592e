"""The git repository of a run: one commit per trial, on a ref of its own that is never taken away.

The repository is bare and stands where no trial can see it. Commits are made from text, never from a folder that a
trial could write, with git's plumbing and without an index: blobs, trees and commits are first written, then one locked
update moves the ref. A process killed at any point therefore leaves a whole repository.

A trial's worktree is a plain folder without a `.git`: its files are written from the blobs. Git never works in it, so
nothing that a trial plants there is ever read by git, and there is no list of worktrees that could go wrong
(`git worktree add` fails when several run at once). What a killed trial leaves is a folder.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from agentopt.errors import JournalError, ReplayMismatch, UsageError
from agentopt.sandbox.folders import remove_tree
from agentopt.sandbox.plumbing import call_git

REPOSITORY = "repo"
"""The folder of a run that holds its repository."""
_REFS = "refs/agentopt"
_EPOCH = 946_684_800
"""The date of the first commit, 2000-01-01: dates follow from the trials' numbers, so that hashes repeat."""
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.\-]*(/[A-Za-z0-9_][A-Za-z0-9_.\-]*)*")
_MESSAGE_CHARS = 500
_WAIT_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Version:
    """One commit of a run."""

    trial: int | None
    """None: the seed."""
    sha: str
    parent: int | None
    message: str
    superseded: bool = False
    """Whether the trial was committed again with other content."""


class Repository:
    """The versions of a run's code by trial number; None is the seed that all of them come from."""

    def __init__(self, folder: Path) -> None:
        """Takes a repository that exists: see `create` and `open`."""
        self.folder = folder
        self.worktrees = folder.with_name("worktrees")
        """Where the trials' folders are."""

    @classmethod
    def create(cls, folder: Path, files: Mapping[str, str], message: str = "seed") -> Repository:
        """Returns the repository in `folder`, made with `files` as its seed unless it is there.

        Raises ReplayMismatch where it is there with another seed.
        """
        folder = folder.resolve()
        folder.parent.mkdir(parents=True, exist_ok=True)
        repository = cls(folder)
        with repository._locked():
            if not folder.exists():
                making = cls(folder.with_name(f"{folder.name}.making"))
                remove_tree(making.folder)
                call_git(making.folder, "init", "--quiet", "--bare", "--template=", "--object-format=sha1")
                making._point(f"{_REFS}/seed", making._write_commit(making._write_blobs(files), None, message, _EPOCH))
                making.folder.rename(folder)
        if repository.files(None) != dict(files):
            raise ReplayMismatch(f"The files that the run began with differ from the seed in {folder}.")
        return repository

    @classmethod
    def open(cls, folder: Path) -> Repository:
        """Returns the repository in `folder`; raises JournalError where there is none."""
        repository = cls(folder.resolve())
        if not (folder / "HEAD").is_file() or repository._resolve(_ref(None))[0] is None:
            raise JournalError(f"{folder} is not the repository of a run.")
        return repository

    def commit(self, trial: int, files: Mapping[str, str], parent: int | None = None, message: str = "") -> str:
        """Returns the hash of the trial's commit: the parent's files with `files` in their place.

        The same content again gives the same commit. Other content for a trial that has a commit takes its place; the
        earlier one stays under `refs/agentopt/superseded/`. `message` may be anything: what is not printable is left
        out, and it is cut to 500 characters.
        """
        above = self._sha(parent)
        blobs = {**self._listing(above), **self._write_blobs(files)}
        sha = self._write_commit(blobs, above, message, _EPOCH + 1 + trial)
        with self._locked():
            self._point(_ref(trial), sha)
        return sha

    def files(self, trial: int | None) -> dict[str, str]:
        """Returns the text of every file of a version, by name."""
        listing = self._listing(self._sha(trial))
        return {
            name: content.decode() for name, content in zip(listing, self._contents(*listing.values()), strict=True)
        }

    def file(self, trial: int | None, name: str) -> str:
        """Returns the text of one file of a version; raises UsageError where the version does not have it."""
        listing = self._listing(self._sha(trial))
        if name not in listing:
            raise UsageError(f"{_title(trial)} has no file {name!r} in {self.folder}: {', '.join(sorted(listing))}.")
        return self._contents(listing[name])[0].decode()

    @contextmanager
    def worktree(self, trial: int | None) -> Iterator[Path]:
        """Gives a new folder that holds the version's files and nothing else; removes it and all that was left in it.

        One trial has one worktree at a time: a folder that a killed process left under its name is removed first.
        """
        content = self.files(trial)
        folder = self.worktrees / _ref(trial).rpartition("/")[2]
        remove_tree(folder)
        folder.mkdir(parents=True)
        try:
            for name, text in content.items():
                path = folder / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(text.encode())
            yield folder
        finally:
            remove_tree(folder)

    def remove_worktrees(self) -> None:
        """Removes the worktrees that killed processes left: to be called while no trial runs."""
        remove_tree(self.worktrees)

    def diff(self, a: int | None, b: int | None) -> str:
        """Returns the unified patch from version `a` to version `b`; empty where they are equal."""
        return self._compare(a, b, "--patch", "--src-prefix=a/", "--dst-prefix=b/")

    def changed_lines(self, a: int | None, b: int | None) -> int:
        """Returns how many lines were added and removed from version `a` to version `b`."""
        counts = (line.split("\t")[:2] for line in self._compare(a, b, "--numstat").splitlines())
        return sum(int(added) + int(removed) for added, removed in counts)

    def log(self) -> list[Version]:
        """Returns all commits of the run: the seed, then by trial, superseded ones before the one that counts."""
        shape = "--format=%(refname)%00%(objectname)%00%(parent)%00%(contents:subject)"
        rows = [
            line.split("\0") for line in call_git(self.folder, "for-each-ref", shape, _REFS).decode().split("\n")[:-1]
        ]
        known = {sha: _trial(ref) for ref, sha, _, _ in rows}
        versions = [
            Version(_trial(ref), sha, known.get(parent), message, superseded="/superseded/" in ref)
            for ref, sha, parent, message in rows
        ]
        return sorted(versions, key=lambda v: (-1 if v.trial is None else v.trial, not v.superseded, v.sha))

    def _compare(self, a: int | None, b: int | None, *form: str) -> str:
        plain = ("-r", "--text", "--no-color", "--no-ext-diff", "--no-textconv", "--no-renames")
        return call_git(self.folder, "diff-tree", *plain, *form, self._sha(a), self._sha(b)).decode()

    def _sha(self, trial: int | None) -> str:
        found = self._resolve(_ref(trial))[0]
        if found is None:
            raise UsageError(f"{_title(trial)} has no version in {self.folder}.")
        return found

    def _resolve(self, *refs: str) -> list[str | None]:
        answers = call_git(self.folder, "cat-file", "--batch-check", stdin="\n".join(refs).encode() + b"\n")
        return [None if line.endswith("missing") else line.split()[0] for line in answers.decode().splitlines()]

    def _listing(self, sha: str) -> dict[str, str]:
        """Returns the blob of each file of a commit; raises JournalError where one is no regular file."""
        found = {}
        for row in call_git(self.folder, "ls-tree", "-r", "-z", "--full-tree", sha).decode().split("\0")[:-1]:
            kind, _, name = row.partition("\t")
            mode, _, blob = kind.split(" ")
            if mode != "100644" or not _NAME.fullmatch(name):
                raise JournalError(f"{self.folder}: {name!r} of {sha[:12]} is no regular file (mode {mode}).")
            found[name] = blob
        return found

    def _contents(self, *blobs: str) -> list[bytes]:
        out = call_git(self.folder, "cat-file", "--batch", stdin="".join(f"{blob}\n" for blob in blobs).encode())
        contents = []
        for _ in blobs:
            head, _, out = out.partition(b"\n")
            size = int(head.split()[-1])
            contents.append(out[:size])
            out = out[size + 1 :]
        return contents

    def _write_commit(self, blobs: Mapping[str, str], parent: str | None, message: str, date: int) -> str:
        above = ("-p", parent) if parent else ()
        words = "".join(c if c.isprintable() else " " for c in message)
        text = " ".join(words.split())[:_MESSAGE_CHARS]
        command = ("commit-tree", self._write_tree(blobs), *above)
        return call_git(self.folder, *command, stdin=text.encode(), date=date).decode().strip()

    def _write_blobs(self, files: Mapping[str, str]) -> dict[str, str]:
        write = ("hash-object", "-w", "--no-filters", "--stdin")
        return {
            name: call_git(self.folder, *write, stdin=content).decode().strip()
            for name, content in _encoded(files).items()
        }

    def _write_tree(self, blobs: Mapping[str, str]) -> str:
        folders: dict[str, dict[str, str]] = {}
        rows = {}
        for name, blob in blobs.items():
            head, _, rest = name.partition("/")
            if rest:
                folders.setdefault(head, {})[rest] = blob
            else:
                rows[name] = f"100644 blob {blob}\t{name}"
        for name, inner in folders.items():
            if name in rows:
                raise UsageError(f"{name!r} cannot be a file and a folder of the same version.")
            rows[name] = f"040000 tree {self._write_tree(inner)}\t{name}"
        return call_git(self.folder, "mktree", stdin="\n".join(rows.values()).encode()).decode().strip()

    def _point(self, ref: str, sha: str) -> None:
        """Makes `ref` name a commit, and keeps the one that it named so far; the repository's lock is held."""
        before = self._resolve(ref)[0]
        if before == sha:
            return
        moves = [f"update {ref} {sha} {before or '0' * 40}"]
        if before is not None:
            moves.insert(0, f"update {ref.replace(_REFS, f'{_REFS}/superseded')}/{before} {before}")
        change = "".join(f"{move}\n" for move in moves).encode()
        try:
            call_git(self.folder, "update-ref", "--stdin", stdin=change)
        except JournalError:
            # Git has waited for the ref's lock; whoever holds the repository's lock and was killed left it.
            left = [path for move in moves if (path := self.folder / f"{move.split()[1]}.lock").exists()]
            if not left:
                raise
            for path in left:
                path.unlink()
            call_git(self.folder, "update-ref", "--stdin", stdin=change)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        lock = FileLock(self.folder.with_name(f"{self.folder.name}.lock"), timeout=_WAIT_SECONDS)
        try:
            with lock:
                yield
        except Timeout as error:
            raise JournalError(f"{self.folder} was held by another process for {_WAIT_SECONDS:g} s.") from error


def _ref(trial: int | None) -> str:
    return f"{_REFS}/seed" if trial is None else f"{_REFS}/t{trial}"


def _trial(ref: str) -> int | None:
    """Returns the trial that a ref belongs to: `t7`, or `superseded/t7/HASH`."""
    found = re.search(r"/t(\d+)(?:/|$)", ref)
    return int(found[1]) if found else None


def _title(trial: int | None) -> str:
    return "The seed" if trial is None else f"Trial {trial}"


def _encoded(files: Mapping[str, str]) -> dict[str, bytes]:
    """Returns the files' content; raises UsageError for names that could mean something to git or leave the folder."""
    for name, text in files.items():
        if not _NAME.fullmatch(name):
            raise UsageError(
                f"{name!r} cannot be in a version: names are of letters, digits, `_`, `-` and `.`, none beginning with"
                " `.` or `-`, in folders parted by `/`."
            )
        if any("\ud800" <= c <= "\udfff" for c in text):
            raise UsageError(f"{name!r} cannot be in a version: its text is not valid Unicode (a lone surrogate).")
    return {name: text.encode() for name, text in files.items()}
