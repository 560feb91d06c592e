"""Reads a folder under `sandboxes/`: code to be tuned or edited, and the `sandbox.toml` that says how it is run."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from agentopt.code.literals import read_literals, write_literals
from agentopt.code.source import SourceError
from agentopt.command import read_space
from agentopt.errors import UsageError, unknown
from agentopt.llm.launch import has_nvidia_gpu
from agentopt.lm.budget import CostModel
from agentopt.protocols import Code, Objective
from agentopt.space import Parameter, SearchSpace
from agentopt.task import CODE_FILE, explain


class _Objective(BaseModel):
    model_config = ConfigDict(extra="forbid")

    name: str = Field(min_length=1)
    direction: Literal["minimize", "maximize"] = "minimize"


class _Cost(BaseModel):
    model_config = ConfigDict(extra="forbid")

    per_gflop: float = Field(ge=0)
    per_mtoken: float = Field(ge=0)
    per_step: float = Field(ge=0)


class FolderProfile(BaseModel):
    """How the code is run on one kind of machine."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    device: Literal["cpu", "cuda"]
    corpus: str
    vocab_size: int = Field(ge=257, le=1 << 16)
    seq_len: int = Field(ge=8)
    budget: str
    timeout: float = Field(gt=0)
    memory: int = Field(gt=0)
    weights_bytes: int = Field(gt=0)
    eval_tokens: int = Field(gt=0)
    eval_timeout: float = Field(gt=0)
    gap: float = Field(gt=0)
    gain: float = Field(gt=0)
    cost: _Cost
    literals: dict[str, Any] = Field(default_factory=dict)
    space: dict[str, dict[str, Any]] = Field(min_length=1)
    repairs: list[dict[str, Any]] = Field(default_factory=list)

    @property
    def cost_model(self) -> CostModel:
        """What a training costs in virtual seconds."""
        return CostModel(self.cost.per_gflop, self.cost.per_mtoken, self.cost.per_step)


class _File(BaseModel):
    """What a `sandbox.toml` may hold."""

    model_config = ConfigDict(extra="forbid")

    description: str
    editable: str
    locked: list[str] = Field(default_factory=list)
    program: str
    required: list[str] = Field(default_factory=list)
    command: list[str] = Field(min_length=1)
    weights: str
    objectives: list[_Objective] = Field(min_length=1, max_length=1)
    profiles: dict[str, FolderProfile] = Field(min_length=1)


@dataclass(frozen=True)
class CodeFolder:
    """The code of a task as it stands before any trial, for one profile."""

    path: Path
    profile: FolderProfile
    code: Code
    locked: Mapping[str, str]
    """The text of the files that no trial may change, by name."""
    command: tuple[str, ...]
    weights: str
    """The name of the file in which a training leaves its weights."""
    objective: Objective
    space: SearchSpace
    """The literals of the code that may be tuned; its defaults are the values that the code has."""
    description: str


def read_folder(folder: Path, profile: str = "auto") -> CodeFolder:
    """Returns the code of a folder; `auto` takes the profile `cuda` where there is a GPU.

    Raises UsageError naming the file and the field that is wrong.
    """
    path = folder.resolve() / CODE_FILE
    try:
        file = _File.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError) as error:
        if isinstance(error, ValidationError):
            raise UsageError(f"{path}: {explain(error)}") from error
        raise UsageError(f"{path} cannot be read: {error}") from error
    if profile == "auto":
        profile = "cuda" if "cuda" in file.profiles and has_nvidia_gpu() else next(iter(file.profiles))
    if profile not in file.profiles:
        raise unknown(f"profile of {path.parent.name}:", profile, file.profiles)
    chosen = file.profiles[profile]
    text = _text(path.parent / file.editable)
    try:
        text = write_literals(text, chosen.literals)
        space = _with_defaults(path, read_space(path, chosen.space, chosen.repairs), read_literals(text).values)
    except SourceError as error:
        raise UsageError(f"{path.parent / file.editable}: {error}.") from error
    return CodeFolder(
        path=path.parent,
        profile=chosen,
        code=Code(file.editable, text, _text(path.parent / file.program).strip(), tuple(file.required)),
        locked={name: _text(path.parent / name) for name in file.locked},
        command=tuple(file.command),
        weights=file.weights,
        objective=Objective(file.objectives[0].name, file.objectives[0].direction),
        space=space,
        description=file.description.strip(),
    )


def _with_defaults(path: Path, space: SearchSpace, values: Mapping[str, Any]) -> SearchSpace:
    """Returns the space with the values of the code as its defaults."""
    parameters: list[Parameter] = []
    for parameter in space.parameters:
        value = values.get(parameter.name)
        if value is None:
            raise UsageError(f"{path}: space.{parameter.name}: the code has no such literal.")
        try:
            parameters.append(replace(parameter, default=value))
        except ValueError as error:
            raise UsageError(f"{path}: space.{parameter.name}: the code has {value!r}: {error}.") from error
    found = SearchSpace(parameters=tuple(parameters), repairs=space.repairs)
    if found.defaults() != {p.name: p.default for p in parameters}:
        raise UsageError(f"{path}: the values that the code has break a repair: {found.defaults()}.")
    return found


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise UsageError(f"{path} cannot be read: {error}") from error
