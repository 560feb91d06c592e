"""What a run is made of: read from flags and TOML, checked, and written into the run folder with its provenance."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import tomli_w
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from agentopt.errors import UsageError, unknown
from agentopt.llm.settings import ModelSettings
from agentopt.mistakes import mistakes
from agentopt.protocols import Isolation
from agentopt.task import DEFAULT_TASK
from agentopt.trial import Json

FILE = "config.toml"
DEFAULT_METHOD = "auto"
DEFAULT_TRIALS = 100

_AMOUNT = r"(\d+(?:\.\d+)?)"
_DURATION = re.compile(rf"(?:{_AMOUNT}h)?(?:{_AMOUNT}m)?(?:{_AMOUNT}s)?|{_AMOUNT}")
_Model = TypeVar("_Model", bound=BaseModel)


def parse_seconds(given: object) -> object:
    """Returns the seconds that a duration means: `90`, `90s`, `30m`, `2h`, `1h30m`; numbers and None as they are."""
    if not isinstance(given, str):
        return given
    match = _DURATION.fullmatch(given.strip().lower())
    if match is None or not any(match.groups()):
        raise ValueError("it must be a duration such as 90s, 30m, 2h or 1h30m")
    hours, minutes, seconds, plain = (float(group or 0) for group in match.groups())
    return 3600 * hours + 60 * minutes + seconds + plain


Seconds = Annotated[float, BeforeValidator(parse_seconds), Field(gt=0, allow_inf_nan=False)]


class RunConfig(BaseModel):
    """Everything that decides what a run does."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    method: str = Field(DEFAULT_METHOD, min_length=1, description="A name of `agentopt list methods`, or module:Class.")
    task: str = Field(DEFAULT_TASK, min_length=1, description="What `load_task` takes: a name, a folder, file.py:name.")
    task_options: dict[str, Any] = Field(default_factory=dict, description="What the task is made with.")
    options: dict[str, Any] = Field(default_factory=dict, description="The method's options, see `agentopt show`.")
    model: ModelSettings | None = Field(None, description="The language model, for methods that ask one.")
    trials: int | None = Field(None, ge=1, description="The budget of trials; None: no limit.")
    budget: Seconds | None = Field(None, description="The budget of wall seconds; None: no limit.")
    seed: int = Field(0, ge=0, description="All randomness of the run comes from it.")
    workers: int = Field(1, ge=1, description="How many trials are evaluated at a time.")
    executor: Literal["local", "ray"] = Field("local", description="Where trials run.")
    default: bool = Field(default=True, description="Whether the task's default configuration is the first trial.")
    trial_timeout: Seconds | None = Field(None, description="Wall seconds for one trial, in place of the task's limit.")
    max_failures: int = Field(
        10, ge=0, description="The run stops when so many trials in a row failed alike and none completed; 0: never."
    )
    isolation: Isolation | None = Field(None, description="`inline` or `process`, in place of the task's own.")


def validated(model: type[_Model], values: Mapping[str, Any], where: str) -> _Model:
    """Returns the model of `values`; raises UsageError naming the entry, what was given and what is allowed."""
    try:
        return model.model_validate(dict(values))
    except ValidationError as error:
        raise UsageError(_explain(error, model, where)) from error


def _explain(error: ValidationError, model: type[BaseModel], where: str) -> str:
    mistake = mistakes(error)[0]
    path, place = mistake.place, ".".join(mistake.place)
    if mistake.kind == "extra_forbidden":
        owner = _model_at(model, path[:-1])
        return str(unknown(f"{where}:", path[-1], owner.model_fields)).replace(":'", ": '")
    if mistake.kind == "missing":
        return f"{where}: {place} is missing."
    if not place:  # what several entries come to together: the text names them
        return f"{where}: {mistake.text}."
    given = f"{error.errors(include_url=False)[0]['input']!r:.60}"
    return f"{where}: {place} = {given} cannot be used: {mistake.text}."


def _model_at(model: type[BaseModel], path: Sequence[str]) -> type[BaseModel]:
    """Returns the model that a place inside a model belongs to."""
    for part in path:
        annotation = model.model_fields[part].annotation if part in model.model_fields else None
        inner = [annotation, *getattr(annotation, "__args__", ())]
        model = next((m for m in inner if isinstance(m, type) and issubclass(m, BaseModel)), model)
    return model


