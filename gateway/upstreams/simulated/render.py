"""A simulated reply in OpenAI's JSON: one body, or the data of its events."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import zip_longest
from typing import Any

import orjson

from gateway.core.money import Usage
from gateway.upstreams.simulated.generate import Said, Speech

DONE = b"[DONE]"
_OTHERS = (" the", " a", " it", " not", " one", " of", " and", " to", ".", ",")


def plain_body(speech: Speech, call_id: str, created: int, tops: int) -> bytes:
    """Write the body of a plain reply. `created` is UNIX seconds, `tops` the `top_logprobs`."""
    choices = [
        {
            "index": index,
            "message": _message(said, call_id),
            "logprobs": _logprobs(said, tops),
            "finish_reason": said.finish,
        }
        for index, said in enumerate(speech.choices)
    ]
    whole = _frame(speech.model, call_id, created, "chat.completion")
    return orjson.dumps({**whole, "choices": choices, "usage": usage_json(speech.usage)})


def events(speech: Speech, call_id: str, created: int, tops: int) -> Iterator[tuple[bytes, int]]:
    """Write the data of each event, with how many tokens it brings: opening, tokens (the choices
    taking turns), finish. Usage and [DONE] are `usage_event` and DONE."""
    frame = _frame(speech.model, call_id, created, "chat.completion.chunk")
    said = speech.choices
    for index, choice in enumerate(said):
        yield _event(frame, index, _opening(choice, call_id, index)), 0
    for place, row in enumerate(zip_longest(*(choice.tokens for choice in said))):
        for index, token in enumerate(row):
            if token is not None:
                yield _token_event(frame, index, said[index], place, tops), 1
    for index, choice in enumerate(said):
        yield _event(frame, index, {}, finish=choice.finish), 0


def usage_event(speech: Speech, call_id: str, created: int) -> bytes:
    """Write the data of the event that tells the usage."""
    frame = _frame(speech.model, call_id, created, "chat.completion.chunk")
    return orjson.dumps({**frame, "choices": [], "usage": usage_json(speech.usage)})


def usage_json(usage: Usage) -> dict[str, Any]:
    """Return a usage in OpenAI's words."""
    return {
        "prompt_tokens": usage.prompt,
        "completion_tokens": usage.completion,
        "total_tokens": usage.prompt + usage.completion,
        "prompt_tokens_details": {"cached_tokens": usage.cached},
        "completion_tokens_details": {"reasoning_tokens": 0},
    }


def _frame(model: str, call_id: str, created: int, kind: str) -> dict[str, Any]:
    return {
        "id": f"chatcmpl-{call_id}",
        "object": kind,
        "created": created,
        "model": model,
        "system_fingerprint": "fp_simulated",
    }


def _message(said: Said, call_id: str) -> dict[str, Any]:
    if not said.tool:
        return {"role": "assistant", "content": said.text, "refusal": None}
    call = {
        "id": f"call_{call_id}",
        "type": "function",
        "function": {"name": said.tool, "arguments": said.text},
    }
    return {"role": "assistant", "content": None, "refusal": None, "tool_calls": [call]}


def _opening(said: Said, call_id: str, index: int) -> dict[str, Any]:
    if not said.tool:
        return {"role": "assistant", "content": "", "refusal": None}
    call = {
        "index": 0,
        "id": f"call_{call_id}_{index}",
        "type": "function",
        "function": {"name": said.tool, "arguments": ""},
    }
    return {"role": "assistant", "content": None, "tool_calls": [call]}


def _token_event(frame: Mapping[str, Any], index: int, said: Said, place: int, tops: int) -> bytes:
    token = said.tokens[place]
    if said.tool:
        part = {"index": 0, "function": {"arguments": token}}
        return _event(frame, index, {"tool_calls": [part]})
    odds = None
    if said.logprobs:
        odds = {"content": [_odds(token, said.logprobs[place], tops)], "refusal": None}
    return _event(frame, index, {"content": token}, odds=odds)


def _event(
    frame: Mapping[str, Any],
    index: int,
    delta: Mapping[str, Any],
    *,
    odds: Mapping[str, Any] | None = None,
    finish: str | None = None,
) -> bytes:
    choice = {"index": index, "delta": delta, "logprobs": odds, "finish_reason": finish}
    return orjson.dumps({**frame, "choices": [choice]})


def _logprobs(said: Said, tops: int) -> dict[str, Any] | None:
    if not said.logprobs or said.tool:
        return None
    pairs = zip(said.tokens, said.logprobs, strict=True)
    return {"content": [_odds(token, odd, tops) for token, odd in pairs], "refusal": None}


def _odds(token: str, odd: float, tops: int) -> dict[str, Any]:
    others = [other for other in _OTHERS * 2 if other != token][: max(tops - 1, 0)]
    ranked = [(token, odd), *((other, odd - rank - 1) for rank, other in enumerate(others))]
    top = [_entry(text, chance) for text, chance in ranked[:tops]]
    return {**_entry(token, odd), "top_logprobs": top}


def _entry(token: str, odd: float) -> dict[str, Any]:
    return {"token": token, "logprob": odd, "bytes": list(token.encode())}
