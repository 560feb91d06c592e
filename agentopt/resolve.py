"""What raw settings leave open: where a path leads from elsewhere, which model is asked, and how."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from agentopt.config import RunConfig, load_config, validated
from agentopt.errors import UsageError
from agentopt.llm.gguf import SUFFIX
from agentopt.llm.settings import ModelSettings
from agentopt.optimizers import MethodOptions, load_method
from agentopt.task import CODE_FILE


def absolute(task: str) -> str:
    """Returns the task's name with a path in it made absolute, so that a resume from elsewhere finds it."""
    if any((Path(task) / file).is_file() for file in ("task.toml", "task.py", CODE_FILE)):
        return str(Path(task).resolve())
    head, colon, attribute = task.rpartition(":")
    for path, rest in ((task, ""), (head, colon + attribute)):
        if ("/" in path or path.endswith(".py")) and Path(path).exists():
            return str(Path(path).resolve()) + rest
    return task


def stored_config(run: Path) -> tuple[RunConfig, dict[str, Any]]:
    """Returns the configuration of a run folder and its provenance, options that came after the run filled in."""
    config, origin = load_config(run)
    return config.model_copy(update={"options": stored_options(config.method, config.options)}), origin


def stored_options(method: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """Returns options as a run folder states them, with those that the method did not have yet as they were then."""
    return {**load_method(method).Options.unstated, **options}


def model_settings(
    config: RunConfig, options: MethodOptions, given: Any, say: Callable[[str], None]
) -> ModelSettings | None:
    """Returns the model to ask: the given one, else the default one; None where none is needed."""
    if given is not None and not isinstance(given, Mapping):
        raise UsageError(f"model = {given!r:.60} cannot be used: it must be a table with a name.")
    if not options.needs_model:
        if given:
            say(f"{config.method} asks no language model with these options: the model settings are not used.")
        elif options.with_model and not options.with_model.keys() & config.options.keys():
            say(f"{config.method} asks no language model. With --model NAME one says first what it expects to work.")
        return None
    settings = dict(given or {})
    if "name" not in settings:
        if settings.get("base_url"):
            raise UsageError("--base-url needs --model NAME: the model's name at that endpoint.")
        from agentopt.llm.models import default_model

        settings["name"] = default_model()
        say(f"No model was given: using {settings['name']}.")
    settings["name"] = _model_path(settings["name"], at_endpoint=bool(settings.get("base_url")))
    settings = {
        "max_tokens": options.reply_tokens,
        "context": options.context,
        "temperature": options.temperature,
        **settings,
    }
    return validated(ModelSettings, settings, "model")


def _model_path(name: Any, *, at_endpoint: bool) -> Any:
    """Returns a model's name with a path in it made absolute; what an endpoint calls its own may look like one."""
    if not isinstance(name, str):
        return name
    scheme = "scripted:" if name.startswith("scripted:") else ""
    path = Path(name.removeprefix(scheme)).expanduser()
    named = path.exists() and ("/" in name or name.endswith(SUFFIX)) and not at_endpoint
    return f"{scheme}{path.resolve()}" if (path.is_file() if scheme else named) else name
