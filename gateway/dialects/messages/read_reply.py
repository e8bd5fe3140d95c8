"""What Anthropic's Messages answer, plain or as events, in the shapes of a chat completion."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import orjson

FINISH: Final = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "pause_turn": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "refusal": "content_filter",
}
"""Why a reply ended, in the chat's words."""
_USED = ("input_tokens", "cache_read_input_tokens", "cache_creation_input_tokens")


class NotMessages(ValueError):
    """What came is not one of Messages' replies; the text says why, in our words."""


def usage_of(reported: Mapping[str, Any]) -> dict[str, Any]:
    """Return a usage in the chat's words: what was read from the cache and written to it lies
    within the prompt there, and beside it here."""
    fresh, read, written = (_count(reported.get(name)) for name in _USED)
    completion = _count(reported.get("output_tokens"))
    prompt = fresh + read + written
    thought = _count((reported.get("output_tokens_details") or {}).get("thinking_tokens"))
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
        "prompt_tokens_details": {"cached_tokens": read, "cache_write_tokens": written},
        "completion_tokens_details": {"reasoning_tokens": thought},
    }


def _count(value: object) -> int:
    return value if type(value) is int and value > 0 else 0


def plain_payload(message: Mapping[str, Any], created: int) -> dict[str, Any]:
    """Write a whole message as a chat completion. `created` is a UNIX time in seconds.

    Raises NotMessages.
    """
    content = message.get("content")
    if not isinstance(content, list) or not all(isinstance(block, dict) for block in content):
        raise NotMessages("it has no content")
    texts = [_text(block, "text") for block in content if block.get("type") == "text"]
    calls = [
        _call(block, orjson.dumps(block.get("input") or {}).decode())
        for block in content
        if block.get("type") == "tool_use"
    ]
    said: dict[str, Any] = {"role": "assistant", "content": "".join(texts) or None, "refusal": None}
    if calls:
        said["tool_calls"] = calls
    elif said["content"] is None:
        said["content"] = ""
    said |= _thoughts([block for block in content if _is_thought(block)])
    choice = {"index": 0, "message": said, "logprobs": None, **_finish(message)}
    return {
        **_frame(message, created, "chat.completion"),
        "choices": [choice],
        "usage": usage_of(_mapping(message.get("usage"))),
    }


def _frame(message: Mapping[str, Any], created: int, kind: str) -> dict[str, Any]:
    return {
        "id": message.get("id") or "",
        "object": kind,
        "created": created,
        "model": message.get("model") or "",
    }


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _text(block: Mapping[str, Any], name: str) -> str:
    text = block.get(name, "")
    if not isinstance(text, str):
        raise NotMessages(f"its {name} is not text")
    return text


def _call(block: Mapping[str, Any], arguments: str) -> dict[str, Any]:
    function = {"name": _text(block, "name"), "arguments": arguments}
    return {"id": _text(block, "id"), "type": "function", "function": function}


def _is_thought(block: Mapping[str, Any]) -> bool:
    return block.get("type") in {"thinking", "redacted_thinking"}


def _thoughts(blocks: list[dict[str, Any]]) -> dict[str, Any]:
    """What was thought, as text to show and as the signed blocks that the next request needs."""
    if not blocks:
        return {}
    shown = "".join(_text(block, "thinking") for block in blocks)
    return {"thinking_blocks": blocks} | ({"reasoning_content": shown} if shown else {})


def _finish(ended: Mapping[str, Any]) -> dict[str, Any]:
    """Why it ended; `stop_reason` names the client's stop sequence, as other servers do."""
    reason = ended.get("stop_reason")
    told = {"finish_reason": FINISH.get(str(reason), "stop") if reason else None}
    if isinstance(ended.get("stop_sequence"), str):
        told["stop_reason"] = ended["stop_sequence"]
    return told


