"""What OpenAI's Responses answer, plain or as events, in the shapes of a chat completion."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

_FINISH: Final = {"max_output_tokens": "length", "content_filter": "content_filter"}
_ENDS: Final = ("response.completed", "response.incomplete")
_Item = dict[str, Any]


class NotResponses(ValueError):
    """What came is not one of Responses' replies; the text says why, in our words."""


def usage_of(reported: Mapping[str, Any]) -> dict[str, Any]:
    """Return a usage in the chat's words."""
    prompt, completion = (_count(reported.get(n)) for n in ("input_tokens", "output_tokens"))
    read = reported.get("input_tokens_details") or {}
    thought = reported.get("output_tokens_details") or {}
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
        "prompt_tokens_details": {
            "cached_tokens": _count(read.get("cached_tokens")),
            "cache_write_tokens": _count(read.get("cache_write_tokens")),
        },
        "completion_tokens_details": {"reasoning_tokens": _count(thought.get("reasoning_tokens"))},
    }


def _count(value: object) -> int:
    return value if type(value) is int and value > 0 else 0


def failure_of(response: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return the error of a response that failed, None for any other."""
    if response.get("status") not in {"failed", "cancelled"}:
        return None
    error = response.get("error")
    return error if isinstance(error, Mapping) else {"message": "The response failed."}


def plain_payload(response: Mapping[str, Any]) -> dict[str, Any]:
    """Write a whole response as a chat completion. Raises NotResponses."""
    output = response.get("output")
    if not isinstance(output, list) or not all(isinstance(item, dict) for item in output):
        raise NotResponses("it has no output")
    said, odds = _message(output)
    choice = {
        "index": 0,
        "message": said,
        "logprobs": {"content": odds} if odds else None,
        "finish_reason": _finish(response, called="tool_calls" in said),
    }
    return {
        **_frame(response, "chat.completion"),
        "choices": [choice],
        "usage": usage_of(_mapping(response.get("usage"))),
    }


def _message(output: list[Mapping[str, Any]]) -> tuple[_Item, list[Any]]:
    """Put the items of an output together into one message, and its log-probabilities."""
    parts = [
        part for item in output if item.get("type") == "message" for part in _parts(item, "content")
    ]
    calls = [
        _call(item, _text(item, "arguments"))
        for item in output
        if item.get("type") == "function_call"
    ]
    thoughts = [
        _text(part, "text")
        for item in output
        if item.get("type") == "reasoning"
        for part in _thought(item)
    ]
    text = "".join(_text(part, "text") for part in parts)
    said: _Item = {
        "role": "assistant",
        "content": text or (None if calls else ""),
        "refusal": "".join(_text(part, "refusal") for part in parts) or None,
    }
    if calls:
        said["tool_calls"] = calls
    if any(thoughts):
        said["reasoning_content"] = "".join(thoughts)
    return said, [each for part in parts for each in part.get("logprobs") or ()]


def _thought(item: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    yield from _parts(item, "content") if item.get("content") else _parts(item, "summary")


def _parts(item: Mapping[str, Any], name: str) -> list[Mapping[str, Any]]:
    parts = item.get(name)
    if not isinstance(parts, list) or not all(isinstance(part, dict) for part in parts):
        raise NotResponses(f"an item has no {name}")
    return parts


def _frame(response: Mapping[str, Any], kind: str) -> dict[str, Any]:
    created = response.get("created_at")
    return {
        "id": response.get("id") or "",
        "object": kind,
        "created": int(created) if isinstance(created, int | float) else 0,
        "model": response.get("model") or "",
    }


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _text(part: Mapping[str, Any], name: str) -> str:
    text = part.get(name)
    if text is None:
        return ""
    if not isinstance(text, str):
        raise NotResponses(f"its {name} is not text")
    return text


def _call(item: Mapping[str, Any], arguments: str) -> _Item:
    function = {"name": _text(item, "name"), "arguments": arguments}
    return {"id": _text(item, "call_id"), "type": "function", "function": function}


def _finish(response: Mapping[str, Any], *, called: bool) -> str:
    if response.get("status") == "incomplete":
        reason = _mapping(response.get("incomplete_details")).get("reason")
        return _FINISH.get(str(reason), "length")
    return "tool_calls" if called else "stop"


@dataclass(slots=True)
class Events:
    """One stream's events, read into chunks. `usage` is what was used and `service` the tier of
    service, in Responses' words, once that is known; `ended` says that the last event has come."""

    usage: Mapping[str, Any] = field(default_factory=dict)
    ended: bool = False
    service: object = None
    _start: Mapping[str, Any] = field(default_factory=dict)
    _calls: dict[int | str, int] = field(default_factory=dict)
    _argued: set[int] = field(default_factory=set)

    def chunk(self, event: Mapping[str, Any]) -> _Item | None:
        """Return the chunk that an event comes to; None where a chat says nothing. What the last
        one's usage is, `usage_chunk` tells. Raises NotResponses."""
        kind = str(event.get("type"))
        if kind == "response.created":
            self._start = _mapping(event.get("response"))
            return self._said({"role": "assistant", "content": ""})
        if kind in {"response.output_text.delta", "response.refusal.delta"}:
            name = "content" if "text" in kind else "refusal"
            return self._said({name: _text(event, "delta")}, event.get("logprobs"))
        if kind.startswith("response.reasoning_") and kind.endswith("_text.delta"):
            return self._said({"reasoning_content": _text(event, "delta")})
        if kind == "response.output_item.added":
            return self._item(event)
        if kind == "response.function_call_arguments.delta":
            return self._arguments(event, "delta")
        if kind == "response.function_call_arguments.done":
            return self._unheard(event)
        if kind in _ENDS:
            return self._end(_mapping(event.get("response")))
        return None

    def usage_chunk(self) -> _Item:
        """Return the chunk that tells the usage."""
        frame = _frame(self._start, "chat.completion.chunk")
        return {**frame, "choices": [], "usage": usage_of(self.usage)}

    def _item(self, event: Mapping[str, Any]) -> _Item | None:
        item = _mapping(event.get("item"))
        if item.get("type") != "function_call":
            return None
        number = self._calls[_place(event, item.get("id"))] = len(self._calls)
        return self._said({"tool_calls": [{"index": number, **_call(item, "")}]})

    def _arguments(self, event: Mapping[str, Any], name: str) -> _Item | None:
        number = self._calls.get(_place(event, event.get("item_id")))
        if number is None:
            return None  # a tool that the provider runs itself
        self._argued.add(number)
        part = {"index": number, "function": {"arguments": _text(event, name)}}
        return self._said({"tool_calls": [part]})

    def _unheard(self, event: Mapping[str, Any]) -> _Item | None:
        """A call's arguments in one, from a server that has told no piece of them before."""
        number = self._calls.get(_place(event, event.get("item_id")))
        return None if number in self._argued else self._arguments(event, "arguments")

    def _end(self, response: Mapping[str, Any]) -> _Item:
        self.usage, self.ended = _mapping(response.get("usage")), True
        self.service = response.get("service_tier")
        chunk = self._said({})
        chunk["choices"][0]["finish_reason"] = _finish(response, called=bool(self._calls))
        return chunk

    def _said(self, delta: _Item, logprobs: object = None) -> _Item:
        choice = {
            "index": 0,
            "delta": delta,
            "logprobs": {"content": logprobs} if logprobs else None,
            "finish_reason": None,
        }
        return {**_frame(self._start, "chat.completion.chunk"), "choices": [choice]}


def _place(event: Mapping[str, Any], item: object) -> int | str:
    """Return by what an item is known: its place, or its id from a server that tells no places."""
    index = event.get("output_index")
    if type(index) is int:
        return index
    if isinstance(item, str) and item:
        return item
    raise NotResponses("an item has no place")
