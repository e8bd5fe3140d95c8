"""A chat's reply in the words of OpenAI's Responses, for a client that speaks them; plain. Events
are in `write_events`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

import orjson

from gateway.core.chat import ChatRequest, Delta
from gateway.core.errors import GatewayError
from gateway.core.money import Usage
from gateway.dialects.responses.namespaces import Spaces, spaces_of

OWN_REASONING: Final = "rs_waterfall_"
"""What the id of an item begins with that tells a chat model's thoughts: nobody keeps them."""
_INCOMPLETE: Final = {"length": "max_output_tokens", "content_filter": "content_filter"}


def error_body(error: GatewayError, request_id: str) -> Mapping[str, Any]:
    """Return an error in OpenAI's shape, which is that of all its endpoints."""
    del request_id
    return error.body()


def plain_reply(delta: Delta, request: ChatRequest, usage: Usage) -> bytes:
    """Write a whole reply: its upstream's own bytes where that speaks Responses too."""
    native = delta.native
    if native is not None and native.wire == "responses" and delta.payload is native.payload:
        return native.data
    payload = delta.payload
    choice = (payload.get("choices") or [{}])[0]
    told = frame(payload, request)
    output = list(_output(own_id(payload), choice, spaces_of(request)))
    ending = ended(choice.get("finish_reason"))
    return orjson.dumps(
        {**told, **ending, "output": output, "usage": usage_told(payload.get("usage"), usage)}
    )


def own_id(payload: Mapping[str, Any]) -> str:
    """Return what the ids of a response and of its items end in."""
    own = str(payload.get("id") or "")
    return own.removeprefix("resp_").removeprefix("chatcmpl-").removeprefix("msg_")


def frame(payload: Mapping[str, Any], request: ChatRequest) -> dict[str, Any]:
    """Return a response that has only begun: what was asked, and who answers."""
    asked = request.native.body if request.native is not None else {}
    text = asked.get("text") or {}
    reasoning = asked.get("reasoning") or {}
    return {
        "id": f"resp_{own_id(payload)}",
        "object": "response",
        "created_at": payload.get("created") or 0,
        "status": "in_progress",
        "background": False,
        "error": None,
        "incomplete_details": None,
        "instructions": asked.get("instructions"),
        "max_output_tokens": asked.get("max_output_tokens"),
        "metadata": asked.get("metadata") or {},
        "model": payload.get("model") or "",
        "output": [],
        "parallel_tool_calls": asked.get("parallel_tool_calls", True) is not False,
        "previous_response_id": None,
        "reasoning": {
            "effort": reasoning.get("effort"),
            "summary": reasoning.get("summary"),
        },
        "service_tier": payload.get("service_tier"),
        "store": False,
        "temperature": asked.get("temperature"),
        "text": {**text, "format": text.get("format") or {"type": "text"}},
        "tool_choice": asked.get("tool_choice") or "auto",
        "tools": asked.get("tools") or [],
        "top_p": asked.get("top_p"),
        "truncation": "disabled",
        "usage": None,
        "user": asked.get("user"),
    }


def ended(finish: object) -> dict[str, Any]:
    """Say how a response ended."""
    reason = _INCOMPLETE.get(str(finish))
    if reason is None:
        return {"status": "completed"}
    return {"status": "incomplete", "incomplete_details": {"reason": reason}}


def usage_told(reported: object, usage: Usage) -> dict[str, Any]:
    """Return a usage in Responses' words, as the upstream reports it, else as it was reckoned."""
    told = reported if isinstance(reported, Mapping) else {}
    prompt, completion = told.get("prompt_tokens"), told.get("completion_tokens")
    of_prompt = told.get("prompt_tokens_details") or {}
    of_completion = told.get("completion_tokens_details") or {}
    cached, written = of_prompt.get("cached_tokens"), of_prompt.get("cache_write_tokens")
    thought = of_completion.get("reasoning_tokens")
    if type(prompt) is not int or type(completion) is not int:
        prompt, completion = usage.prompt, usage.completion
        cached, written, thought = usage.cached, usage.cache_write, usage.reasoning
    return {
        "input_tokens": prompt,
        "input_tokens_details": {
            "cached_tokens": cached or 0,
            "cache_write_tokens": written or 0,
        },
        "output_tokens": completion,
        "output_tokens_details": {"reasoning_tokens": thought or 0},
        "total_tokens": prompt + completion,
    }


def text_part(words: str, logprobs: list[Any]) -> dict[str, Any]:
    """Return a part of a message that is text."""
    return {"type": "output_text", "annotations": [], "logprobs": logprobs, "text": words}


def refusal_part(words: str) -> dict[str, Any]:
    """Return a part of a message that is a refusal."""
    return {"type": "refusal", "refusal": words}


def message_item(own: str, status: str, content: list[dict[str, Any]]) -> dict[str, Any]:
    """Return an item that is a message."""
    return {
        "id": f"msg_{own}",
        "type": "message",
        "role": "assistant",
        "status": status,
        "content": content,
    }


def call_item(
    own: str, number: int, call: Mapping[str, Any], status: str, arguments: str, spaces: Spaces
) -> dict[str, Any]:
    """Return an item that is a call of a function, of one in a namespace by its name there."""
    called = (call.get("function") or {}).get("name") or ""
    space, named = spaces.get(called, ("", called))
    item = {
        "id": f"fc_{own}_{number}",
        "type": "function_call",
        "status": status,
        "call_id": call.get("id") or f"call_{own}_{number}",
        "name": named,
        "arguments": arguments,
    }
    return item | ({"namespace": space} if space else {})


def reasoning_item(own: str, words: str) -> dict[str, Any]:
    """Return an item that tells what a model has thought."""
    content = [{"type": "reasoning_text", "text": words}] if words else []
    return {
        "id": f"{OWN_REASONING}{own}",
        "type": "reasoning",
        "summary": [],
        "content": content,
    }


def logprobs_of(choice: Mapping[str, Any]) -> list[Any]:
    """Return the log-probabilities of a choice's tokens."""
    logprobs = choice.get("logprobs")
    found = logprobs.get("content") if isinstance(logprobs, Mapping) else None
    return [
        {
            "token": each.get("token") or "",
            "bytes": each.get("bytes") or [],
            "logprob": each.get("logprob"),
            "top_logprobs": [
                {**top, "bytes": top.get("bytes") or []} for top in each.get("top_logprobs") or ()
            ],
        }
        for each in found or ()
        if isinstance(each, Mapping)
    ]


def _output(own: str, choice: Mapping[str, Any], spaces: Spaces) -> Iterator[dict[str, Any]]:
    said = choice.get("message") or {}
    if said.get("reasoning_content"):
        yield reasoning_item(own, said["reasoning_content"])
    content = []
    if isinstance(said.get("content"), str) and said["content"]:
        content.append(text_part(said["content"], logprobs_of(choice)))
    if said.get("refusal"):
        content.append(refusal_part(said["refusal"]))
    old = said.get("function_call")
    calls = said.get("tool_calls") or ([{"function": old}] if old else [])
    if content or not calls:
        yield message_item(own, ended(choice.get("finish_reason"))["status"], content)
    for number, call in enumerate(calls):
        arguments = (call.get("function") or {}).get("arguments") or ""
        yield call_item(own, number, call, "completed", arguments, spaces)
