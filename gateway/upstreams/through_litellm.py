"""Any provider that litellm speaks to, as an upstream: the one file that loads it, on demand.

litellm is asked for one call at a time and for nothing else: it retries nothing, drops nothing,
reports nowhere, and its prices are the ones in its package.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from functools import cache
from importlib.util import find_spec
from typing import Any

import orjson

from gateway.config import UpstreamSettings
from gateway.core.errors import UpstreamDown, UpstreamError, UpstreamTimeout
from gateway.core.ports import Receive, UpstreamCall
from gateway.upstreams import failures
from gateway.upstreams.wire import event_delta, plain_delta

INSTALL = "pip install 'waterfall-gateway[providers]'"
_CODES = {
    "ContextWindowExceededError": "context_length_exceeded",
    "ContentPolicyViolationError": "content_policy_violation",
}


def is_there() -> bool:
    """Is litellm installed? Asking does not load it."""
    return find_spec("litellm") is not None


@cache
def _litellm() -> Any:
    # Before its import: it would fetch its prices from the network otherwise.
    os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"
    import litellm  # noqa: PLC0415, TID251 (this is the one place)

    litellm.telemetry = False
    litellm.suppress_debug_info = True
    litellm.drop_params = False
    litellm.num_retries = 0
    return litellm


class LitellmUpstream:
    """One provider's credentials and place; the tier's model says which provider
    (`bedrock/...`)."""

    def __init__(self, settings: UpstreamSettings) -> None:
        """Nothing is loaded before the first call."""
        self.name = settings.name
        self._key, self._limits = settings.api_key, settings.timeouts
        own = {"api_key": settings.api_key, "api_base": settings.base_url or None}
        self._own = {name: value for name, value in own.items() if value}

    async def call(self, call: UpstreamCall, receive: Receive) -> None:
        """Make one call; see `gateway.core.ports.Upstream`."""
        library = await asyncio.to_thread(_litellm)
        try:
            async with asyncio.timeout(min(call.timeout, self._limits.total)):
                await self._call(library, call, receive)
        except TimeoutError as error:
            raise UpstreamTimeout("The upstream was too slow (total).") from error
        except UpstreamError as error:
            failures.mask(error, self._key)
            raise
        except library.exceptions.openai.OpenAIError as error:
            raise self._meaning(error) from error

    async def aclose(self) -> None:
        """Nothing is kept open here: litellm's connections are its own."""

    async def _call(self, library: Any, call: UpstreamCall, receive: Receive) -> None:
        call.on_sent()
        try:
            async with asyncio.timeout(self._limits.first_token if call.stream else None):
                got = await library.acompletion(
                    **{**call.body, **self._own},
                    num_retries=0,
                    max_retries=0,
                    timeout=self._limits.total,
                )
        except TimeoutError as error:
            raise UpstreamTimeout("The upstream was too slow (first token).") from error
        if not call.stream:
            raw = orjson.dumps(got.model_dump(exclude_none=True))
            await receive(plain_delta(raw, strip_logprobs=call.strip_logprobs))
            return
        try:
            await self._stream(got, call, receive)
        finally:
            await _left(got)

    async def _stream(self, got: Any, call: UpstreamCall, receive: Receive) -> None:
        begun, ended = set[int](), set[int]()
        spoken = False
        async for chunk in got:
            raw = orjson.dumps(chunk.model_dump(exclude_none=True))
            delta = event_delta(
                raw, strip_usage=call.strip_usage, strip_logprobs=call.strip_logprobs
            )
            choices = delta.payload.get("choices") or ()
            spoken = spoken or any(choice.get("delta") for choice in choices)
            if not spoken and delta.pieces:  # litellm ends in good order what was no stream at all
                raise failures.nonsense("it is not the stream that was asked for")
            for piece in delta.pieces:
                (ended if piece.finish else begun).add(piece.index)
            if not await receive(delta):
                return
        if not ended or begun - ended:
            raise failures.nonsense("its stream ended early")

    def _meaning(self, error: Any) -> UpstreamError:
        """Map litellm's exceptions, which are OpenAI's, each with a status of its own."""
        kind = type(error).__name__
        if kind == "Timeout":
            return UpstreamTimeout("The upstream was too slow.")
        if kind == "APIConnectionError":
            return UpstreamDown("Cannot connect to the upstream.", kind="connect")
        told = {
            "message": str(getattr(error, "message", error)),
            "code": _CODES.get(kind) or getattr(error, "code", None),
            "param": getattr(error, "param", None),
        }
        status = int(getattr(error, "status_code", None) or 500)
        found = failures.from_reply(status, _headers(error), orjson.dumps({"error": told}))
        failures.mask(found, self._key)
        return found


def _headers(error: Any) -> Mapping[bytes, bytes]:
    reply = getattr(error, "response", None)
    found = getattr(reply, "headers", None) or {}
    wait = found.get("retry-after")
    return {b"retry-after": str(wait).encode()} if wait else {}


async def _left(stream: Any) -> None:
    """Close what a stream reads from, so that the provider stops."""
    inner = getattr(stream, "completion_stream", None)
    close = getattr(inner, "close", None) or getattr(inner, "aclose", None)
    if close is not None:
        ended = close()
        if asyncio.iscoroutine(ended):
            await ended
