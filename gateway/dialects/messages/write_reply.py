"""A chat's reply and its errors in the words of Anthropic's Messages, for a client that speaks
them; plain. Events are in `write_events`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

import orjson

from gateway.core.chat import ChatRequest, Delta
from gateway.core.errors import ContextTooLong, GatewayError
from gateway.core.money import Usage
from gateway.dialects.names import full_names

STOPPED: Final = {
    "stop": "end_turn",
    "length": "max_tokens",
    "tool_calls": "tool_use",
    "function_call": "tool_use",
    "content_filter": "refusal",
}
"""Why a reply ended, in Messages' words."""
_ERRORS: Final = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    503: "overloaded_error",
    504: "timeout_error",
}
_TOO_LONG: Final = "prompt is too long"
"""How Anthropic begins the message of that error, by which its clients know it: it has no code."""
_UNREADABLE: Final = "INVALID_JSON"
"""Under which arguments are told that are no JSON of an object."""


def error_body(error: GatewayError, request_id: str) -> dict[str, Any]:
    """Return an error in Messages' shape; the code and the field stand beside what is theirs."""
    kind = _ERRORS.get(error.status, "invalid_request_error" if error.status < 500 else "api_error")
    message = error.message
    if isinstance(error, ContextTooLong) and not message.startswith(_TOO_LONG):
        message = f"{_TOO_LONG}: {message}"
    told = {"type": kind, "message": message, "code": error.code, "param": error.param}
    named = {name: value for name, value in told.items() if value is not None}
    return {"type": "error", "error": named, "request_id": request_id}


def plain_reply(delta: Delta, request: ChatRequest, usage: Usage) -> bytes:
    """Write a whole reply: its upstream's own bytes where that speaks Messages too."""
    native = delta.native
    if native is not None and native.wire == "messages":
        if delta.payload is native.payload:
            return native.data
        return orjson.dumps(_edited(orjson.loads(native.data), delta.payload))
    payload = delta.payload
    choice = (payload.get("choices") or [{}])[0]
    said = choice.get("message") or {}
    return orjson.dumps(
        {
            **opening(payload),
            "content": list(_blocks(said, full_names(request))),
            **stopped(
                choice,
                request,
                refused=bool(said.get("refusal")),
                called=bool(calls_of(said)),
            ),
            "usage": usage_told(payload.get("usage"), usage),
        }
    )


def opening(payload: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a message begins with."""
    own = str(payload.get("id") or "")
    return {
        "id": own if own.startswith("msg_") else f"msg_{own}",
        "type": "message",
        "role": "assistant",
        "model": payload.get("model") or "",
    }


def stopped(
    choice: Mapping[str, Any], request: ChatRequest, *, refused: bool, called: bool
) -> dict[str, Any]:
    """Say why a reply ended; a stop sequence is known where the upstream names it. A chat that was
    made to call a tool ends its call by `stop`; who speaks Messages goes on by `tool_use` alone."""
    finish = choice.get("finish_reason")
    sequence = choice.get("stop_reason")
    stops = request.body.get("stop") or ()
    if finish == "stop" and isinstance(sequence, str) and sequence in stops:
        return {"stop_reason": "stop_sequence", "stop_sequence": sequence}
    if called and finish in {"stop", None}:
        return {"stop_reason": "tool_use", "stop_sequence": None}
    reason = "refusal" if refused else STOPPED.get(str(finish), "end_turn")
    return {"stop_reason": reason, "stop_sequence": None}


def usage_told(reported: object, usage: Usage) -> dict[str, int]:
    """Return a usage in Messages' words, as the upstream reports it, else as it was reckoned."""
    told = reported if isinstance(reported, Mapping) else {}
    prompt, completion = told.get("prompt_tokens"), told.get("completion_tokens")
    parts = told.get("prompt_tokens_details") or {}
    read, written = parts.get("cached_tokens") or 0, parts.get("cache_write_tokens") or 0
    if type(prompt) is not int or type(completion) is not int:
        prompt, completion = usage.prompt, usage.completion
        read, written = usage.cached, usage.cache_write
    return {
        "input_tokens": max(prompt - read - written, 0),
        "cache_creation_input_tokens": written,
        "cache_read_input_tokens": read,
        "output_tokens": completion,
    }


def arguments_of(text: str) -> Mapping[str, Any]:
    """Return a call's arguments as the object that Messages want."""
    try:
        value = orjson.loads(text or "{}")
    except orjson.JSONDecodeError:
        value = None
    return value if isinstance(value, dict) else {_UNREADABLE: text}


def calls_of(said: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return a message's calls, a function's of the older kind among them."""
    old = said.get("function_call")
    return list(said.get("tool_calls") or ([{"function": old}] if old else []))


def _blocks(said: Mapping[str, Any], full: Mapping[str, str]) -> Iterator[Mapping[str, Any]]:
    yield from said.get("thinking_blocks") or ()
    for text in (_text(said.get("content")), said.get("refusal")):
        if text:
            yield {"type": "text", "text": text}
    for place, call in enumerate(calls_of(said)):
        function = call.get("function") or {}
        named = function.get("name") or ""
        yield {
            "type": "tool_use",
            "id": call.get("id") or f"toolu_{place}",
            "name": full.get(named, named),
            "input": arguments_of(function.get("arguments") or ""),
        }


def _text(content: object) -> str:
    """Return a content's text; some servers send parts."""
    if isinstance(content, list):
        parts = (part.get("text") for part in content if isinstance(part, Mapping))
        return "".join(part for part in parts if isinstance(part, str))
    return content if isinstance(content, str) else ""


def _edited(message: dict[str, Any], payload: Mapping[str, Any]) -> dict[str, Any]:
    """Put what was edited in the chat's shape back into the upstream's own message."""
    said = payload["choices"][0]["message"]
    left = said.get("content") or ""
    thoughts = iter(said.get("thinking_blocks") or ())
    calls = iter(said.get("tool_calls") or ())
    blocks = []
    for block in message["content"]:
        kind = block.get("type")
        if kind == "text":
            text, left = left[: len(block["text"])], left[len(block["text"]) :]
            if text:
                blocks.append({**block, "text": text})
        elif kind in {"thinking", "redacted_thinking"}:
            blocks.append(next(thoughts, block))
        elif kind == "tool_use":
            call = next(calls, None)
            told = call["function"]["arguments"] if call else "{}"
            blocks.append({**block, "input": arguments_of(told)})
        else:
            blocks.append(block)
    return {**message, "content": blocks}
