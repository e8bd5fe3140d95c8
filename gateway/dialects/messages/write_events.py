"""A chat's stream in the events of Anthropic's Messages.

Its blocks follow each other, where a chat's calls may be told in turns: the first call is told as
it comes, whatever else comes beside it waits for its end.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import orjson

from gateway.core.chat import ChatRequest, Delta
from gateway.core.errors import GatewayError
from gateway.core.money import Usage
from gateway.core.native import NativeEvent
from gateway.core.shortening import call_number
from gateway.dialects.dialect import sse
from gateway.dialects.messages.write_reply import error_body, opening, stopped, usage_told
from gateway.dialects.names import full_names

_Event = dict[str, Any]


class _Call:
    """A call on its way: what of it has come, and not yet been told."""

    def __init__(self) -> None:
        self.call_id = ""
        self.name = ""
        self.waiting: list[str] = []
        self.told = False

    def add(self, part: Mapping[str, Any]) -> None:
        function = part.get("function") or {}
        self.call_id = part.get("id") or self.call_id
        self.name += function.get("name") or ""
        if function.get("arguments"):
            self.waiting.append(function["arguments"])


class Telling:
    """Tells one reply; fits `gateway.dialects.dialect.Telling`."""

    def __init__(self, request: ChatRequest) -> None:
        """Begin with nothing told."""
        self._request, self._full = request, full_names(request)
        self._begun = self._stopped = self._native = self._refused = False
        self._payload: Mapping[str, Any] = {}
        self._block = -1
        self._open = ""
        self._calls: dict[int, _Call] = {}
        self._late: list[str] = []
        self._choice: dict[str, Any] = {}
        self._usage: object = None

    def feed(self, delta: Delta) -> bytes:
        """Tell one delta: the upstream's own event where that speaks Messages too."""
        native = delta.native
        if native is not None and native.wire == "messages":
            return self._pass_on(delta, native)
        if delta.raw == b"":
            return b""
        return b"".join(_written(event) for event in self._chunk(delta.payload))

    def end(self, usage: Usage) -> bytes:
        """Tell the end of the reply."""
        events = [] if self._native else list(self._ending(usage))
        if self._native and not self._stopped:
            events = [{"type": "message_stop"}]
        return b"".join(map(_written, events))

    def fail(self, error: GatewayError) -> bytes:
        """Tell that the stream has broken."""
        told = error_body(error, "")
        del told["request_id"]
        return _written(told)

    # ------------------------------------------------------------------ of an upstream's own

    def _pass_on(self, delta: Delta, native: NativeEvent) -> bytes:
        self._native = True
        self._stopped = self._stopped or native.name == "message_stop"
        if delta.payload is native.payload:
            return sse(native.name, native.data)
        return sse(native.name, orjson.dumps(_edited(orjson.loads(native.data), delta.payload)))

    # ------------------------------------------------------------------ made of a chat's

    def _chunk(self, payload: Mapping[str, Any]) -> Iterator[_Event]:
        self._payload = self._payload or payload
        self._usage = payload.get("usage") or self._usage
        for choice in payload.get("choices") or ():
            yield from self._begin()
            said = choice.get("delta") or {}
            for block in said.get("thinking_blocks") or ():
                yield from self._thought(block)
            self._refused = self._refused or bool(said.get("refusal"))
            for text in (said.get("content"), said.get("refusal")):
                if isinstance(text, str) and text:
                    yield from self._text(text)
            yield from self._add_calls(said)
            self._choice |= {
                name: choice[name]
                for name in ("finish_reason", "stop_reason")
                if choice.get(name) is not None
            }

    def _begin(self) -> Iterator[_Event]:
        if self._begun:
            return
        self._begun = True
        message = {
            **opening(self._payload),
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            "usage": usage_told(None, Usage()),
        }
        yield {"type": "message_start", "message": message}

    def _start(self, kind: str, block: _Event) -> Iterator[_Event]:
        yield from self._close()
        self._block += 1
        self._open = kind
        yield {"type": "content_block_start", "index": self._block, "content_block": block}

    def _close(self) -> Iterator[_Event]:
        if self._open:
            self._open = ""
            yield {"type": "content_block_stop", "index": self._block}

    def _delta(self, delta: _Event) -> _Event:
        return {"type": "content_block_delta", "index": self._block, "delta": delta}

    def _text(self, text: str) -> Iterator[_Event]:
        if self._open == "tool_use":
            self._late.append(text)
            return
        if self._open != "text":
            yield from self._start("text", {"type": "text", "text": ""})
        yield self._delta({"type": "text_delta", "text": text})

    def _thought(self, block: Mapping[str, Any]) -> Iterator[_Event]:
        if block.get("type") != "thinking":
            yield from self._start("thinking", dict(block))
        else:
            empty = {"type": "thinking", "thinking": "", "signature": ""}
            yield from self._start("thinking", empty)
            for name, field in (("thinking", "thinking"), ("signature", "signature")):
                yield self._delta({"type": f"{name}_delta", field: block.get(field) or ""})
        yield from self._close()

    def _add_calls(self, said: Mapping[str, Any]) -> Iterator[_Event]:
        old = said.get("function_call")
        for place, part in enumerate(
            said.get("tool_calls") or ([{"function": old}] if old else ())
        ):
            number = call_number(part, place)
            call = self._calls.setdefault(number, _Call())
            call.add(part)
            if call is next(iter(self._calls.values())) and call.waiting:
                yield from self._tell(call)

    def _tell(self, call: _Call) -> Iterator[_Event]:
        if not call.told:
            call.told = True
            own = call.call_id or f"toolu_{self._block + 1}"
            name = self._full.get(call.name, call.name)
            block = {"type": "tool_use", "id": own, "name": name, "input": {}}
            yield from self._start("tool_use", block)
        for part in call.waiting:
            yield self._delta({"type": "input_json_delta", "partial_json": part})
        call.waiting.clear()

    def _ending(self, usage: Usage) -> Iterator[_Event]:
        yield from self._begin()
        for call in self._calls.values():
            yield from self._tell(call)
        yield from self._close()
        if self._late:
            yield from self._text("".join(self._late))
            yield from self._close()
        yield {
            "type": "message_delta",
            "delta": stopped(
                self._choice, self._request, refused=self._refused, called=bool(self._calls)
            ),
            "usage": usage_told(self._usage, usage),
        }
        yield {"type": "message_stop"}


def _written(event: Mapping[str, Any]) -> bytes:
    return sse(str(event["type"]), orjson.dumps(event))


def _edited(event: _Event, payload: Mapping[str, Any]) -> _Event:
    """Put what was edited in the chat's shape back into the upstream's own event."""
    said = payload["choices"][0]["delta"]
    part = event.get("delta") or event.get("content_block") or {}
    kind = part.get("type")
    calls: list[Mapping[str, Any]] = said.get("tool_calls") or [{}]
    edits = {
        "text_delta": ("text", said.get("content")),
        "text": ("text", said.get("content")),
        "thinking_delta": ("thinking", said.get("reasoning_content")),
        "thinking": ("thinking", said.get("reasoning_content")),
        "input_json_delta": ("partial_json", (calls[0].get("function") or {}).get("arguments")),
    }
    if kind in edits:
        field, text = edits[kind]
        part[field] = text or ""
    return event
