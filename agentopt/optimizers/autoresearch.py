"""Autoresearch: a language model edits the code of an experiment, one idea at a time; each is kept or discarded.

The loop is that of karpathy/autoresearch, with what its users ask for: a measured noise floor, second runs of near
ties, a look back when nothing helps any more, and (`tune_every`) a short Centaur run over the numbers that stand in the
code, which no published system has. Whether a version is kept is `agentopt.code.keeper`'s to say.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from agentopt.code.edits import read_edit
from agentopt.code.keeper import AGAIN, SECOND, Experiment, Keeper, KeepRule, Version
from agentopt.code.literals import write_literals
from agentopt.code.tunable import changed_numbers, tunable
from agentopt.errors import ModelUnavailable
from agentopt.llm.gateway import Gateway
from agentopt.llm.values import Read, Reply, ReplyError
from agentopt.optimizers import MethodOptions
from agentopt.optimizers.centaur import Centaur, CentaurOptions
from agentopt.optimizers.local import incumbent_step
from agentopt.optimizers.wording import stable_window
from agentopt.prompts import render
from agentopt.protocols import Code, Problem
from agentopt.trial import Edit, Json, Origin, Params, Suggestion, Trial, Value

_TRIES = 100
_REPAIR = "autoresearch/repair"
_ERROR_CHARS = 1500
"""How much of a failure's text the model is shown."""


class AutoresearchOptions(MethodOptions, KeepRule):
    """The options of the code agent; when a version is kept is among them."""

    reply_tokens: ClassVar[int] = 2048
    context: ClassVar[int] = 32768

    sampler: Literal["llm", "incumbent"] = Field(
        "llm",
        description="Who edits: llm, or a model-free control: incumbent (a Gaussian step of the numbers in the code).",
    )
    fallback: Literal["incumbent", "stop"] = Field(
        "incumbent",
        description="Instead of a reply that stays unusable: a Gaussian step of the numbers in the code, tagged"
        " fallback; stop: the run stops (resumable).",
    )
    fix: bool = Field(default=True, description="Whether the model may mend a version that crashed, once.")
    tune_every: int = Field(
        0, ge=0, description="Experiments after which Centaur tunes the numbers in the current code; 0: never."
    )
    tune_trials: int = Field(12, ge=2, description="Trials of such a tuning.")
    prompt: str = Field("autoresearch/edit", description="The prompt file under prompts/, without its ending.")
    recent: int = Field(20, ge=1, description="Experiments shown; up to twice as many, so that prompts share text.")

    @property
    def needs_model(self) -> bool:
        """Whether the edits are a language model's."""
        return self.sampler == "llm"


@dataclass(slots=True)
class _Tuning:
    """A short search over the numbers that stand in one version of the code."""

    search: Centaur
    version: Version
    left: int
    """How many trials are still to be asked for."""
    running: dict[int, int | None]
    """The search's own token of each trial that runs, by ours."""


