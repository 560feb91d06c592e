"""Tasks that are a command: a `task.toml` states the space, the objectives and what to run for each configuration."""

from __future__ import annotations

import re
import shlex
import sys
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from agentopt.errors import UsageError, unknown
from agentopt.mistakes import mistakes
from agentopt.objectives import named
from agentopt.process import run_command
from agentopt.protocols import Isolation, Objective, Task
from agentopt.space import AtLeast, Choice, Float, Int, Parameter, SearchSpace
from agentopt.task import DEFAULT_TIMEOUT
from agentopt.trial import Outcome, Params, Value

_PLACEHOLDER = re.compile(r"\{\{|\}\}|\{([A-Za-z_][A-Za-z0-9_.\-]*)\}")
_SPECIAL = ("python", "seed", "params", "out")
_KINDS: dict[str, type[Float | Int | Choice]] = {"float": Float, "int": Int, "choice": Choice}


class _Objective(BaseModel):
    model_config = ConfigDict(extra="forbid")

    name: str = Field(min_length=1)
    direction: Literal["minimize", "maximize"] = "minimize"
    reference: float | None = None

    @model_validator(mode="before")
    @classmethod
    def _name_alone(cls, given: object) -> object:
        return {"name": given} if isinstance(given, str) else given


class _File(BaseModel):
    """What a `task.toml` may hold."""

    model_config = ConfigDict(extra="forbid")

    command: str | list[str] = Field(min_length=1)
    space: dict[str, dict[str, Any]] = Field(min_length=1)
    description: str = ""
    objectives: list[_Objective] = Field(default_factory=lambda: [_Objective(name="value")], min_length=1)
    repairs: list[dict[str, Any]] = Field(default_factory=list)
    timeout: Annotated[float, Field(gt=0)] | None = DEFAULT_TIMEOUT
    env: dict[str, str] = Field(default_factory=dict)
    optimum: float | None = None
    facts: dict[str, str] = Field(default_factory=dict)


class CommandTask:
    """A task that runs a command in the folder of its `task.toml` for each configuration, without a shell.

    The command finds the configuration in its arguments (`{name}`), or as JSON in the file `$AGENTOPT_PARAMS`; also
    `$AGENTOPT_SEED`, and `$AGENTOPT_OUT`, an empty folder for `metrics.json` and whatever is to be kept with the trial.
    """

    isolation: Isolation = "process"

    def __init__(self, name: str, folder: Path, file: _File, space: SearchSpace) -> None:
        self.name, self.space = name, space
        self.objectives = tuple(Objective(o.name, o.direction, o.reference) for o in file.objectives)
        self.timeout, self.optimum, self.facts = file.timeout, file.optimum, file.facts
        self._folder, self._description, self._env = folder, file.description, file.env
        self._command = shlex.split(file.command) if isinstance(file.command, str) else file.command

    def evaluate(self, params: Params, seed: int = 0) -> Outcome:
        """Runs the command and reads its metrics; an exit code other than 0 is a failed outcome.

        Raises UsageError for a configuration that is not of this space.
        """
        self.space.check(params)

        def fill(extra: Mapping[str, Value]) -> list[str]:
            known = {**extra, "python": sys.executable, **params}
            return [_fill(part, known) for part in self._command]

        return run_command(fill, params, seed=seed, folder=self._folder, env=self._env, objectives=self.objectives)

    def repair(self, params: Params) -> dict[str, Value]:
        """Returns the configuration with the repairs of the file applied."""
        return self.space.repair(params)

    def describe(self) -> str:
        """Returns the file's description."""
        return self._description


def load_command_task(path: Path, options: Mapping[str, Any]) -> Task:
    """Returns the task of a `task.toml`; raises UsageError naming the file and the field that is wrong."""
    for option in options:
        raise unknown(f"option of task {path.parent.name}:", option, ())
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UsageError(f"{path} cannot be read: {error}") from error
    file = _file(path, document)
    space = read_space(path, file.space, file.repairs)
    _check_command(path, file, space)
    for objective in file.objectives:
        named(objective.name, str(path))
    task = CommandTask(path.resolve().parent.name, path.resolve().parent, file, space)
    names = [objective.name for objective in task.objectives]
    if len(set(names)) < len(names):
        raise UsageError(f"{path}: objectives: two of them have the same name.")
    return task


def _file(path: Path, document: Mapping[str, Any]) -> _File:
    if isinstance(alone := document.get("objectives"), str):
        document = {**document, "objectives": [named(alone, str(path))]}
    try:
        return _File.model_validate(document)
    except ValidationError as error:
        mistake = mistakes(error)[0]
        if mistake.kind == "extra_forbidden":
            known = _Objective.model_fields if mistake.place[0] == "objectives" else _File.model_fields
            raise unknown(f"key in {path}:", mistake.place[-1], known) from error
        raise UsageError(f"{path}: {mistake}.") from error


def read_space(
    path: Path, tables: Mapping[str, Mapping[str, Any]], repairs: Sequence[Mapping[str, Any]]
) -> SearchSpace:
    """Returns the space of a file's tables; raises UsageError naming the file and the field that is wrong."""
    parameters: list[Parameter] = []
    for name, fields in tables.items():
        kind = fields.get("type", "choice" if "choices" in fields else None)
        if kind not in _KINDS:
            raise UsageError(f"{path}: space.{name}.type: it must be float, int or choice (given {kind!r:.60}).")
        given = {key: value for key, value in fields.items() if key != "type"}
        parameters.append(_made(path, f"space.{name}", _KINDS[kind], {"name": name, **given}))
    rules = [_made(path, f"repairs.{n}", AtLeast, fields) for n, fields in enumerate(repairs)]
    made: SearchSpace = _made(path, "space", SearchSpace, {"parameters": tuple(parameters), "repairs": tuple(rules)})
    return made


def _made(path: Path, place: str, kind: Any, fields: Mapping[str, Any]) -> Any:
    """Returns the object that a table of the file describes."""
    known = [key for key in kind.__dataclass_fields__ if key != "type"]
    for key in fields:
        if key not in known:
            raise unknown(f"key in {path}: {place}:", key, (k for k in known if k != "name" or "repairs" in place))
    try:
        return kind(**fields)
    except ValidationError as error:
        mistake = mistakes(error)[0]
        raise UsageError(f"{path}: {replace(mistake, place=(place, *mistake.place))}.") from error


def _check_command(path: Path, file: _File, space: SearchSpace) -> None:
    parts = file.command
    if isinstance(parts, str):
        try:
            parts = shlex.split(parts)
        except ValueError as error:
            raise UsageError(f"{path}: command: {error}.") from error
    if not parts or not parts[0].strip():
        raise UsageError(f"{path}: command: it is empty.")
    for part in parts:
        for match in _PLACEHOLDER.finditer(part):
            if match[1] is not None and match[1] not in space.names and match[1] not in _SPECIAL:
                raise unknown(f"placeholder in {path}: command:", match[1], [*space.names, *_SPECIAL])


def _fill(part: str, values: Mapping[str, Value]) -> str:
    """Returns an argument with its placeholders filled in; `{{` and `}}` stand for braces."""

    def text(match: re.Match[str]) -> str:
        if match[1] is None:
            return match[0][0]
        value = values[match[1]]
        return str(value).lower() if isinstance(value, bool) else str(value)

    return _PLACEHOLDER.sub(text, part)
