"""The simulated provider in the words of Anthropic's Messages and of OpenAI's Responses: the same
replies and faults."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import orjson

from gateway.core.chat import ChatRequest, Delta
from gateway.core.errors import GatewayError
from gateway.core.money import Usage
from gateway.dialects.dialect import Dialect
from gateway.upstreams.simulated.log import Line
from gateway.upstreams.simulated.provider import Provider
from gateway.upstreams.simulated.refusals import Declined
from gateway.upstreams.simulated.render import DONE
from gateway.upstreams.simulated.show import Part, Show, Step


def receive(
    provider: Provider,
    dialect: Dialect,
    body: Mapping[str, Any],
    *,
    directive: str | None,
    refusal: Declined | None,
) -> tuple[Show, Line]:
    """Take one request in a dialect; see `Provider.receive`."""
    request = ChatRequest({})
    if refusal is None:
        try:
            request = dialect.read(body, {})
        except GatewayError as error:
            refusal = Declined(error.status, error.message, error.code, error.param)
    show, line = provider.receive(request.body, directive=directive, refusal=refusal)
    if show.streams:
        steps = tuple(_streamed(dialect, show.steps, request))
        return replace(show, steps=steps, framing=show.framing or "raw"), line
    steps = tuple(_plain(dialect, step, request, show.status) for step in show.steps)
    return replace(show, steps=steps), line


def _streamed(dialect: Dialect, steps: tuple[Step, ...], request: ChatRequest) -> Iterator[Step]:
    telling = dialect.stream(request)
    for step in steps:
        if not isinstance(step, Part):
            yield step
            continue
        payload = _object(step.data)
        if step.data == DONE:
            data = telling.end(Usage())
        elif payload is None:
            data = b"data: %b\n\n" % step.data
        elif "error" in payload:
            data = telling.fail(_error(payload, 500))
        else:
            data = telling.feed(Delta(raw=None, payload=payload))
        yield replace(step, data=data)


def _plain(dialect: Dialect, step: Step, request: ChatRequest, status: int) -> Step:
    if not isinstance(step, Part):
        return step
    payload = _object(step.data)
    if payload is None:
        return step
    if "error" in payload:
        told = dialect.error(_error(payload, status), "req_simulated")
        return replace(step, data=orjson.dumps(told))
    if not payload.get("choices"):
        return step
    return replace(step, data=dialect.plain(Delta(raw=None, payload=payload), request, Usage()))


def _object(data: bytes) -> dict[str, Any] | None:
    try:
        payload = orjson.loads(data)
    except orjson.JSONDecodeError:
        return None
    return payload if isinstance(payload, dict) else None


def _error(payload: Mapping[str, Any], status: int) -> GatewayError:
    error = payload["error"]
    told = error if isinstance(error, Mapping) else {"message": error}
    made = GatewayError(str(told.get("message")), param=told.get("param"), code=told.get("code"))
    made.status, made.type = status, str(told.get("type") or made.type)
    return made
