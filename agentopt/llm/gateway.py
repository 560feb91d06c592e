"""The one door to a language model: constrained replies, one repair round, retries, the ledger, and replay from it."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import numpy as np

from agentopt.errors import ModelUnavailable, OutOfTime, ReplayMismatch, UsageError
from agentopt.ledger import Exchange, ExchangeStatus, Ledger
from agentopt.llm.settings import ModelSettings
from agentopt.llm.together import together
from agentopt.llm.values import REPAIR, PromptTooLong, Question, Read, Reply, ReplyError, Request
from agentopt.prompts import render

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel

T = TypeVar("T")
_FAULTS = (TypeError, AttributeError, NameError)
"""What is no model's doing: errors of the code between here and the model, which must be seen as what they are."""
_QUOTED_CHARS = 1500
"""How much of an unreadable reply is shown back to the model."""


class Backend(Protocol):
    """A LangChain chat model and how to ask it."""

    @property
    def chat(self) -> BaseChatModel:
        """The model."""

    @property
    def name(self) -> str:
        """What the ledger calls it."""

    def options(self, request: Request) -> dict[str, Any]:
        """Returns the keyword arguments of `chat.invoke` for a request."""

    def transient(self, error: Exception) -> bool:
        """Whether the same request may succeed when it is sent again."""

    def too_long(self, error: Exception) -> bool:
        """Whether the error says that the prompt does not fit into the model's context."""

    def recover(self) -> bool:
        """Tries to bring a model back that gives no reply; True where another attempt is worth it."""

    def close(self) -> None:
        """Lets go of the model."""


