"""A model whose replies are written down in a file or computed by a Python function: for tests, demos and controls."""

from __future__ import annotations

import inspect
import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from langchain_core.callbacks import CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatResult

from agentopt.errors import UsageError
from agentopt.llm.values import PromptTooLong, Request

PREFIX = "scripted:"
Script = Callable[[str, Mapping[str, Any]], object]
"""Takes the prompt and the view (what the optimizer knows); returns a text, or a value to be written as JSON."""


class ScriptFault(Exception):
    """A script has an error: its author's, not one of the code that calls it."""


class ScriptedChatModel(BaseChatModel):
    """Answers by calling a function with the prompt and the view."""

    script: Callable[..., object]

    @property
    def _llm_type(self) -> str:
        return "scripted"

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        prompt = "\n\n".join(str(message.content) for message in messages)
        try:
            answer = self.script(prompt, {**kwargs["view"], "call": kwargs["call"]})
            answer, delay = answer if isinstance(answer, tuple) else (answer, 0.0)
            text = answer if isinstance(answer, str) else json.dumps(answer)
        except (TypeError, AttributeError, NameError) as error:
            raise ScriptFault(f"{type(error).__name__}: {error}") from error
        if delay > kwargs["timeout"]:
            time.sleep(kwargs["timeout"])
            raise TimeoutError(f"no reply within {kwargs['timeout']:g} s")
        time.sleep(delay)
        words = {"input_tokens": len(prompt.split()), "output_tokens": len(text.split())}
        usage = {**words, "total_tokens": sum(words.values())}
        message = AIMessage(content=text, usage_metadata=usage)
        return ChatResult(generations=[ChatGeneration(message=message)])


class ScriptedBackend:
    """Serves a scripted model to the gateway. Tokens are counted as words."""

    def __init__(self, name: str, script: Script) -> None:
        self.name = name
        self.chat = ScriptedChatModel(script=script)

    def options(self, request: Request) -> dict[str, Any]:
        """Returns what the script is given."""
        view = {**request.view, "seed": request.seed}
        return {"view": view, "call": request.call, "timeout": request.settings.timeout}

    def transient(self, error: Exception) -> bool:
        """A delay beyond the timeout counts as an error of transport; an error of the script does not."""
        return isinstance(error, (TimeoutError, ConnectionError))

    def too_long(self, error: Exception) -> bool:
        """Whether the script says so, by raising PromptTooLong."""
        return isinstance(error, PromptTooLong)

    def recover(self) -> bool:
        """There is nothing to bring back."""
        return False

    def close(self) -> None:
        """There is nothing to let go of."""


def scripted_backend(name: str) -> ScriptedBackend:
    """Returns the backend of `scripted:FILE.jsonl`, `scripted:module:function` or `scripted:FILE.py:function`."""
    target = name.removeprefix(PREFIX)
    if target.endswith(".jsonl"):
        return ScriptedBackend(name, _from_file(Path(target)))
    module, _, attribute = target.rpartition(":")
    if not module or not attribute:
        raise UsageError(f"{name}: write scripted:FILE.jsonl or scripted:module:function.")
    return ScriptedBackend(name, _from_module(name, module, attribute))


def _from_file(path: Path) -> Script:
    """Returns a script that gives the file's replies in order, and then from the start again."""
    try:
        lines = path.read_text(encoding="utf-8").split("\n")  # splitlines would cut at U+2028, which JSON may hold
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"The scripted replies in {path} cannot be read: {error}.") from error
    replies = [_reply(path, i, line) for i, line in enumerate(lines, 1) if line.strip()]
    if not replies:
        raise UsageError(f"{path} holds no replies: one JSON string, or an object with text and delay, per line.")
    return lambda _, view: replies[view["call"] % len(replies)]


def _reply(path: Path, number: int, line: str) -> tuple[str, float]:
    wanted = 'a JSON string, or {"text": ..., "delay": seconds}'
    try:
        found = json.loads(line)
    except ValueError as error:
        raise UsageError(f"{path}, line {number}: not JSON ({error}); each line is {wanted}.") from error
    if isinstance(found, str):
        return found, 0.0
    if isinstance(found, dict) and isinstance(found.get("text"), str) and set(found) <= {"text", "delay"}:
        delay = found.get("delay", 0.0)
        if isinstance(delay, (int, float)) and not isinstance(delay, bool) and delay >= 0:
            return found["text"], float(delay)
    raise UsageError(f"{path}, line {number}: {line:.60} is not a reply; each line is {wanted}.")


def _from_module(name: str, module: str, attribute: str) -> Script:
    from agentopt.task import import_code

    function = getattr(import_code(module), attribute, None)
    if not callable(function):
        raise UsageError(f"{name}: {module} has no function {attribute!r}.")
    if len(inspect.signature(function).parameters) < 2:
        raise UsageError(f"{name}: {attribute} must take the prompt and the view.")
    script: Script = function
    return script
