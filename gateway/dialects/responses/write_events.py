"""A chat's stream in the events of OpenAI's Responses: each item of the output is opened, told and
closed, every event with its number."""

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
from gateway.dialects.responses.namespaces import spaces_of
from gateway.dialects.responses.write_reply import (
    call_item,
    ended,
    frame,
    logprobs_of,
    message_item,
    own_id,
    reasoning_item,
    refusal_part,
    text_part,
    usage_told,
)

_Event = dict[str, Any]


class _Part:
    """A part of the output's message, or the thoughts before it."""

    def __init__(self, kind: str, place: int) -> None:
        self.kind, self.place = kind, place
        self.words: list[str] = []
        self.logprobs: list[Any] = []

    def whole(self) -> _Event:
        words = "".join(self.words)
        return refusal_part(words) if self.kind == "refusal" else text_part(words, self.logprobs)


class _Call:
    def __init__(self, index: int, number: int) -> None:
        self.index, self.number = index, number
        self.head: dict[str, Any] = {"function": {}}
        self.arguments: list[str] = []
        self.opened = False


class Telling:
    """Tells one reply; fits `gateway.dialects.dialect.Telling`."""

    def __init__(self, request: ChatRequest) -> None:
        """Begin with nothing told."""
        self._request, self._spaces = request, spaces_of(request)
        self._number = 0
        self._payload: Mapping[str, Any] | None = None
        self._native = self._ended = False
        self._message = -1
        self._parts: list[_Part] = []
        self._thought: tuple[int, list[str]] | None = None
        self._calls: dict[int, _Call] = {}
        self._count = 0
        self._output: dict[int, _Event] = {}
        self._finish: object = None
        self._usage: object = None

    def feed(self, delta: Delta) -> bytes:
        """Tell one delta: the upstream's own event where that speaks Responses too."""
        native = delta.native
        if native is not None and native.wire == "responses":
            return self._pass_on(native)
        if delta.raw == b"":
            return b""
        return b"".join(self._written(event) for event in self._chunk(delta.payload))

    def end(self, usage: Usage) -> bytes:
        """Tell the end of the reply."""
        if self._native:
            return b""
        return b"".join([self._written(event) for event in self._ending(usage)])

    def fail(self, error: GatewayError) -> bytes:
        """Tell that the stream has broken, and that the response has failed."""
        told = {"type": "error", "code": error.code or error.type, "message": error.message}
        failed = {
            **frame(self._payload or {}, self._request),
            "status": "failed",
            "error": {"code": "server_error", "message": error.message},
            "output": self._so_far(),
        }
        return self._written({**told, "param": error.param}) + self._written(
            {"type": "response.failed", "response": failed}
        )

    def _pass_on(self, native: NativeEvent) -> bytes:
        self._native = True
        self._number += 1
        return sse(native.name, native.data)

    def _written(self, event: _Event) -> bytes:
        event["sequence_number"] = self._number
        self._number += 1
        return sse(str(event["type"]), orjson.dumps(event))

    @property
    def _own(self) -> str:
        return own_id(self._payload or {})

    # ------------------------------------------------------------------ what comes

    def _chunk(self, payload: Mapping[str, Any]) -> Iterator[_Event]:
        yield from self._begin(payload)
        self._usage = payload.get("usage") or self._usage
        for choice in payload.get("choices") or ():
            said = choice.get("delta") or {}
            if said.get("reasoning_content"):
                yield from self._think(said["reasoning_content"])
            if isinstance(said.get("content"), str) and said["content"]:
                yield from self._say("output_text", said["content"], logprobs_of(choice))
            if said.get("refusal"):
                yield from self._say("refusal", said["refusal"], [])
            yield from self._add_calls(said)
            self._finish = choice.get("finish_reason") or self._finish

    def _begin(self, payload: Mapping[str, Any]) -> Iterator[_Event]:
        if self._payload is not None:
            return
        self._payload = payload
        for kind in ("response.created", "response.in_progress"):
            yield {"type": kind, "response": frame(payload, self._request)}

    def _open(self, item: _Event) -> tuple[int, _Event]:
        index = self._count
        self._count += 1
        return index, {"type": "response.output_item.added", "output_index": index, "item": item}

    def _close(self, index: int, item: _Event) -> _Event:
        self._output[index] = item
        return {"type": "response.output_item.done", "output_index": index, "item": item}

    def _think(self, words: str) -> Iterator[_Event]:
        if self._thought is None:
            index, event = self._open(reasoning_item(self._own, ""))
            yield event
            self._thought = (index, [])
            part = {"type": "reasoning_text", "text": ""}
            yield {**self._of_thought(index), "type": "response.content_part.added", "part": part}
        index, told = self._thought
        told.append(words)
        kind = "response.reasoning_text.delta"
        yield {**self._of_thought(index), "type": kind, "delta": words}

    def _of_thought(self, index: int) -> _Event:
        item = reasoning_item(self._own, "")["id"]
        return {"item_id": item, "output_index": index, "content_index": 0}

    def _say(self, kind: str, words: str, logprobs: list[Any]) -> Iterator[_Event]:
        if self._message < 0:
            self._message, event = self._open(message_item(self._own, "in_progress", []))
            yield event
        if not self._parts or self._parts[-1].kind != kind:
            yield from self._end_part()
            part = _Part(kind, len(self._parts))
            self._parts.append(part)
            yield {**self._of_part(part), "type": "response.content_part.added"} | {
                "part": part.whole()
            }
        part = self._parts[-1]
        part.words.append(words)
        part.logprobs += logprobs
        told = {**self._of_part(part), "type": f"response.{kind}.delta", "delta": words}
        yield told | ({"logprobs": logprobs} if kind == "output_text" else {})

    def _of_part(self, part: _Part) -> _Event:
        item = message_item(self._own, "", [])["id"]
        return {"item_id": item, "output_index": self._message, "content_index": part.place}

    def _add_calls(self, said: Mapping[str, Any]) -> Iterator[_Event]:
        old = said.get("function_call")
        for place, part in enumerate(
            said.get("tool_calls") or ([{"function": old}] if old else ())
        ):
            number = call_number(part, place)
            call = self._calls.setdefault(number, _Call(-1, len(self._calls)))
            function = part.get("function") or {}
            call.head["id"] = part.get("id") or call.head.get("id")
            call.head["function"]["name"] = call.head["function"].get("name", "") + (
                function.get("name") or ""
            )
            if function.get("arguments"):
                yield from self._argue(call, function["arguments"])

    def _argue(self, call: _Call, words: str) -> Iterator[_Event]:
        """Tell a piece of a call's arguments: with the first its name is whole."""
        yield from self._open_call(call)
        call.arguments.append(words)
        kind = "response.function_call_arguments.delta"
        yield {**self._of_call(call), "type": kind, "delta": words}

    def _open_call(self, call: _Call) -> Iterator[_Event]:
        if not call.opened:
            call.opened = True
            item = call_item(self._own, call.number, call.head, "in_progress", "", self._spaces)
            call.index, event = self._open(item)
            yield event

    def _of_call(self, call: _Call) -> _Event:
        item = call_item(self._own, call.number, call.head, "", "", self._spaces)["id"]
        return {"item_id": item, "output_index": call.index}

    # ------------------------------------------------------------------ how it ends

    def _end_thought(self) -> Iterator[_Event]:
        if self._thought is None:
            return
        index, told = self._thought
        words = "".join(told)
        where = self._of_thought(index)
        yield {**where, "type": "response.reasoning_text.done", "text": words}
        part = {"type": "reasoning_text", "text": words}
        yield {**where, "type": "response.content_part.done", "part": part}
        yield self._close(index, reasoning_item(self._own, words))

    def _end_part(self) -> Iterator[_Event]:
        if not self._parts:
            return
        part = self._parts[-1]
        whole, where = part.whole(), self._of_part(part)
        field = "refusal" if part.kind == "refusal" else "text"
        told = {**where, "type": f"response.{part.kind}.done", field: whole[field]}
        yield told | ({"logprobs": part.logprobs} if part.kind == "output_text" else {})
        yield {**where, "type": "response.content_part.done", "part": whole}

    def _ending(self, usage: Usage) -> Iterator[_Event]:
        yield from self._begin({})
        yield from self._end_thought()
        status = ended(self._finish)
        if self._message < 0 and not self._calls:
            self._message, event = self._open(message_item(self._own, "in_progress", []))
            yield event
        if self._message >= 0:
            yield from self._end_part()
            content = [part.whole() for part in self._parts]
            yield self._close(self._message, message_item(self._own, status["status"], content))
        for call in self._calls.values():
            yield from self._open_call(call)
            arguments = "".join(call.arguments)
            kind = "response.function_call_arguments.done"
            name = call.head["function"]["name"]
            yield {**self._of_call(call), "type": kind, "arguments": arguments, "name": name}
            item = call_item(
                self._own, call.number, call.head, "completed", arguments, self._spaces
            )
            yield self._close(call.index, item)
        whole = {
            **frame(self._payload or {}, self._request),
            **status,
            "output": self._so_far(),
            "usage": usage_told(self._usage, usage),
        }
        yield {"type": f"response.{status['status']}", "response": whole}

    def _so_far(self) -> list[_Event]:
        return [self._output[index] for index in sorted(self._output)]