def parse_value(text: str) -> Json:
    """Returns the value of a command line's text: a TOML or JSON value where it reads as one, else the text."""
    if text.strip().lower() in {"true", "false"}:
        return text.strip().lower() == "true"
    try:
        document = tomllib.loads(f"value = {text}")
    except tomllib.TOMLDecodeError:
        pass
    else:
        if list(document) == ["value"] and isinstance(document["value"], (bool, int, float, str, list, dict)):
            return document["value"]
    if text.lstrip()[:1] in {"{", "[", '"'}:
        try:
            return json.loads(text)
        except ValueError:
            return text
    return text


def with_none(model: type[BaseModel], values: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the values with `none` read as None where a field may be None and `none` is not one of its own words."""
    out = dict(values)
    for name, value in values.items():
        field = model.model_fields.get(name)
        if field is not None and isinstance(value, str) and value.lower() in {"none", "null"}:
            inside = str(field.annotation)
            if "None" in inside and "'none'" not in inside and "'null'" not in inside:
                out[name] = None
    return out


def parse_pairs(pairs: tuple[str, ...], flag: str) -> dict[str, Json]:
    """Returns the mapping that `key=value` arguments spell out."""
    values: dict[str, Json] = {}
    for pair in pairs:
        key, equals, text = pair.partition("=")
        if not equals or not key.strip():
            raise UsageError(f"{flag} {pair!r} is not key=value.")
        values[key.strip()] = parse_value(text)
    return values


def read_toml(path: Path) -> dict[str, Any]:
    """Returns the contents of a TOML file; raises UsageError saying where it cannot be read."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"Cannot read {path}: {getattr(error, 'strerror', None) or error}.") from error
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{path} is not TOML: {error}.") from error


def merged(file: Mapping[str, Any], flags: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the settings of a file with those given as flags on top, tables entry by entry."""
    out = {key: value for key, value in file.items() if key != "provenance"}
    for key, value in flags.items():
        under = out.get(key)
        out[key] = {**under, **value} if isinstance(value, Mapping) and isinstance(under, Mapping) else value
    return out


def save_config(config: RunConfig, run: Path, origin: Mapping[str, Any]) -> None:
    """Writes `config.toml` into a run folder, with its provenance: where, when and with what it was started."""
    document = {key: value for key, value in config.model_dump(mode="json").items() if value is not None}
    document["options"] = {key: "none" if value is None else value for key, value in document["options"].items()}
    temporary = run / f".{FILE}"
    temporary.write_text(tomli_w.dumps(_without_none({**document, "provenance": origin})), encoding="utf-8")
    temporary.replace(run / FILE)


def load_config(run: Path) -> tuple[RunConfig, dict[str, Any]]:
    """Returns the configuration of a run folder and its provenance."""
    document = read_toml(run / FILE)
    found = document.pop("provenance", {})
    return validated(RunConfig, document, str(run / FILE)), found


def _without_none(value: Any) -> Any:
    """Returns the value without the entries that are None, which TOML cannot say."""
    if isinstance(value, Mapping):
        return {key: _without_none(entry) for key, entry in value.items() if entry is not None}
    return value


_MODEL_FLAGS = ("base_url", "backend", "temperature", "max_tokens", "context")


def from_flags(
    *,
    options: tuple[str, ...],
    task_options: tuple[str, ...],
    train_budget: str | None = None,
    no_default: bool,
    thinking: bool,
    **flags: Any,
) -> dict[str, Any]:
    """Returns the settings that a command line states, as a TOML file would hold them; flags not given are left out."""
    given = {key: value for key, value in flags.items() if value is not None}
    model = {key: given.pop(key) for key in _MODEL_FLAGS if key in given}
    if "model" in given:
        model["name"] = given.pop("model")
    if thinking:
        model["thinking"] = True
    if no_default:
        given["default"] = False
    of_task = parse_pairs(task_options, "--task-option")
    if train_budget is not None:
        of_task["train_budget"] = train_budget
    tables = {
        "options": parse_pairs(options, "-o"),
        "task_options": of_task,
        "model": model,
    }
    return {**given, **{key: value for key, value in tables.items() if value}}