class Gateway:
    """Asks one model on behalf of one run."""

    def __init__(
        self,
        backend: Backend,
        run: Path,
        settings: ModelSettings,
        seed: int,
        *,
        acknowledged: int = 0,
        writing: bool = True,
    ) -> None:
        """`acknowledged`: the run builds on the calls below this number; `writing`: whether the ledger is written.

        A later one in the ledger was received but not acted upon before a crash: it is used only if the same prompt
        comes again.
        """
        self._backend, self._settings, self._seed = backend, settings, seed
        self.seconds_left: Callable[[], float] = lambda: math.inf
        """How long replies may be waited for: what is left of the run's time budget."""
        self._ledger = Ledger(run, writing=writing)
        self._acknowledged = acknowledged
        self._next = 0
        self._replied: set[int] = set()

    def ask(
        self,
        prompt: str,
        read: Callable[[str], Read[T]],
        *,
        schema: Mapping[str, Any] | None = None,
        n: int = 1,
        view: Mapping[str, Any] | None = None,
        repair: str = REPAIR,
    ) -> list[Reply[T]]:
        """Returns `n` independent replies to one question: see `ask_all`."""
        return self.ask_all([Question(prompt, read, schema, view or {}, repair)] * n)

    def ask_all(self, questions: Sequence[Question[T]]) -> list[Reply[T]]:
        """Returns the reply to each question.

        The requests run concurrently; those whose reply cannot be read are sent once more with the reason. A prompt
        that does not fit into the model's context is a reply without a value that says so. Raises ModelUnavailable when
        no reply can be had, OutOfTime when none came in the time that is left.
        """
        requests = [self._request((("user", q.prompt),), q) for q in questions]
        first = self._exchange(requests, [None] * len(requests), [q.read for q in questions])
        broken = [i for i, (_, reply) in enumerate(first) if reply.value is None and not reply.too_long]
        repairs = [self._request(_repair(questions[i], requests[i], *first[i]), questions[i]) for i in broken]
        second = self._exchange(repairs, [requests[i].call for i in broken], [questions[i].read for i in broken])
        replies = [reply for _, reply in first]
        for i, (_, reply) in zip(broken, second, strict=True):
            calls = replies[i].calls + reply.calls
            replies[i] = Reply(reply.value, calls, reply.reason, reply.issues)
        return replies

    def close(self) -> None:
        """Closes the ledger and lets go of the model."""
        self._ledger.close()
        self._backend.close()

    def _request(self, messages: tuple[tuple[str, str], ...], question: Question[T]) -> Request:
        call, self._next = self._next, self._next + 1
        seed = int(np.random.SeedSequence([self._seed, 2, call]).generate_state(1)[0] >> 1)
        return Request(messages, question.schema, seed, call, question.view, self._settings)

    def _exchange(
        self, requests: Sequence[Request], repairs: Sequence[int | None], reads: Sequence[Callable[[str], Read[T]]]
    ) -> list[tuple[str, Reply[T]]]:
        """Returns each request's text and reply; the recorded ones without asking."""
        found = [self._recall(*asked) for asked in zip(requests, repairs, reads, strict=True)]
        sends = [
            partial(self._send, request, repaired, read)
            for request, repaired, read, known in zip(requests, repairs, reads, found, strict=True)
            if known is None
        ]
        start = time.perf_counter()
        try:
            if len(sends) == 1 and math.isinf(self.seconds_left()):
                sent = iter([sends[0]()])
            else:
                sent = iter(together(sends, self._settings.concurrency, self.seconds_left()))
        except (OutOfTime, KeyboardInterrupt) as error:
            cut = [r for r, known in zip(requests, found, strict=True) if known is None and r.call not in self._replied]
            for request in cut:
                self._note_error(request, _text(error), time.perf_counter() - start)
            raise
        return [next(sent) if known is None else known for known in found]

    def _recall(
        self, request: Request, repaired: int | None, read: Callable[[str], Read[T]]
    ) -> tuple[str, Reply[T]] | None:
        """Returns what the ledger has of a request; a repair that was acted upon may have asked in other words."""
        recorded = self._ledger.recorded.get(request.call)
        if recorded is None:
            return None
        same = recorded.prompt == request.text
        if repaired is not None and request.call < self._acknowledged:
            same = recorded.repairs == repaired and recorded.prompt.startswith(request.before)
        if same:
            if recorded.status == "too_long":
                return "", Reply(None, (request.call,), reason=recorded.reason, too_long=True)
            return recorded.reply, _read(recorded.reply, request.call, read)
        if request.call >= self._acknowledged:
            return None
        raise ReplayMismatch(
            f"LLM call {request.call} cannot be repeated: the prompt is not the recorded one (a prompt file or a"
            " version has changed). Resume with the files that the run was started with, or start a new run."
        )

    def _send(self, request: Request, repaired: int | None, read: Callable[[str], Read[T]]) -> tuple[str, Reply[T]]:
        start = time.perf_counter()
        text = ""
        usage: Mapping[str, Any] = {}
        status: ExchangeStatus = "too_long"
        try:
            message = self._invoke(request)
        except PromptTooLong as error:
            reply: Reply[T] = Reply(None, (request.call,), reason=f"the prompt is too long: {error}", too_long=True)
        else:
            text, usage = str(message.text), message.usage_metadata or {}
            reply = _read(text, request.call, read)
            status = "invalid" if reply.value is None else "ok"
        self._ledger.append(
            Exchange(
                call=request.call,
                status=status,
                prompt=request.text,
                reply=text,
                model=self._backend.name,
                sampling=self._sampling(request),
                repairs=repaired,
                reason=reply.reason,
                issues=reply.issues,
                prompt_tokens=int(usage.get("input_tokens", 0)),
                completion_tokens=int(usage.get("output_tokens", 0)),
                seconds=round(time.perf_counter() - start, 4),
            )
        )
        self._replied.add(request.call)
        return text, reply

    def _invoke(self, request: Request) -> Any:
        """Sends a request, again after errors of transport, and once more after the model was brought back."""
        try:
            return self._attempt(request)
        except (UsageError, *_FAULTS):
            raise  # of a script that cannot answer for this task; of our own code
        except Exception as error:
            if self._backend.too_long(error):
                raise PromptTooLong(str(error)[:_QUOTED_CHARS]) from error
            if not self._backend.transient(error):
                raise ModelUnavailable(f"The model {self._backend.name} refused a request: {_text(error)}") from error
            if not self._backend.recover():
                raise ModelUnavailable(f"The model {self._backend.name} does not answer: {_text(error)}") from error
        try:
            return self._attempt(request)
        except _FAULTS:
            raise
        except Exception as error:
            raise ModelUnavailable(
                f"The model {self._backend.name} was started again and still does not answer: {_text(error)}"
            ) from error

    def _attempt(self, request: Request) -> Any:
        import tenacity

        def note(state: tenacity.RetryCallState) -> None:
            error = state.outcome.exception() if state.outcome else None
            self._note_error(request, _text(error), state.seconds_since_start or 0.0)

        retrying = tenacity.Retrying(
            stop=tenacity.stop_after_attempt(self._settings.retries + 1),
            wait=tenacity.wait_random_exponential(multiplier=0.5, max=20),
            retry=tenacity.retry_if_exception(lambda e: isinstance(e, Exception) and self._backend.transient(e)),
            after=note,
            reraise=True,
        )
        return retrying(self._backend.chat.invoke, list(request.messages), **self._backend.options(request))

    def _note_error(self, request: Request, reason: str, seconds: float) -> None:
        """Records that no reply came."""
        self._ledger.append(
            Exchange(
                call=request.call,
                status="error",
                prompt="",
                reply="",
                model=self._backend.name,
                sampling=self._sampling(request),
                reason=reason,
                seconds=round(seconds, 4),
            )
        )

    def _sampling(self, request: Request) -> dict[str, Any]:
        settings = self._settings
        return {"temperature": settings.temperature, "max_tokens": settings.max_tokens, "seed": request.seed}


def _repair(question: Question[T], request: Request, text: str, reply: Reply[T]) -> tuple[tuple[str, str], ...]:
    """Returns the messages that send an unreadable reply back with the reason."""
    quoted = text if len(text) <= _QUOTED_CHARS else text[:_QUOTED_CHARS] + " ..."
    return (*request.messages, ("assistant", quoted), ("user", render(question.repair, {"reason": reply.reason})))


def _read(text: str, call: int, read: Callable[[str], Read[T]]) -> Reply[T]:
    try:
        result = read(text)
    except ReplyError as error:
        return Reply(None, (call,), reason=str(error))
    return Reply(result.value, (call,), issues=result.issues)


def _text(error: BaseException | None) -> str:
    first = error
    while first is not None and first.__cause__ is not None:
        first = first.__cause__
    cause = "" if str(first) in str(error) else f" ({str(first)[:500]})"
    return f"{type(error).__name__}: {str(error)[:500]}{cause}"
