"""Upstreams in memory that follow a script.

Scripts are lists of OpenAI chunks, read by the gateway's own wire code; a plain call of the same
script gets the same reply as one body. Between the chunks stand faults (exceptions) and hooks
(functions called, and awaited, on the way).
"""

from __future__ import annotations

import asyncio
import inspect
from dataclasses import dataclass

import orjson

from gateway.core.chat import Piece
from gateway.upstreams.wire import event_delta, plain_delta


def chunk(content=None, *, index=0, finish=None, logprobs=None, **delta):
    """One event. `logprobs` is for the whole of its content, as one token."""
    if content is not None:
        delta["content"] = content
    choice = {"index": index, "delta": delta, "finish_reason": finish}
    if logprobs is not None:
        token = {"token": content or "", "logprob": logprobs, "top_logprobs": []}
        choice["logprobs"] = {"content": [token]}
    return {"id": "c-1", "object": "chat.completion.chunk", "model": "m", "choices": [choice]}


def usage(prompt, completion):
    """The event that reports what was used."""
    tokens = {"prompt_tokens": prompt, "completion_tokens": completion}
    return {"id": "c-1", "object": "chat.completion.chunk", "choices": [], "usage": tokens}


def says(*texts, used=None, finish="stop"):
    """A whole reply of one choice."""
    return [*map(chunk, texts), chunk(finish=finish), *([usage(*used)] if used else [])]


@dataclass(frozen=True)
class Unsent:
    """A failure before the request's first byte has left."""

    error: Exception


def body(script):
    """The plain reply that says what the chunks of a script say."""
    messages, finishes, logprobs, used = {}, {}, {}, None
    for event in script:
        used = event.get("usage", used)
        for choice in event["choices"]:
            index = choice["index"]
            message = messages.setdefault(index, {"role": "assistant", "content": ""})
            _join(message, choice["delta"])
            finishes[index] = choice["finish_reason"] or finishes.get(index)
            logprobs.setdefault(index, []).extend(choice.get("logprobs", {}).get("content", ()))
    choices = []
    for index, message in sorted(messages.items()):
        known = {"content": logprobs[index]} if logprobs[index] else None
        finish = finishes[index]
        choice = {"index": index, "message": message, "finish_reason": finish, "logprobs": known}
        choices.append(choice)
    return {"id": "c-1", "object": "chat.completion", "choices": choices, "usage": used}


def _join(message, delta):
    for name, value in delta.items():
        if name != "tool_calls":
            message[name] = (message.get(name) or "") + value
            continue
        calls = message.setdefault("tool_calls", [])
        for part in value:
            while len(calls) <= part["index"]:
                calls.append({"index": len(calls), "function": {"name": "", "arguments": ""}})
            call = calls[part["index"]]
            call["id"] = part.get("id") or call.get("id")
            for key, text in part["function"].items():
                call["function"][key] += text


class Scripted:
    """An upstream for all tiers; each call of a tier plays its next script (the last again)."""

    def __init__(self, scripts):
        self.scripts = {tier: list(_several(script)) for tier, script in scripts.items()}
        self.calls, self.closed, self.sent, self.left = [], [], [], []

    async def call(self, call, receive):
        name = call.tier.name
        scripts = self.scripts[name]
        script = scripts.pop(0) if len(scripts) > 1 else scripts[0]
        self.calls.append(call)
        try:
            if script and isinstance(script[0], Unsent):
                raise script[0].error
            call.on_sent()
            self.sent.append(call.call_id)
            await (self._stream if call.stream else self._plain)(call, script, receive)
        finally:
            self.closed.append(name)

    async def _stream(self, call, script, receive):
        intake, heard = call.intake, False
        for item in script:
            if not isinstance(item, dict):
                await happen(item)
                continue
            delta = event_delta(
                orjson.dumps(item), strip_usage=call.strip_usage, strip_logprobs=call.strip_logprobs
            )
            if heard:  # as `gateway.upstreams.openai` does
                more = _taken(intake, delta) or await intake.settle()
            else:
                heard, more = True, await receive(delta)
            if not more:
                self.left.append(call.tier.name)
                return

    async def _plain(self, call, script, receive):
        for item in script:
            if not isinstance(item, dict):
                await happen(item)
        whole = orjson.dumps(body([item for item in script if isinstance(item, dict)]))
        await receive(plain_delta(whole, strip_logprobs=call.strip_logprobs))

    async def aclose(self):
        """Nothing is open between calls."""


def _taken(intake, delta):
    """In the quickest of the ways there are."""
    if intake.flows and len(delta.pieces) == 1 and delta.usage is None:
        piece = delta.pieces[0]
        if piece == Piece(piece.index, piece.text):
            return intake.pass_on(piece.index, piece.text, b"data: %b\n\n" % delta.raw)
    return intake.take([delta])


def _several(script):
    return script if script and isinstance(script[0], list) else [script]


async def happen(item):
    if isinstance(item, Exception):
        raise item
    done = item()
    if inspect.isawaitable(done):
        await done


async def hang():
    """A silence that ends with a cancel."""
    await asyncio.Event().wait()
