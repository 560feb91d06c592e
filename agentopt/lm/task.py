"""The task of training code: a version of it is trained in a sandbox, and what it learned is scored outside of it."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from agentopt.code.literals import write_literals
from agentopt.code.tunable import changed_numbers
from agentopt.errors import UsageError, unknown
from agentopt.lm import NEEDED
from agentopt.lm.budget import Budget
from agentopt.lm.corpora import Split, find_corpus
from agentopt.lm.dataset import Dataset, Manifest, find_manifest, load_dataset
from agentopt.lm.evaluate import Score, Tolerance, Verdict
from agentopt.lm.exam import make_exam
from agentopt.lm.feed import Ending, Served
from agentopt.lm.folder import CodeFolder, read_folder
from agentopt.lm.scoring import covers_of, parameters, score
from agentopt.lm.training import Profile, train
from agentopt.outcomes import failure
from agentopt.protocols import Code, Isolation, Objective
from agentopt.sandbox import Execution, ExecutionStatus, Limits, Sandbox, Tier, why_not
from agentopt.sandbox.collector import Refused, collect
from agentopt.sandbox.endings import last_words, names_only
from agentopt.sandbox.folders import fresh_folder
from agentopt.sandbox.repository import REPOSITORY, Repository
from agentopt.space import SearchSpace
from agentopt.task import FOLDER_VARIABLE
from agentopt.trial import Edit, Outcome, Params, Status, Value

PATCH = "patch.diff"
FURTHER = ("parameters", "virtual_seconds", "train_seconds", "cpu_seconds", "peak_bytes")
"""What a training measures that may be minimised too; the first two repeat exactly."""
_SLACK_SECONDS = 300.0
"""What a trial may take beyond the limits of its parts: the first one builds the corpus."""
_STATUSES = {
    ExecutionStatus.OOM: Status.OOM,
    ExecutionStatus.TIMEOUT: Status.TIMEOUT,
}
_VERDICTS = {Verdict.HANG: Status.TIMEOUT, Verdict.CRASH: Status.FAILED}
"""The statuses of what the evaluator refuses; everything else is invalid."""
_WORDS = 1500


@dataclass(frozen=True)
class Place:
    """Where a trial's files are."""

    trial: int
    folder: Path
    """Of what is kept with the trial."""
    run: Path


@dataclass(frozen=True)
class Trained:
    """A training that came to its end, and the score of what it left."""

    execution: Execution
    served: Served
    scores: tuple[Score, ...]
    """One for each exam."""