class Autoresearch:
    """Edits the best version of the code so far."""

    summary: ClassVar[str] = (
        "A language model edits training code, one idea at a time; keep or discard (karpathy/autoresearch)."
    )
    needs_code: ClassVar[bool] = True
    Options = AutoresearchOptions

    def __init__(
        self, problem: Problem, options: AutoresearchOptions, rng: np.random.Generator, gateway: Gateway | None = None
    ) -> None:
        assert problem.code is not None
        self._problem, self._options, self._rng, self._gateway = problem, options, rng, gateway
        self._code: Code = problem.code
        self._keeper = Keeper(options, self._code.text)
        self._seed_runs = [SECOND, 0] if options.noise_floor is None else []
        """The runs of the first version that are still to be asked for; the study makes number 0 itself, as a rule."""
        self._broken: dict[int, str] = {}
        """The errors of versions that the model may still mend."""
        self._texts: dict[str, str] = {self._code.text: "the first version"}
        """Every text that was suggested, with its description."""
        self._second: set[int | None] = set()
        """The versions whose second run is under way."""
        self._tuning: _Tuning | None = None
        self._untuned = 0
        """Edits since the last tuning."""
        self._tokens = 0
        self._recent = options.recent
        """How many experiments a prompt shows; fewer once one did not fit into the model's context."""

    def ask(self, n: int) -> list[Suggestion]:
        """Returns second runs that are due, then tuning trials, then edits of the best version, asked for together."""
        made: list[Suggestion] = []
        while len(made) < n and (found := self._first_version() or self._second_run() or self._tune()) is not None:
            made.append(found)
        if self._seed_runs and not self._keeper.experiments:
            return made  # nothing is known of the first version yet
        return made + self._edits(n - len(made))

    def tell(self, trial: Trial) -> None:
        """Takes a trial and decides about its version."""
        self._keeper.tell(trial)
        role = trial.note.get("role")
        if trial.edit is None and 0 in self._seed_runs:
            self._seed_runs.remove(0)
        if AGAIN in trial.note:
            self._second.discard(trial.note[AGAIN])
        if role == "edit" and trial.edit is not None and not trial.complete:
            self._broken[trial.id] = trial.outcome.error
        self._untuned += role in ("edit", "fix")
        tuning = self._tuning
        if tuning is not None and trial.token in tuning.running:
            told = replace(trial, token=tuning.running.pop(trial.token), edit=None)
            if trial.complete:
                told = replace(told, outcome=replace(trial.outcome, values=(self._keeper.loss(trial),)))
            tuning.search.tell(told)
            if not tuning.left and not tuning.running:
                self._tuning, self._untuned = None, 0

    def explain(self) -> Mapping[str, Json]:
        """Returns which version is edited, what was kept, and the noise that a gain is measured against."""
        keeper = self._keeper
        return {
            "base": keeper.base,
            "kept": list(keeper.kept),
            "best": keeper.best.trial,
            "noise_floor": keeper.noise,
            "verdicts": dict(Counter(verdict.value for verdict in keeper.verdicts.values())),
            "tuning_trials_left": 0 if self._tuning is None else self._tuning.left,
        }

    def _suggest(
        self, edit: Edit, origin: Origin, role: str, note: Mapping[str, Json], params: Params | None = None
    ) -> Suggestion:
        token, self._tokens = self._tokens, self._tokens + 1
        self._texts.setdefault(edit.text, edit.summary)
        return Suggestion(params or {}, origin, token, {"role": role, **note}, edit)

    def _first_version(self) -> Suggestion | None:
        """Returns a run of the first version: its noise takes two."""
        if not self._seed_runs or (self._seed_runs[0] == 0 and not self._keeper.experiments):
            return None
        replicate = self._seed_runs.pop(0)
        edit = Edit(self._code.text, None, "the first version", replicate)
        return self._suggest(edit, Origin.REPEAT if replicate else Origin.BASELINE, "again", {AGAIN: None})

    def _second_run(self) -> Suggestion | None:
        """Returns a second run of a version that a near tie is about."""
        for number in self._keeper.due:
            if number not in self._second:
                self._second.add(number)
                version = self._keeper.versions[number]
                edit = Edit(version.text, number, version.summary, SECOND)
                return self._suggest(edit, Origin.REPEAT, "again", {AGAIN: number})
        return None

    def _tune(self) -> Suggestion | None:
        """Returns a trial of Centaur on the numbers in the code, where it is time for that."""
        if self._tuning is None and self._options.tune_every and self._untuned >= self._options.tune_every:
            self._start_tuning()
        tuning = self._tuning
        if tuning is None or not tuning.left:
            return None
        asked = tuning.search.ask(1)
        if not asked:
            return None
        tuning.left -= 1
        inner = asked[0]
        made = self._numbers(tuning.version, inner.params, inner.origin, "tune", inner.note)
        assert made.token is not None
        tuning.running[made.token] = inner.token
        return made

    def _start_tuning(self) -> None:
        base = self._keeper.versions[self._keeper.base]
        space = tunable(self._problem.space, base.text)
        if space is None:
            self._untuned = 0
            return
        trials = self._options.tune_trials
        problem = replace(
            self._problem,
            space=space,
            trials=trials,
            code=None,
            objectives=self._problem.objectives[:1],
            repairer=None,  # versions of the code are run as they are
        )
        sampler = "llm" if self._options.needs_model else "incumbent"
        options = CentaurOptions.model_validate({"core": "cmaes", "warmup": 2, "ratio": 0.3, "sampler": sampler})
        extra = () if self._gateway is None else (self._gateway,)
        search = Centaur(problem, options, self._rng.spawn(1)[0], *extra)
        self._tuning = _Tuning(search, base, trials, {})

    def _edits(self, n: int) -> list[Suggestion]:
        """Returns `n` edits: of versions that crashed first, then of the best version."""
        if not self._options.needs_model:
            return [self._step(Origin.CONTROL, "edit", {}) for _ in range(n)]
        made: list[Suggestion] = []
        while len(made) < n and self._options.fix and self._broken:
            number = next(iter(self._broken))
            made += self._ask_model(number, self._broken.pop(number), 1)
        return made + self._ask_model(self._keeper.base, "", n - len(made))

    def _ask_model(self, number: int | None, error: str, n: int) -> list[Suggestion]:
        """Returns `n` edits of a version by the model; with `error`, of one that crashed."""
        if n == 0:
            return []
        version, role = self._keeper.versions[number], "fix" if error else "edit"

        def read(reply: str) -> Read[Edit]:
            found = read_edit(reply, version.text, self._code.required)
            if found.value.text in self._texts:
                known = self._texts[found.value.text]
                raise ReplyError(f"this version has been run before ({known}); change something else")
            return found

        made = []
        for reply in self._replies(number, error, read, n):
            note: dict[str, Json] = {"calls": list(reply.calls)}
            if reply.issues:
                note["issues"] = list(reply.issues)
            if reply.value is None or reply.value.text in self._texts:
                reason = reply.reason or "duplicate"
                if self._options.fallback == "stop":
                    raise ModelUnavailable(f"The model's reply could not be used ({reason}), and fallback=stop.")
                made.append(self._step(Origin.FALLBACK, "edit", {**note, "reason": reason}))
            else:
                made.append(self._suggest(replace(reply.value, parent=number), Origin.LLM, role, note))
        return made

    def _replies(self, number: int | None, error: str, read: Callable[[str], Read[Edit]], n: int) -> list[Reply[Edit]]:
        """Returns `n` replies of the model; a prompt that is too long for it is asked again with fewer experiments."""
        assert self._gateway is not None
        view = {"text": self._keeper.versions[number].text, "error": error}
        while True:
            prompt = render(self._options.prompt, self._variables(number, error))
            replies = self._gateway.ask(prompt, read, n=n, view=view, repair=_REPAIR)
            if self._recent == 0 or not any(reply.too_long for reply in replies):
                return replies
            self._recent //= 2

    def _step(self, origin: Origin, role: str, note: Mapping[str, Json]) -> Suggestion:
        """Returns a Gaussian step of the numbers in the best version, or in the first one where it has none."""
        base = self._keeper.versions[self._keeper.base]
        space = tunable(self._problem.space, base.text)
        if space is None:
            base, space = self._keeper.versions[None], self._problem.space
        centre = space.defaults()
        assert centre is not None
        for _ in range(_TRIES):
            params = incumbent_step(space, centre, self._rng)
            if write_literals(base.text, params) not in self._texts:
                break
        return self._numbers(base, params, origin, role, note)

    def _numbers(
        self, version: Version, params: Params, origin: Origin, role: str, note: Mapping[str, Json]
    ) -> Suggestion:
        """Returns the suggestion of a version with other numbers in it."""
        changed = [f"{name} {_short(value)}" for name, value in changed_numbers(version.text, params).items()]
        edit = Edit(write_literals(version.text, params), version.trial, ", ".join(changed) or "the same numbers")
        return self._suggest(edit, origin, role, note, params)

    def _variables(self, number: int | None, error: str) -> dict[str, Any]:
        """Returns what the prompt may use, every number already written out."""
        keeper, objective = self._keeper, self._problem.objectives[0]
        return {
            "program": self._code.program,
            "file": self._code.file,
            "required": ", ".join(f"{name}()" for name in self._code.required),
            "objective": objective.name,
            "better": "lower" if objective.direction == "minimize" else "higher",
            "text": keeper.versions[number].text,
            "version": "the first version" if number is None else f"version {number}",
            "value": _number(objective.loss(keeper.versions[number].mean)),
            "noise": _number(keeper.noise),
            "experiments": [self._line(experiment) for experiment in stable_window(keeper.experiments, self._recent)],
            "error": error[-_ERROR_CHARS:],
            "further": ", ".join(o.name for o in self._problem.objectives[1:]),
            "price": _number(self._options.price),
        }

    def _line(self, experiment: Experiment) -> dict[str, str]:
        """Returns an experiment as the prompt shows it."""
        objective, loss, gain = self._problem.objectives[0], experiment.loss, experiment.gain
        lesson = experiment.error.strip().splitlines()[-1][:200] if experiment.error.strip() else ""
        return {
            "id": str(experiment.trial),
            "verdict": self._keeper.verdicts[experiment.trial].value,
            "value": "" if loss is None else ", ".join([_number(objective.loss(loss)), *self._further(experiment)]),
            "change": "" if gain is None else f"{-gain if objective.direction == 'minimize' else gain:+.4g}",
            "lines": ""
            if experiment.added == experiment.removed == 0
            else f"+{experiment.added} -{experiment.removed}",
            "summary": experiment.summary or "no description",
            "lesson": lesson,
        }

    def _further(self, experiment: Experiment) -> list[str]:
        """Returns the values of the further objectives, with their names."""
        pairs = zip(self._problem.objectives[1:], experiment.further, strict=False)
        return [f"{objective.name} {_number(objective.loss(value))}" for objective, value in pairs]


def _number(value: float) -> str:
    return f"{value:.6g}"


def _short(value: Value) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
