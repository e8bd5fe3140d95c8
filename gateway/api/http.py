"""Small pieces of ASGI that every endpoint shares: reading a body, answering in JSON."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping
from typing import Any

import orjson

from gateway.core.errors import (
    BadRequest,
    BodyTooLarge,
    GatewayError,
    NotReady,
    UnsupportedMedia,
)
from gateway.core.room import CAPS, LEAST_CONTAINERS, Caps

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]

_JSON = b"application/json"
JSON = (b"content-type", _JSON)
REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")
_MAX_DEPTH = 64
_KNOWN = "waterfall.headers"
"""Where a scope keeps its headers by their names."""
_CHEAP_BRACKETS = 64
_MOST_VALUES = 2_000_000
_PLAIN = bytes(each for each in range(256) if each not in b'[{,"')
_CONTAINERS = frozenset({dict, list})
_LONGEST_NUMBER = 18


class ClientGone(Exception):
    """The client hung up before its request was read."""


def stopping() -> NotReady:
    """Make what is said to whoever comes while the gateway stops, or is still there at the end."""
    return NotReady("This gateway is shutting down; try another.", retry_after=1.0)


def by_name(scope: Scope) -> Mapping[bytes, bytes]:
    """Return the request's headers by their names, of one that was sent twice the first."""
    known: Mapping[bytes, bytes] | None = scope.get(_KNOWN)
    if known is None:  # once: a dozen are asked for, and SDKs send as many more
        known = scope[_KNOWN] = dict(reversed(list(scope["headers"])))
    return known


def header(scope: Scope, name: bytes) -> str | None:
    """Return a request header's value, the first if it was sent twice; None without one."""
    value = by_name(scope).get(name)
    return None if value is None else value.decode("latin-1")


def request_id(scope: Scope, otherwise: str) -> str:
    """Return the client's own id when it is harmless, else ours."""
    own = header(scope, b"x-request-id")
    return own if own is not None and REQUEST_ID.fullmatch(own) else otherwise


async def read_json(
    scope: Scope, receive: Receive, limit: int, caps: Caps = CAPS
) -> dict[str, Any]:
    """Read a JSON object of at most `limit` bytes.

    Raises UnsupportedMedia, BodyTooLarge, BadRequest, or ClientGone.
    """
    _refuse_head(by_name(scope), limit)
    blocks: list[bytes] = []
    size = 0
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        block = message.get("body", b"")
        size += len(block)
        if size > limit:
            raise _too_large(limit)
        blocks.append(block)
        more = message.get("more_body", False)
    raw = blocks[0] if len(blocks) == 1 else b"".join(blocks)
    body = json_object(raw, caps)
    if raw.count(b"[") + raw.count(b"{") > _CHEAP_BRACKETS:
        _refuse_depth(body)
    return body


def _refuse_head(known: Mapping[bytes, bytes], limit: int) -> None:
    """Refuse by its headers a body that is no JSON as it stands, or too large."""
    kind = known.get(b"content-type", b"")
    if kind != _JSON and kind.partition(b";")[0].strip().lower() != _JSON:
        raise UnsupportedMedia("Send the request as JSON, with content-type: application/json.")
    if (known.get(b"content-encoding") or b"identity").lower() != b"identity":
        raise UnsupportedMedia("Send the body uncompressed: content-encoding is not supported.")
    declared = known.get(b"content-length", b"0")
    # By its length first: Python reads no number of over 4,300 digits.
    if declared.isdigit() and (len(declared) > _LONGEST_NUMBER or int(declared) > limit):
        raise _too_large(limit)


def json_object(data: bytes, caps: Caps = CAPS) -> dict[str, Any]:
    """Read a body's JSON. Raises BadRequest for what is no JSON, no object, or one of so many
    pieces that reading it would hold up everybody else."""
    if len(data) > LEAST_CONTAINERS and len(data) > caps.containers:
        _refuse_sprawl(data, caps.containers)
    try:
        body = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise BadRequest(f"The body is not valid JSON: {error}.") from error
    if not isinstance(body, dict):
        raise BadRequest("The body must be a JSON object.")
    return body


def _too_large(limit: int) -> BodyTooLarge:
    return BodyTooLarge(f"The body is over {limit} bytes; the limit is server.max_body.")


def _refuse_sprawl(raw: bytes, most: int) -> None:
    """Refuse a body of very many pieces, before each of them becomes an object. Ten megabytes of
    `[],` took over two seconds; a long text, whatever is in it, takes none."""
    if not _sprawls(raw, most):
        return
    # Some of it may be text, between quotes: all of them are its ends once those that are escaped
    # are gone. Two in a row, when all else is left out, held nothing that matters.
    ends = raw.replace(rb"\\", b"").replace(rb"\"", b"").translate(None, _PLAIN)
    parts = ends.replace(b'""', b"").split(b'"')
    if _sprawls(b"".join(parts[::2]), most):
        raise BadRequest(
            f"The body has over {most} objects and lists (twice server.caps' messages and parts, "
            f"and 60000), or over {_MOST_VALUES} values."
        )


def _sprawls(raw: bytes, most: int) -> bool:
    return raw.count(b"[") + raw.count(b"{") > most or raw.count(b",") > _MOST_VALUES


def _refuse_depth(body: object) -> None:
    """Refuse nesting that an encoder further on would stumble over."""
    level: list[Any] = [body]
    for _ in range(_MAX_DEPTH):
        inner = (each.values() if type(each) is dict else each for each in level)
        level = [value for values in inner for value in values if type(value) in _CONTAINERS]
        if not level:
            return
    raise BadRequest(f"The body is nested more than {_MAX_DEPTH} levels deep.")


async def answer(
    send: Send, status: int, body: bytes, headers: Iterable[tuple[bytes, bytes]]
) -> None:
    """Send a whole response."""
    length = (b"content-length", b"%d" % len(body))
    start = {"type": "http.response.start", "status": status, "headers": [*headers, length]}
    await send(start)
    await send({"type": "http.response.body", "body": body})


async def answer_json(
    send: Send, status: int, value: object, headers: Headers | None = None
) -> None:
    """Send a value as JSON."""
    await answer(send, status, orjson.dumps(value), [JSON, *(headers or [])])


async def answer_error(
    send: Send,
    error: GatewayError,
    headers: Headers | None = None,
    body: Mapping[str, Any] | None = None,
) -> None:
    """Send an error, with Retry-After when it is known: in OpenAI's shape, or as `body` has it."""
    told = [*(headers or []), *error.headers, *retry_after(error)]
    await answer_json(send, error.status, error.body() if body is None else body, told)


def retry_after(error: GatewayError) -> Headers:
    """Return the Retry-After header, in whole seconds rounded up, when the error has one."""
    if error.retry_after is None:
        return []
    return [(b"retry-after", b"%d" % max(1, -int(-error.retry_after // 1)))]