@dataclass(frozen=True)
class CodeTask:
    """Trains versions of a folder's code under a fixed budget; the value is that of the weights they leave."""

    name: str
    source: CodeFolder
    corpus: str
    budget: Budget
    tier: Tier
    further: tuple[str, ...] = ()
    """The metrics of a training that are objectives too, all to be minimised."""
    isolation: Isolation = field(default="process", init=False)

    @property
    def space(self) -> SearchSpace:
        """The literals of the code that may be tuned."""
        return self.source.space

    @property
    def code(self) -> Code:
        """The code as it stands."""
        return self.source.code

    @property
    def objectives(self) -> tuple[Objective, ...]:
        """The value of the weights, and what the further ones measure of the training."""
        return (self.source.objective, *(Objective(name) for name in self.further))

    @property
    def timeout(self) -> float:
        """The wall seconds of one trial; its parts have limits of their own."""
        profile = self.source.profile
        return profile.timeout + profile.eval_timeout + _SLACK_SECONDS

    @property
    def facts(self) -> dict[str, str]:
        """What `agentopt show` says of it."""
        found, profile = find_corpus(self.corpus), self.source.profile
        return {
            "corpus": f"{found.name}: {found.description}",
            "licence": found.licence,
            "text": _extent(find_manifest(self.corpus, profile.vocab_size)),
            "training budget": str(self.budget),
            "profile": f"{profile.device}, {profile.vocab_size} tokens, rows of {profile.seq_len}",
            "sandbox": str(self.tier),
            "edited file": str(self.source.path / self.code.file),
        }

    @property
    def warning(self) -> str:
        """What a user must know before trials run; empty where there is nothing."""
        if self.tier is not Tier.PROCESS:
            return ""
        return (
            "tier=process isolates nothing: trials can read the held-out text and your files, and reach the network. It"
            " is for code that you trust."
        )

    def why_not(self) -> str:
        """Returns why no trial can run here, with the remedy; nothing where they can."""
        if shutil.which("git") is None:
            return f"{self.name} keeps its versions in a git repository, and git is not installed."
        if reason := why_not(self.tier):
            return f"{self.name} runs its trials in the sandbox tier {self.tier}, which does not work here: {reason}."
        if self.tier is Tier.LANDLOCK and find_corpus(self.corpus).hidden:
            return (
                f"the corpus {self.corpus} is text that is installed here: trials in tier=landlock could read"
                " what is held out of it. Take tier=bubblewrap, or another corpus (-t corpus=shakespeare)."
            )
        return ""

    def describe(self) -> str:
        """Returns what the task is about."""
        return f"{self.source.description} The budget of one training is {self.budget}."

    def repair(self, params: Params) -> dict[str, Value]:
        """Returns the configuration with the repairs of its space applied."""
        return self.space.repair(params)

    def evaluate(self, params: Params, seed: int = 0, edit: Edit | None = None) -> Outcome:
        """Trains the code with the values of `params` in it, or the edit as it is, and scores what it learned."""
        if edit is None:
            changed = [f"{name} = {value}" for name, value in changed_numbers(self.code.text, params).items()]
            edit = Edit(write_literals(self.code.text, params), None, ", ".join(changed) or "the first version")
        with _place() as place:
            repository = Repository.create(
                place.run / REPOSITORY, {self.code.file: self.code.text, **self.source.locked}
            )
            repository.commit(place.trial, {self.code.file: edit.text}, edit.parent, edit.summary)
            (place.folder / PATCH).write_text(repository.diff(edit.parent, place.trial), encoding="utf-8")
            with repository.worktree(place.trial) as work:
                found = self.run(work, edit.text, seed, [(Split.VAL, self.source.profile.eval_tokens)])
        return found if isinstance(found, Outcome) else self._outcome(found)

    def run(self, work: Path, text: str, seed: int, exams: Sequence[tuple[Split, int | None]]) -> Trained | Outcome:
        """Trains a version that stands in `work` and scores it on held-out text; a failure is an outcome.

        `text` is the version's editable file; `exams` say which splits are looked at, and how many tokens of each
        (None: all of them).
        """
        source, profile = self.source, self.source.profile
        dataset = self._dataset
        sizes = Profile(profile.vocab_size, profile.seq_len, profile.device)
        with fresh_folder(work.with_name(f"{work.name}-own")) as own:  # in the run: a kill leaves nothing in /tmp
            code = self._write_code(own / "code", text)
            covers = covers_of(dataset, own, self.tier)
            box = self._sandbox(work, code, covers)
            argv = [sys.executable if word == "{python}" else word for word in source.command]
            execution, served = train(
                box,
                argv,
                dataset=dataset,
                profile=sizes,
                budget=self.budget,
                cost=profile.cost_model,
                seed=seed % (1 << 31),
                timeout=profile.timeout,
            )
            _relay(execution)
            if served.ending is Ending.NONSENSE:  # it was killed for that, or saw that it was refused and left
                words = execution.stderr.strip()[-_WORDS:]
                return failure(Status.INVALID, f"it asked the feed for a batch that there cannot be\n{words}".strip())
            if execution.status is not ExecutionStatus.OK:
                return _ended_badly(execution, box.work)
            if not served.steps:
                text = f"the training took no batch: it asked for none, or none fits into {self.budget}"
                return failure(Status.FAILED, text)
            weights = own / "weights.safetensors"
            try:
                taken = collect(box.work / source.weights, weights, profile.weights_bytes)
                size = parameters(weights)
            except (Refused, ValueError) as error:
                return failure(Status.FAILED, f"the training left no weights that can be used: {error}")
            if size > served.parameters:
                text = f"it saved {size} parameters and declared {served.parameters} to the feed"
                return failure(Status.INVALID, text)
            salt = bytes.fromhex(taken.sha256)
            scores = tuple(
                score(
                    code,
                    weights,
                    make_exam(dataset, split, profile.seq_len, salt=salt, tokens=tokens),
                    profile=sizes,
                    tolerance=Tolerance(profile.gap, profile.gain),
                    tier=self.tier,
                    limits=Limits(memory_bytes=profile.memory),
                    timeout=profile.eval_timeout,
                    covers=covers,
                    scratch=own,
                )
                for split, tokens in exams
            )
        return Trained(execution, served, scores)

    @cached_property
    def _dataset(self) -> Dataset:
        """The tokens, looked up and checked once for all trials of a process."""
        return load_dataset(self.corpus, self.source.profile.vocab_size)

    def _write_code(self, folder: Path, text: str) -> dict[str, Path]:
        """Writes the files of a version where no trial can write, and returns their paths by name."""
        folder.mkdir()
        files = {self.code.file: text, **self.source.locked}
        for name, content in files.items():
            (folder / name).write_text(content, encoding="utf-8")
        return {name: folder / name for name in files}

    def _sandbox(self, work: Path, code: Mapping[str, Path], covers: list[tuple[Path, Path]]) -> Sandbox:
        profile = self.source.profile
        locked = [(path, work / name) for name, path in code.items() if name in self.source.locked]
        limits = Limits(memory_bytes=profile.memory, disk_bytes=2 * profile.weights_bytes)
        gpu = profile.device == "cuda"
        return Sandbox(work, tier=self.tier, limits=limits, readonly=[*locked, *covers], gpu=gpu)

    def _outcome(self, trained: Trained) -> Outcome:
        (found,), execution, served = trained.scores, trained.execution, trained.served
        metrics = {
            "train_tokens": float(served.tokens),
            "train_steps": float(served.steps),
            "parameters": float(served.parameters),
            "virtual_seconds": served.virtual_seconds,
            "train_seconds": execution.seconds,
            "cpu_seconds": execution.cpu_seconds,
            "peak_bytes": float(execution.peak_bytes),
        }
        if found.verdict is not Verdict.OK:
            status = _VERDICTS.get(found.verdict, Status.INVALID)
            if found.execution is not None:
                status = _STATUSES.get(found.execution.status, status)
            return Outcome(status, metrics=metrics, error=f"{found.verdict}: {found.reason}")
        return Outcome(Status.COMPLETE, (found.bpb, *(metrics[name] for name in self.further)), metrics)