@dataclass(slots=True)
class Events:
    """One stream's events, read into chunks. `created` is a UNIX time in seconds."""

    created: int
    usage: dict[str, Any] = field(default_factory=dict)
    """What was used, as far as it has been told, in Messages' words."""
    ended: bool = False
    _start: Mapping[str, Any] = field(default_factory=dict)
    _calls: dict[int, int] = field(default_factory=dict)
    _argued: set[int] = field(default_factory=set)
    _thought: dict[int, dict[str, Any]] = field(default_factory=dict)

    def chunk(self, event: Mapping[str, Any]) -> dict[str, Any] | None:
        """Return the chunk that an event comes to; None where a chat says nothing.

        The last event's tells the usage. Raises NotMessages.
        """
        kind = event.get("type")
        if kind == "message_start":
            return self._begin(event)
        if kind == "content_block_start":
            return self._block(_place(event), _mapping(event.get("content_block")))
        if kind == "content_block_delta":
            return self._piece(_place(event), _mapping(event.get("delta")))
        if kind == "content_block_stop":
            return self._close(_place(event))
        if kind == "message_delta":
            return self._finish(event)
        if kind == "message_stop":
            self.ended = True
            frame = _frame(self._start, self.created, "chat.completion.chunk")
            return {**frame, "choices": [], "usage": usage_of(self.usage)}
        return None

    def _begin(self, event: Mapping[str, Any]) -> dict[str, Any]:
        self._start = _mapping(event.get("message"))
        self.usage.update(_mapping(self._start.get("usage")))
        return self._said({"role": "assistant", "content": ""})

    def _block(self, place: int, block: Mapping[str, Any]) -> dict[str, Any] | None:
        kind = str(block.get("type"))
        if kind == "tool_use":
            self._calls[place] = len(self._calls)
            given = block.get("input")
            if given:
                self._argued.add(place)
            call = _call(block, orjson.dumps(given).decode() if given else "")
            return self._said({"tool_calls": [{"index": self._calls[place], **call}]})
        if kind == "redacted_thinking":
            return self._said({"thinking_blocks": [dict(block)]})
        if kind == "thinking":
            self._thought[place] = {"type": kind, "thinking": [_text(block, kind)], "signature": ""}
            return self._said({"reasoning_content": block[kind]}) if block.get(kind) else None
        text = _text(block, "text") if kind == "text" else ""
        return self._said({"content": text}) if text else None

    def _piece(self, place: int, delta: Mapping[str, Any]) -> dict[str, Any] | None:
        kind = delta.get("type")
        if kind == "text_delta":
            return self._said({"content": _text(delta, "text")})
        if kind == "input_json_delta":
            if place not in self._calls:
                return None  # a tool that the provider runs itself
            return self._argue(place, _text(delta, "partial_json"))
        thought = self._thought.get(place)
        if thought is not None and kind == "thinking_delta":
            thought["thinking"].append(_text(delta, "thinking"))
            return self._said({"reasoning_content": delta["thinking"]})
        if thought is not None and kind == "signature_delta":
            thought["signature"] += _text(delta, "signature")
        return None

    def _argue(self, place: int, words: str) -> dict[str, Any]:
        if words:
            self._argued.add(place)
        part = {"index": self._calls[place], "function": {"arguments": words}}
        return self._said({"tool_calls": [part]})

    def _close(self, place: int) -> dict[str, Any] | None:
        if place in self._calls and place not in self._argued:
            return self._argue(
                place, "{}"
            )  # a call without arguments tells none; a chat's has them
        thought = self._thought.pop(place, None)
        if thought is None:
            return None
        whole = {**thought, "thinking": "".join(thought["thinking"])}
        return self._said({"thinking_blocks": [whole]})

    def _finish(self, event: Mapping[str, Any]) -> dict[str, Any]:
        told = {n: v for n, v in _mapping(event.get("usage")).items() if v is not None}
        if not any(_count(told.get(name)) for name in _USED):
            # No prompt is empty: servers that count it at the start alone say 0 at the end.
            told = {name: value for name, value in told.items() if name not in _USED}
        self.usage.update(told)
        return self._said({}, _finish(_mapping(event.get("delta"))))

    def _said(self, delta: dict[str, Any], more: dict[str, Any] | None = None) -> dict[str, Any]:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": None}
        frame = _frame(self._start, self.created, "chat.completion.chunk")
        return {**frame, "choices": [choice | (more or {})]}


def _place(event: Mapping[str, Any]) -> int:
    index = event.get("index")
    if type(index) is not int:
        raise NotMessages("a block has no index")
    return index
