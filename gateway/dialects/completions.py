"""OpenAI's older completions for clients that still speak them: a prompt is a user's message.

What no chat can do is refused by its name: a suffix, several prompts, prompts as tokens, the best
of more than are returned, an echo with log-probabilities. An echo alone is ours to give.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import orjson

from gateway.core.chat import ChatRequest, Delta
from gateway.core.errors import BadRequest, GatewayError
from gateway.core.money import Usage
from gateway.core.native import NativeRequest
from gateway.dialects.dialect import Dialect
from gateway.dialects.shapes import text, wrong

MAX_TOKENS: Final = 16
"""What a completion may have where the client sets no bound: it has always been that few."""
MOST_TOPS: Final = 20
_READ: Final = frozenset({"prompt", "suffix", "echo", "best_of", "logprobs", "max_tokens"})


def read_request(body: Mapping[str, Any], headers: Mapping[str, str]) -> ChatRequest:
    """Read a completion's request. Raises BadRequest naming the field."""
    del headers
    prompt = _prompt(body.get("prompt"))
    echo = body.get("echo")
    if echo is not None and not isinstance(echo, bool):
        raise wrong("echo", "true or false")
    chat: dict[str, Any] = {
        **{name: value for name, value in body.items() if name not in _READ},
        "messages": [{"role": "user", "content": prompt}],
        "max_tokens": MAX_TOKENS if body.get("max_tokens") is None else body["max_tokens"],
    }
    chat |= _logprobs(body.get("logprobs"))
    only = [] if not body.get("suffix") else ["suffix"]
    best = body.get("best_of")
    if best is not None:
        if type(best) is not int or best < (body.get("n") or 1):
            raise wrong("best_of", "a whole number, at least n")
        only += ["best_of"] if best > (body.get("n") or 1) else []
    if echo and "logprobs" in chat:
        only.append("echo with logprobs")
    return ChatRequest(chat, NativeRequest("completions", body, chat, tuple(only)))


def _prompt(value: object) -> str:
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    if isinstance(value, list) and value:
        what = "tokens" if all(type(each) is int for each in value) else "several prompts"
        raise BadRequest(
            f"prompt must be one text: {what} cannot be asked of a chat model. Send a request for "
            "each prompt, as text.",
            param="prompt",
        )
    return text(value, "prompt")


def _logprobs(value: object) -> dict[str, Any]:
    if value is None:
        return {}
    if type(value) is not int or not 0 <= value <= MOST_TOPS:
        raise wrong("logprobs", f"a whole number from 0 to {MOST_TOPS}")
    return {"logprobs": True} | ({"top_logprobs": value} if value else {})


def _echo(request: ChatRequest) -> str:
    native = request.native
    if native is None or not native.body.get("echo"):
        return ""
    return str(request.messages[0]["content"])


def _frame(payload: Mapping[str, Any]) -> dict[str, Any]:
    own = str(payload.get("id") or "")
    told: dict[str, Any] = {
        "id": own if own.startswith("cmpl-") else f"cmpl-{own.removeprefix('chatcmpl-')}",
        "object": "text_completion",
        "created": payload.get("created") or 0,
        "model": payload.get("model") or "",
    }
    if payload.get("system_fingerprint"):
        told["system_fingerprint"] = payload["system_fingerprint"]
    return told


def _choice(choice: Mapping[str, Any], said: Mapping[str, Any], begun: str) -> dict[str, Any]:
    content = said.get("content")
    words = content if isinstance(content, str) else ""
    refusal = said.get("refusal")
    return {
        "text": begun + words + (refusal if isinstance(refusal, str) else ""),
        "index": choice.get("index", 0),
        "logprobs": _told_logprobs(choice.get("logprobs"), len(begun)),
        "finish_reason": choice.get("finish_reason"),
    }


def _told_logprobs(logprobs: object, at: int) -> dict[str, Any] | None:
    """Write log-probabilities as completions have them: by columns, each token with its place."""
    tokens = logprobs.get("content") if isinstance(logprobs, Mapping) else None
    if not tokens:
        return None
    told: dict[str, Any] = {
        name: [] for name in ("tokens", "token_logprobs", "top_logprobs", "text_offset")
    }
    for each in tokens:
        told["tokens"].append(each.get("token"))
        told["token_logprobs"].append(each.get("logprob"))
        tops = each.get("top_logprobs") or ()
        told["top_logprobs"].append({top.get("token"): top.get("logprob") for top in tops})
        told["text_offset"].append(at)
        at += len(each.get("token") or "")
    return told


def plain_reply(delta: Delta, request: ChatRequest, usage: Usage) -> bytes:
    """Write a whole reply."""
    del usage
    payload, begun = delta.payload, _echo(request)
    choices = payload.get("choices") or ()
    told = {
        **_frame(payload),
        "choices": [_choice(each, each.get("message") or {}, begun) for each in choices],
    }
    if payload.get("usage"):
        told["usage"] = payload["usage"]
    return orjson.dumps(told)


class Telling:
    """Tells one reply; fits `gateway.dialects.dialect.Telling`."""

    def __init__(self, request: ChatRequest) -> None:
        """Begin with nothing told."""
        self._echo = _echo(request)
        self._said: dict[int, int] = {}
        """How many characters each choice has said."""

    def feed(self, delta: Delta) -> bytes:
        """Tell one delta."""
        payload = delta.payload
        if delta.raw == b"" or "choices" not in payload:
            return b""
        choices = [self._tell(choice) for choice in payload["choices"]]
        told = {**_frame(payload), "choices": choices}
        if "usage" in payload:
            told["usage"] = payload["usage"]
        return b"data: %b\n\n" % orjson.dumps(told)

    def _tell(self, choice: Mapping[str, Any]) -> dict[str, Any]:
        index = choice.get("index", 0)
        begun = self._echo if index not in self._said else ""
        told = _choice(choice, choice.get("delta") or {}, begun)
        if told["logprobs"]:
            at = self._said.get(index, 0)
            told["logprobs"]["text_offset"] = [at + o for o in told["logprobs"]["text_offset"]]
        self._said[index] = self._said.get(index, 0) + len(told["text"])
        return told

    def end(self, usage: Usage) -> bytes:
        """Tell the end of the reply."""
        del usage
        return b"data: [DONE]\n\n"

    def fail(self, error: GatewayError) -> bytes:
        """Tell that the stream has broken."""
        return b"event: error\ndata: %b\n\n" % orjson.dumps(error.body())


def _error(error: GatewayError, request_id: str) -> Mapping[str, Any]:
    del request_id
    return error.body()


COMPLETIONS = Dialect(
    api="completions",
    read=read_request,
    error=_error,
    plain=plain_reply,
    stream=Telling,
)