def load_code_task(name: str, folder: Path, options: Mapping[str, Any]) -> CodeTask:
    """Returns the task of a folder with code.

    Options: `profile` (auto, or one of the folder's), `corpus`, `train_budget` (`250k tokens`, `8 virtual`, `300s`),
    `objectives` (the folder's own, or also some of `FURTHER`, as in `val_bpb,parameters`) and `tier` of the sandbox.
    Raises UsageError for others, and where something that is needed is not installed.
    """
    known = ("profile", "corpus", "train_budget", "objectives", "tier")
    for option in options:
        if option not in known:
            raise unknown(f"option of task {name}:", option, known)
    missing = [module for module in NEEDED if find_spec(module) is None]
    if missing:
        raise UsageError(
            f"Task {name} trains a language model and needs {', '.join(missing)}: pip install 'agentopt[lm]'"
        )
    source = read_folder(folder, str(options.get("profile", "auto")))
    corpus = str(options.get("corpus", source.profile.corpus))
    find_corpus(corpus)
    tier = str(options.get("tier", Tier.BUBBLEWRAP))
    if tier not in list(Tier):
        raise unknown("tier of sandboxes", tier, list(Tier))
    budget = Budget.parse(str(options.get("train_budget", source.profile.budget)))
    further = _further(name, source.objective.name, options.get("objectives"))
    return CodeTask(name, source, corpus, budget, Tier(tier), further)


def _further(name: str, first: str, given: Any) -> tuple[str, ...]:
    """Returns the objectives besides the first one, from `val_bpb,parameters` or a list of such names."""
    names = [first] if given is None else given.split(",") if isinstance(given, str) else list(given)
    names = [str(one).strip() for one in names]
    if names[0] != first or len(set(names)) < len(names):
        raise UsageError(f"Task {name}: objectives = {given!r}: the first is {first}, and none is there twice.")
    for one in names[1:]:
        if one not in FURTHER:
            raise unknown(f"objective of task {name}:", one, FURTHER)
    return tuple(names[1:])


def _extent(manifest: Manifest | None) -> str:
    """Returns the size and the hash of a corpus, as far as they are known."""
    if manifest is None:
        return "not read yet: the first trial does"
    size, documents = sum(manifest.text_bytes.values()), sum(manifest.documents.values())
    return f"{size:,} bytes in {documents:,} documents, sha256 {manifest.text_sha256[:16]}"


@contextmanager
def _place() -> Iterator[Place]:
    """Gives the trial's place in its run, or a temporary one outside of a run."""
    if FOLDER_VARIABLE in os.environ:
        folder = Path(os.environ[FOLDER_VARIABLE])
        folder.mkdir(parents=True, exist_ok=True)
        yield Place(int(folder.name), folder, folder.parent.parent)
        return
    with tempfile.TemporaryDirectory(prefix="agentopt-") as temporary:
        folder = Path(temporary).resolve() / "trials" / "0"
        folder.mkdir(parents=True)
        yield Place(0, folder, folder.parent.parent)


def _relay(execution: Execution) -> None:
    """Passes what the training printed on, as text that nobody reads a value from."""
    sys.stdout.write(execution.stdout)
    sys.stderr.write(execution.stderr)


def _ended_badly(execution: Execution, work: Path) -> Outcome:
    status = _STATUSES.get(execution.status, Status.FAILED)
    words = names_only(last_words(execution, _WORDS), work)
    return failure(status, f"the training ended with {execution.status}: {words}")
