"""Reads OpenAI's chat replies into deltas, and takes out what only the gateway had asked for."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any, TypeGuard

import orjson

from gateway.core.chat import Delta, Piece
from gateway.upstreams.failures import in_payload, nonsense
from gateway.upstreams.usage import OPENAI, read_usage

MAX_CHOICES = 128
_ROUNDING = 1e-3
"""By how much the logarithm of a chance of 1 may come out over 0."""
_SAID = frozenset({"role", "content", "refusal", "tool_calls"})
"""What a piece has fields for; where a message says anything else, it is more than its piece."""
_NULL_USAGE = b',"usage":null'
# An escaped character of JSON: a surrogate pair, half a pair, or anything else.
_ESCAPE = re.compile(
    rb"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"
    rb"|(u[dD][89a-fA-F][0-9a-fA-F]{2})|.)",
    re.DOTALL,
)


def plain_delta(raw: bytes, *, strip_logprobs: bool) -> Delta:
    """Read a plain reply's whole body.

    `strip_logprobs` removes the choices' log-probabilities from what the client will see.
    Raises UpstreamDown(kind="bad_response") for anything but a chat completion, and the error
    that the body carries, if it is one.
    """
    payload = json_object(raw)
    choices = _choices(payload)
    if not choices:
        raise nonsense("it has no choices")
    pieces = []
    for choice in choices:
        pieces.append(_piece(choice, "message"))
    usage = read_usage(payload.get("usage"), OPENAI, payload.get("service_tier"))
    if strip_logprobs and _drop_logprobs(choices):
        raw = orjson.dumps(payload)
    return Delta(tuple(pieces), usage, raw, payload)


def event_delta(data: bytes, *, strip_usage: bool, strip_logprobs: bool) -> Delta:
    """Read one event's data.

    `strip_usage` and `strip_logprobs` remove what the client did not ask for; an event which
    then holds nothing, or which is no chunk at all (a heartbeat), has `raw=b""`.
    Raises UpstreamDown(kind="bad_response") for nonsense, and the error that the event carries.
    """
    payload = json_object(data)
    choices = _choices(payload)
    pieces = tuple([_piece(choice, "delta") for choice in choices])
    reported = payload.get("usage")
    service = payload.get("service_tier")
    usage = None if reported is None else read_usage(reported, OPENAI, service)
    if not choices and (strip_usage if reported is not None else "choices" not in payload):
        return Delta(pieces, usage)
    # A line break between tokens of JSON is legal, but would break the event's only line.
    raw = data if b"\n" not in data else None
    if strip_usage and "usage" in payload:
        del payload["usage"]
        spliceable = raw is not None and reported is None and data.count(_NULL_USAGE) == 1
        # Within a JSON string the quotes would be escaped, so this one is the field itself.
        raw = data.replace(_NULL_USAGE, b"") if spliceable else None
    if strip_logprobs and _drop_logprobs(choices):
        raw = None
    return Delta(pieces, usage, orjson.dumps(payload) if raw is None else raw, payload)


def pieces_of(payload: Mapping[str, Any], part: str) -> tuple[Piece, ...]:
    """Read the pieces of a payload of our own making; `part` is delta or message."""
    return tuple([_piece(choice, part) for choice in payload["choices"]])


def json_object(raw: bytes) -> dict[str, Any]:
    """Parse one JSON object, and raise the error it carries, if it carries one."""
    try:
        payload = orjson.loads(raw)
    except orjson.JSONDecodeError:
        payload = _mended(raw)
    if not isinstance(payload, dict):
        raise nonsense("it is not a JSON object")
    if "error" in payload or payload.get("object") == "error":
        error = in_payload(payload)
        if error is not None:
            raise error
    return payload


def _mended(raw: bytes) -> Any:
    """Parse JSON that holds halves of surrogate pairs (an emoji cut in two by its tokens).

    It is legal and the client can join them; for us each half becomes U+FFFD.
    """
    if b"\\u" not in raw:
        raise nonsense("it is not JSON")
    try:
        return orjson.loads(_ESCAPE.sub(_whole, raw))
    except orjson.JSONDecodeError:
        raise nonsense("it is not JSON") from None


def _whole(escape: re.Match[bytes]) -> bytes:
    return b"\\ufffd" if escape[1] else escape[0]


def _choices(payload: Mapping[str, Any]) -> list[dict[str, Any]]:
    choices = payload.get("choices")
    if choices is None:
        return []
    if not isinstance(choices, list):
        raise nonsense("its choices are not a list")
    return choices


def _piece(choice: object, part: str) -> Piece:
    if not isinstance(choice, dict):
        raise nonsense("a choice is not an object")
    index = choice.get("index", 0)
    if type(index) is not int or not 0 <= index < MAX_CHOICES:
        raise nonsense("a choice has no index")
    message = choice.get(part)
    if not isinstance(message, dict):
        if message is not None or part == "message":
            raise nonsense(f"a choice has no {part}")
        message = {}
    content = message.get("content")
    finish, logprobs = choice.get("finish_reason"), choice.get("logprobs")
    finish = None if finish is None else _text(finish, "finish_reason") or None
    odds = _logprobs(logprobs) if logprobs else ()
    if type(content) is str and len(message) == 1 + ("role" in message):
        return Piece(index, content, "", finish, odds)  # nearly every piece there is
    text, refusal = (content, "") if type(content) is str else _content(content)
    refusal += _text(message.get("refusal"), "refusal")
    more = any(message[name] for name in message.keys() - _SAID) or isinstance(content, list)
    return Piece(index, text, refusal, finish, odds, _tool_calls(message), more)


def _content(content: object) -> tuple[str, str]:
    """Read content that is not a string: nothing, or a list of parts. Returns text, refusal."""
    if content is None:
        return "", ""
    if not isinstance(content, list):
        raise nonsense("a choice's content is not text")
    parts = [{"text": part} if isinstance(part, str) else part for part in content]
    if not all(isinstance(part, dict) for part in parts):
        raise nonsense("a choice's content is not text")
    return (
        "".join([_text(part.get("text"), "text") for part in parts]),
        "".join([_text(part.get("refusal"), "refusal") for part in parts]),
    )


def _text(value: object, name: str) -> str:
    if value is None:
        return ""
    if not isinstance(value, str):
        raise nonsense(f"{name} is not text")
    return value


def _logprobs(logprobs: object) -> tuple[float, ...]:
    """Read the tokens' log-probabilities; what cannot be one is left out."""
    tokens = logprobs.get("content") if isinstance(logprobs, dict) else None
    if not isinstance(tokens, list):
        return ()
    found = [token.get("logprob") for token in tokens if isinstance(token, dict)]
    return tuple([min(0.0, float(value)) for value in found if _is_logprob(value)])


