"""The model inside this process: a tiny random one for the rules, the smallest real one where it can be had."""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from langchain_core.language_models import BaseChatModel

from agentopt.errors import UsageError
from agentopt.llm import transformers as backend_module
from agentopt.llm.convert import hide_broken_vision
from agentopt.llm.models import LocalModel
from agentopt.llm.settings import ModelSettings
from agentopt.llm.transformers import TransformersBackend
from agentopt.llm.values import PromptTooLong, Request

SCHEMA = {
    "type": "object",
    "properties": {"depth": {"type": "integer", "minimum": 1, "maximum": 12}, "kind": {"enum": ["a", "b"]}},
    "required": ["depth", "kind"],
    "additionalProperties": False,
}
CONTEXT = 256


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> LocalModel:
    """A model with random weights that knows single bytes, so that it writes nonsense within the schema."""
    if missing := [name for name in backend_module.NEEDED if find_spec(name) is None]:
        pytest.skip(f"not installed: {', '.join(missing)}: pip install 'agentopt[transformers]'")
    hide_broken_vision()
    import torch
    from tokenizers import Tokenizer, decoders, pre_tokenizers
    from tokenizers.models import BPE
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    letters = ["<end>", "<pad>", *sorted(pre_tokenizers.ByteLevel.alphabet())]
    raw = Tokenizer(BPE({letter: i for i, letter in enumerate(letters)}, []))
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    raw.decoder = decoders.ByteLevel()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=raw, eos_token="<end>", pad_token="<pad>")
    tokenizer.chat_template = (
        "{% for m in messages %}{{ m.role }}:{{ m.content }}\n{% endfor %}{% if enable_thinking %}think{% endif %}"
    )
    config = LlamaConfig(
        vocab_size=len(letters),
        hidden_size=32,
        intermediate_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        max_position_embeddings=CONTEXT,
        eos_token_id=0,
        bos_token_id=None,
    )
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("tiny")
    LlamaForCausalLM(config).to(torch.bfloat16).save_pretrained(str(folder))
    tokenizer.save_pretrained(str(folder))
    return LocalModel("tiny", folder, "tiny", "test")


@pytest.fixture(scope="module")
def chat(tiny: LocalModel) -> BaseChatModel:
    return TransformersBackend(tiny, ModelSettings(name="tiny")).chat


def reply(chat: BaseChatModel, **options: Any) -> Any:
    return chat.invoke([("user", "Suggest one.")], **({"max_tokens": 60, "temperature": 1.0} | options))


@pytest.mark.parametrize("seed", range(5))
def test_replies_keep_to_the_schema(chat: BaseChatModel, seed: int) -> None:
    values = json.loads(reply(chat, schema=SCHEMA, seed=seed).content)
    assert 1 <= values["depth"] <= 12
    assert values["kind"] in {"a", "b"}


def test_seed_repeats_a_reply(chat: BaseChatModel) -> None:
    import torch

    before = torch.random.get_rng_state()
    texts = [reply(chat, seed=seed).content for seed in (1, 2, 1)]
    assert texts[0] == texts[2] != texts[1]
    assert bool((torch.random.get_rng_state() == before).all()), "the caller's randomness is left alone"


def test_zero_temperature_needs_no_seed(chat: BaseChatModel) -> None:
    assert reply(chat, temperature=0.0).content == reply(chat, temperature=0.0).content


def test_tokens_and_the_end_are_reported(chat: BaseChatModel) -> None:
    message = reply(chat, max_tokens=5, seed=1)
    assert message.usage_metadata["input_tokens"] == len("user:Suggest one.\n")
    assert message.usage_metadata["output_tokens"] == 5
    assert message.response_metadata["finish_reason"] == "length"
    assert reply(chat, schema=SCHEMA, seed=1).response_metadata["finish_reason"] == "stop"


def test_thinking_reaches_the_template(chat: BaseChatModel) -> None:
    plain = reply(chat, max_tokens=1, seed=1).usage_metadata["input_tokens"]
    assert reply(chat, max_tokens=1, seed=1, thinking=True).usage_metadata["input_tokens"] == plain + len("think")


def test_prompt_beyond_the_context(chat: BaseChatModel) -> None:
    with pytest.raises(PromptTooLong, match=f"at most {CONTEXT}"):
        chat.invoke("x" * CONTEXT)
    message = chat.invoke("x" * (CONTEXT - 20), max_tokens=100, seed=1, temperature=1.0)
    assert message.usage_metadata["total_tokens"] <= CONTEXT


def test_backend_passes_the_request_on(tiny: LocalModel) -> None:
    settings = ModelSettings(name="tiny", temperature=1.0, max_tokens=60)
    backend = TransformersBackend(tiny, settings)
    request = Request((("user", "Suggest one."),), SCHEMA, 7, 0, {}, settings)
    first = backend.chat.invoke(list(request.messages), **backend.options(request)).content
    backend.close()
    assert backend.chat.invoke(list(request.messages), **backend.options(request)).content == first


def test_without_its_libraries_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backend_module, "find_spec", lambda _name: None)
    model = LocalModel("tiny", Path("nowhere"), "tiny", "test")
    with pytest.raises(UsageError, match=r"needs torch, transformers, xgrammar.*agentopt\[transformers\]"):
        TransformersBackend(model, ModelSettings(name="tiny"))


@pytest.mark.served
def test_real_model(small_model: LocalModel) -> None:
    chat = TransformersBackend(small_model, ModelSettings(name="smollm2-135m")).chat
    answer = chat.invoke([("user", "What is the capital of France?")], temperature=0.0, max_tokens=20)
    assert "Paris" in str(answer.content)
    values = json.loads(str(reply(chat, schema=SCHEMA, seed=3).content))
    assert set(values) == {"depth", "kind"}
