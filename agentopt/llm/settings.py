"""Which language model a run asks, and how."""

from __future__ import annotations

from typing import Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, field_validator


class ModelSettings(BaseModel):
    """The model of a run."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(
        min_length=1,
        description="A name of `agentopt list models`, a checkpoint folder, a GGUF file, the model's name at"
        " --base-url, or scripted:FILE.jsonl | scripted:module:function.",
    )
    backend: Literal["auto", "vllm", "openai", "transformers", "scripted"] = Field(
        "auto", description="auto: scripted for scripted:..., openai with a base_url, vllm otherwise."
    )
    base_url: str | None = Field(None, description="An OpenAI-compatible endpoint to use instead of a local server.")
    temperature: float = Field(0.7, ge=0, le=2)
    max_tokens: int = Field(512, ge=1, description="The longest reply, in tokens.")
    context: int = Field(
        8192,
        ge=256,
        description="Prompt and reply together, in tokens, for a model served here; cut to its own.",
    )
    timeout: float = Field(300.0, gt=0, description="Seconds to wait for one reply.")
    retries: int = Field(3, ge=0, description="Further attempts after an error of transport, with growing pauses.")
    concurrency: int = Field(8, ge=1, description="Requests in flight at a time.")
    thinking: bool = Field(default=False, description="Lets a model that can think do so before it answers.")

    @field_validator("base_url")
    @classmethod
    def _check_address(cls, given: str | None) -> str | None:
        if given is None:
            return None
        address = given.strip()
        parts = urlsplit(address)
        if parts.scheme not in ("http", "https") or not parts.netloc:
            raise ValueError(f"{given!r:.200} is no address: write http://HOST:PORT/v1 or https://..., with the http")
        return address
