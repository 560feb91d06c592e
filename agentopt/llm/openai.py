"""Any OpenAI-compatible endpoint, the local vLLM server among them, through LangChain's client."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Any

from agentopt.errors import ModelUnavailable
from agentopt.llm.settings import ModelSettings
from agentopt.llm.values import Request

if TYPE_CHECKING:
    import httpx

_TOO_LONG = re.compile(r"context[ _](length|size|window)|prompt is too long|maximum model length", re.IGNORECASE)


_SHOWN_CHARS = 200


class OpenAIBackend:
    """Asks a model behind an HTTP endpoint. The key is `$OPENAI_API_KEY`, where the endpoint wants one."""

    def __init__(self, name: str, base_url: str, settings: ModelSettings, *, local: bool = False) -> None:
        """`local`: the endpoint is a vLLM server, which takes chat template arguments."""
        import openai
        from langchain_openai import ChatOpenAI
        from pydantic import SecretStr

        self.name, self._local = name, local
        self._url = base_url
        self.chat = ChatOpenAI(
            model=name,
            base_url=base_url,
            api_key=SecretStr("none" if local else os.environ.get("OPENAI_API_KEY", "none")),
            max_retries=0,
            timeout=settings.timeout,
            http_client=openai.DefaultHttpxClient(
                trust_env=not local,  # a proxy of the environment must not see what is meant for this machine
                timeout=settings.timeout,
                event_hooks={"response": [_check_answer]},
            ),
        )

    def options(self, request: Request) -> dict[str, Any]:
        """Returns the request's sampling, and its schema as a response format."""
        settings = request.settings
        # In the body, not as the client's own argument: that parses the reply, and raises for one that is cut short.
        body: dict[str, Any] = {}
        if request.schema is not None:
            form = {"name": "reply", "schema": dict(request.schema), "strict": True}
            body["response_format"] = {"type": "json_schema", "json_schema": form}
        if self._local:
            body["chat_template_kwargs"] = {"enable_thinking": settings.thinking}
        return {
            "temperature": settings.temperature,
            "max_tokens": settings.max_tokens,
            "seed": request.seed,
            "extra_body": body,
        }

    def transient(self, error: Exception) -> bool:
        """Whether the error is one of transport, an answer that is not the protocol's, or an overloaded server."""
        import httpx
        import openai

        kinds = (openai.APIConnectionError, openai.APITimeoutError, openai.RateLimitError, openai.InternalServerError)
        return isinstance(error, (*kinds, httpx.TransportError, ConnectionError, TimeoutError))

    def too_long(self, error: Exception) -> bool:
        """Whether the endpoint refused a request for its length; each server has its own words for that."""
        import openai

        return isinstance(error, openai.BadRequestError) and _TOO_LONG.search(str(error)) is not None

    def recover(self) -> bool:
        """A foreign endpoint cannot be started again from here."""
        return False

    def close(self) -> None:
        """Nothing is held."""


def _check_answer(response: httpx.Response) -> None:
    """Raises RemoteProtocolError for an answer that is not the protocol's, before the client trips over it."""
    import httpx

    if not response.is_success:
        return
    response.read()
    try:
        answer = response.json()
        message, usage = answer["choices"][0]["message"], answer.get("usage")
        known = (
            isinstance(message, dict)
            and isinstance(message.get("content"), str | list | None)
            and isinstance(usage, dict | None)
        )
    except (ValueError, LookupError, TypeError, AttributeError):
        known = False
    if not known:
        raise httpx.RemoteProtocolError(f"the answer is not a chat completion: {response.text[:_SHOWN_CHARS]!r}")


def check_endpoint(base_url: str, name: str, timeout: float = 10.0) -> None:
    """Raises ModelUnavailable where nothing answers at the endpoint or it does not serve the model."""
    import httpx

    try:
        answer = httpx.get(f"{base_url.rstrip('/')}/models", timeout=timeout, headers=_headers())
        served = [model["id"] for model in answer.json()["data"]]
    except (httpx.HTTPError, ValueError, KeyError, TypeError) as error:
        raise ModelUnavailable(f"No OpenAI-compatible endpoint answers at {base_url}: {error}.") from error
    if name not in served:
        raise ModelUnavailable(f"{base_url} does not serve {name!r}. It serves: {', '.join(served)}.")


def _headers() -> dict[str, str]:
    key = os.environ.get("OPENAI_API_KEY")
    return {"Authorization": f"Bearer {key}"} if key else {}
