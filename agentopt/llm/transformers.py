"""A language model inside this process: transformers generates, xgrammar holds it to a JSON schema, a seed repeats it.

Slower than a server, for it answers one request at a time; it is there for machines without vLLM.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

from langchain_core.callbacks import CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from pydantic import PrivateAttr

from agentopt.errors import UsageError
from agentopt.llm.convert import hide_broken_vision
from agentopt.llm.models import LocalModel
from agentopt.llm.settings import ModelSettings
from agentopt.llm.values import PromptTooLong, Request

NEEDED = ("torch", "transformers", "xgrammar")
ROLES = {"human": "user", "ai": "assistant", "system": "system"}


class TransformersChat(BaseChatModel):
    """A chat model of a checkpoint folder; it loads on the first request, which takes seconds to minutes."""

    path: str
    label: str
    _engine: _Engine | None = PrivateAttr(default=None)
    _guard: Any = PrivateAttr(default_factory=threading.Lock)

    @property
    def _llm_type(self) -> str:
        return "agentopt-transformers"

    @property
    def _identifying_params(self) -> Mapping[str, Any]:
        return {"path": self.path, "model": self.label}

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        *,
        schema: Mapping[str, Any] | None = None,
        seed: int | None = None,
        temperature: float = 0.7,
        max_tokens: int = 512,
        thinking: bool = False,
        **_: Any,
    ) -> ChatResult:
        """Returns one reply. The lock holds for the whole request: torch has one random generator for all threads."""
        with self._guard:
            if self._engine is None:
                self._engine = _load(self.path)
            ask = _Ask(_chat(messages), schema, seed, temperature, max_tokens, thinking, stop or [])
            reply = _reply(self._engine, ask)
        message = AIMessage(
            content=reply.text,
            usage_metadata={
                "input_tokens": reply.prompt_tokens,
                "output_tokens": reply.tokens,
                "total_tokens": reply.prompt_tokens + reply.tokens,
            },
            response_metadata={"model_name": self.label, "finish_reason": reply.finish},
        )
        return ChatResult(generations=[ChatGeneration(message=message)])

    def unload(self) -> None:
        """Gives the memory of the weights back."""
        with self._guard:
            self._engine = None


class TransformersBackend:
    """The gateway's door to a model in this process."""

    def __init__(self, model: LocalModel, settings: ModelSettings) -> None:
        """`settings` come with each request as well."""
        if missing := [name for name in NEEDED if find_spec(name) is None]:
            raise UsageError(
                f"The backend transformers needs {', '.join(missing)}, not installed here: "
                "pip install 'agentopt[transformers]'"
            )
        self.name, self._settings = model.name, settings
        self.chat: BaseChatModel = TransformersChat(path=str(model.path), label=model.name)

    def options(self, request: Request) -> dict[str, Any]:
        """Returns the request's sampling and schema."""
        settings = request.settings
        return {
            "schema": request.schema,
            "seed": request.seed,
            "temperature": settings.temperature,
            "max_tokens": settings.max_tokens,
            "thinking": settings.thinking,
        }

    def transient(self, error: Exception) -> bool:
        """Nothing between this process and itself fails by chance."""
        return False

    def too_long(self, error: Exception) -> bool:
        """Whether the prompt left no room for a reply."""
        return isinstance(error, PromptTooLong)

    def recover(self) -> bool:
        """There is nothing to start again."""
        return False

    def close(self) -> None:
        """Gives the memory back."""
        if isinstance(self.chat, TransformersChat):
            self.chat.unload()


@dataclass
class _Engine:
    """What is loaded; the grammars are kept, for compiling one takes as long as many tokens."""

    model: Any
    tokenizer: Any
    compiler: Any
    grammars: dict[str, Any]
    stops: list[int]
    context: int | None


@dataclass(frozen=True)
class _Ask:
    chat: list[dict[str, str]]
    schema: Mapping[str, Any] | None
    seed: int | None
    temperature: float
    max_tokens: int
    thinking: bool
    stop: list[str]


@dataclass(frozen=True)
class _Reply:
    text: str
    prompt_tokens: int
    tokens: int
    finish: str


def _load(path: str) -> _Engine:
    hide_broken_vision()
    import torch
    import xgrammar
    from transformers import AutoModelForCausalLM, AutoTokenizer

    cuda = torch.cuda.is_available()
    if not cuda:  # the same rule as the server's: one core is left to the trials
        torch.set_num_threads(max(1, (os.cpu_count() or 1) - 1))
    tokenizer: Any = AutoTokenizer.from_pretrained(path, local_files_only=True)
    model: Any = AutoModelForCausalLM.from_pretrained(path, dtype=torch.bfloat16, local_files_only=True)
    model = model.to("cuda" if cuda else "cpu").eval()
    text: Any = model.config.get_text_config()
    ends = model.generation_config.eos_token_id
    stops = sorted({*(ends if isinstance(ends, list) else [ends]), tokenizer.eos_token_id} - {None})
    info = xgrammar.TokenizerInfo.from_huggingface(tokenizer, vocab_size=text.vocab_size, stop_token_ids=stops)
    context = getattr(text, "max_position_embeddings", None)
    return _Engine(model, tokenizer, xgrammar.GrammarCompiler(info), {}, stops, context)


def _reply(engine: _Engine, ask: _Ask) -> _Reply:
    import torch

    inputs = engine.tokenizer.apply_chat_template(
        ask.chat, add_generation_prompt=True, enable_thinking=ask.thinking, return_dict=True, return_tensors="pt"
    ).to(engine.model.device)
    length = int(inputs["input_ids"].shape[1])
    room = ask.max_tokens if engine.context is None else min(ask.max_tokens, engine.context - length)
    if room < 1:
        raise PromptTooLong(f"it has {length} tokens, and the model takes at most {engine.context}")
    options: dict[str, Any] = {"max_new_tokens": room, "eos_token_id": engine.stops, "pad_token_id": engine.stops[0]}
    # What is not asked for is switched off, so that the checkpoint's own sampling settings play no part.
    options |= {"repetition_penalty": 1.0, "do_sample": ask.temperature > 0}
    if ask.temperature > 0:
        options |= {"temperature": ask.temperature, "top_p": 1.0, "top_k": 0}
    if ask.schema is not None:
        options["logits_processor"] = [_constraint(engine, ask.schema)]
    if ask.stop:
        options |= {"stop_strings": ask.stop, "tokenizer": engine.tokenizer}
    devices = [engine.model.device] if engine.model.device.type == "cuda" else []
    with torch.inference_mode(), torch.random.fork_rng(devices=devices):
        if ask.seed is not None:
            torch.manual_seed(ask.seed % 2**63)
        out = engine.model.generate(**inputs, **options)[0, length:]
    tokens = out.tolist()
    ended = bool(tokens) and (tokens[-1] in engine.stops or len(tokens) < room)
    text = engine.tokenizer.decode(out, skip_special_tokens=True)
    return _Reply(text, length, len(tokens), "stop" if ended else "length")


def _constraint(engine: _Engine, schema: Mapping[str, Any]) -> Any:
    """Returns a fresh processor that lets only tokens through that keep to the schema."""
    from xgrammar.contrib.hf import LogitsProcessor

    text = json.dumps(schema)
    if text not in engine.grammars:
        # Free white space would let a small model fill the whole reply with it.
        engine.grammars[text] = engine.compiler.compile_json_schema(text, any_whitespace=False)
    return LogitsProcessor(engine.grammars[text])


def _chat(messages: Sequence[BaseMessage]) -> list[dict[str, str]]:
    return [{"role": ROLES.get(message.type, "user"), "content": str(message.text)} for message in messages]
