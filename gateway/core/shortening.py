"""Cuts a text of a choice short, as OpenAI's JSON has it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def call_number(call: Mapping[str, Any], place: int) -> int:
    """Return which call a part of one belongs to: as it says, else by its place."""
    number = call.get("index")
    return place if number is None else int(number)


def shortened(choice: Mapping[str, Any], name: str | int, text: str) -> Mapping[str, Any]:
    """Return a choice with one of its texts replaced by a beginning of it; see `Delta.shorten`."""
    part = "delta" if "delta" in choice else "message"
    said = choice.get(part) or {}
    if isinstance(name, int):
        return {**choice, part: {**said, **_shorten_call(said, name, text)}}
    edited = {**choice, part: {**said, name: text}}
    if name == "content" and choice.get("logprobs"):
        edited["logprobs"] = {"content": _within(choice["logprobs"], text)}
    return edited


def _shorten_call(said: Mapping[str, Any], number: int, text: str) -> Mapping[str, Any]:
    """Return the field of a message that holds the call, with its arguments replaced."""
    calls = said.get("tool_calls")
    if calls is None:
        old = said.get("function_call")
        return {"function_call": {**old, "arguments": text}} if old else {}
    edited = [
        {**call, "function": {**call["function"], "arguments": text}}
        if call.get("function") and call_number(call, place) == number
        else call
        for place, call in enumerate(calls)
    ]
    return {"tool_calls": edited}


def _within(logprobs: object, text: str) -> list[Any]:
    """Return the log-probabilities of the tokens that `text` is made of."""
    tokens = logprobs.get("content") if isinstance(logprobs, Mapping) else None
    kept, left = [], len(text)
    for token in tokens if isinstance(tokens, list) else ():
        said = token.get("token") if isinstance(token, Mapping) else None
        if not isinstance(said, str) or len(said) > left:
            break
        left -= len(said)
        kept.append(token)
    return kept