def _is_logprob(value: object) -> TypeGuard[float]:
    if not isinstance(value, float | int) or isinstance(value, bool):
        return False
    return -math.inf < value <= _ROUNDING


def _tool_calls(message: Mapping[str, Any]) -> tuple[Mapping[str, Any], ...]:
    calls = message.get("tool_calls")
    if calls is None:
        legacy = message.get("function_call")
        if legacy is None:
            return ()
        calls = [{"index": 0, "type": "function", "function": legacy}]
    if not isinstance(calls, list):
        raise nonsense("its tool calls are not a list")
    return tuple([_tool_call(call) for call in calls])


def _tool_call(call: object) -> Mapping[str, Any]:
    """Check one call; arguments given as JSON, not as text of it, are written down as text."""
    if not isinstance(call, dict):
        raise nonsense("a tool call is not an object")
    index = call.get("index", 0)
    if index is None:
        call = {key: value for key, value in call.items() if key != "index"}
    elif type(index) is not int or index < 0:
        raise nonsense("a tool call's index is not a number")
    function = call.get("function")
    if function is None:
        return call
    if not isinstance(function, dict):
        raise nonsense("a tool call's function is not an object")
    _text(function.get("name"), "a tool call's name")
    arguments = function.get("arguments")
    if isinstance(arguments, dict | list):
        return {**call, "function": {**function, "arguments": orjson.dumps(arguments).decode()}}
    _text(arguments, "a tool call's arguments")
    return call


def _drop_logprobs(choices: list[dict[str, Any]]) -> bool:
    """Take the log-probabilities out of each choice; was there anything to take?"""
    found = False
    for choice in choices:
        found |= choice.pop("logprobs", None) is not None
    return found
