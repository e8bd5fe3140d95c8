"""Replies that are kept for when exactly the same is asked again: which ones may be, under what
name, and how they are said again, whole or as events."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Any

from gateway.core.chat import ChatRequest, Choice, Delta, Piece, Reply
from gateway.core.money import Usage
from gateway.core.outcome import Attempt, Outcome
from gateway.core.plan import Tier
from gateway.core.routing import Overrides
from gateway.core.verdict import FALL_DOWN, Verdict

CACHED = Verdict(accepted=True, reason="cached")
"""Of a reply that is said again: it had been accepted the first time."""
_WHOLE = frozenset({"stop", "tool_calls", "function_call"})
_HOW = frozenset({"stream", "stream_options"})
"""Fields that say how a reply is sent, and nothing about what it is."""
_USAGE = ("prompt", "completion", "cached", "cache_write", "reasoning")


@dataclass(frozen=True, slots=True)
class KeptReply:
    """A reply as it is kept: the tier that gave it, its body as a plain chat completion, and what
    it had used. `entry_id` is the ledger's, of the request that it was given to first."""

    tier: str
    body: Mapping[str, Any]
    usage: Usage
    entry_id: str

    def written(self) -> bytes:
        """Write it as JSON."""
        used = [getattr(self.usage, name) for name in _USAGE]
        return json.dumps([self.tier, self.entry_id, used, self.body]).encode()

    @classmethod
    def read(cls, data: bytes) -> KeptReply:
        """Read what `written` wrote. Raises ValueError, TypeError for what it did not."""
        tier, entry_id, used, body = json.loads(data)
        return cls(tier, body, Usage(**dict(zip(_USAGE, used, strict=True))), entry_id)


def may_be_asked(request: ChatRequest) -> bool:
    """May such a request be answered by what was kept? Not where a reply is more than its text and
    its calls of tools: log-probabilities, sound."""
    return not (request.wants_logprobs or request.body.get("audio"))


def name_of(tenant: str, route: str, config: str, asked: Overrides, request: ChatRequest) -> str:
    """Name a request by everything that its reply depends on: whose it is, the whole configuration
    by its digest (models, recipes, bars), what it asked of the policy, and every field that it
    sent, in its own dialect too; not how the reply is to be sent."""
    fields = {name: value for name, value in request.body.items() if name not in _HOW}
    wanted = [asked.tier, asked.thresholds, asked.mode, asked.ceiling, asked.deadline]
    own = None
    if request.native is not None:
        sent = {name: value for name, value in request.native.body.items() if name not in _HOW}
        own = [request.native.wire, dict(request.native.headers), sent]
    text = json.dumps([tenant, route, config, wanted, fields, own], sort_keys=True)
    return sha256(text.encode()).hexdigest()


def may_be_kept(outcome: Outcome, start: str, *, rebuilt: bool) -> bool:
    """Was it served whole, by its bar, and as good as it gets? What was deferred, failed, cut off,
    degraded or judged by half may not be said again; nor what nobody knows the usage of, nor what
    started lower than it should because of money (`start`): who has more is owed a better one.

    One that was streamed is `rebuilt`: it must be no more than can be put together again.
    """
    served = outcome.served
    if served is None or outcome.error is not None or outcome.cancelled or outcome.degraded:
        return False
    if start == "budget" or (rebuilt and not _can_be_rebuilt(served)):
        return False
    return _is_good(served) and _is_whole(served)


def _can_be_rebuilt(served: Attempt) -> bool:
    """Is it text, calls of tools and common tokens, and nothing else?"""
    used = served.calls[-1].usage if served.calls else Usage()
    told = Usage(**{name: getattr(used, name) for name in _USAGE}, estimated=used.estimated)
    choices = served.reply.choices if served.reply is not None else ()
    return told == replace(used, service="") and not any(each.more for each in choices)


def _is_good(served: Attempt) -> bool:
    verdict = served.verdict
    if verdict is None or not verdict.accepted or verdict in {FALL_DOWN, CACHED} or served.barred:
        return False
    if served.late is not None and not served.late.accepted:
        return False
    return not any(item.finding.result == "fail" for item in served.evidence)


def _is_whole(served: Attempt) -> bool:
    reply = served.reply
    if reply is None or not reply.complete or not reply.choices or not served.calls:
        return False
    used = served.calls[-1].usage
    if served.calls[-1].status != "ok" or used.estimated:
        return False
    return all(choice.finish in _WHOLE and not choice.refusal for choice in reply.choices)


def body_of(reply: Reply, usage: Usage, model: str, call_id: str, created: int) -> dict[str, Any]:
    """Put the body together that a plain reply would have had."""
    return {
        "id": f"chatcmpl-{call_id}",
        "object": "chat.completion",
        "created": created,
        "model": model,
        "choices": [
            {"index": index, "message": _message(choice), "finish_reason": choice.finish}
            for index, choice in enumerate(reply.choices)
        ],
        "usage": {
            "prompt_tokens": usage.prompt,
            "completion_tokens": usage.completion,
            "total_tokens": usage.prompt + usage.completion,
            "prompt_tokens_details": {
                "cached_tokens": usage.cached,
                **({"cache_write_tokens": usage.cache_write} if usage.cache_write else {}),
            },
            "completion_tokens_details": {"reasoning_tokens": usage.reasoning},
        },
    }


def _message(choice: Choice) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": choice.text or None}
    if choice.tool_calls:
        message["tool_calls"] = [
            {
                "id": call["id"],
                "type": "function",
                "function": {"name": call["name"], "arguments": call["arguments"]},
            }
            for call in choice.tool_calls
        ]
    return message


# ------------------------------------------------------------------ said again


def said_again(kept: KeptReply, tier: Tier, request: ChatRequest) -> Attempt:
    """Make the attempt of it that is served: without a call, and held until it is delivered."""
    deltas = tuple(_events(kept.body, request)) if request.stream else (_plain(kept.body),)
    choices = tuple(_choice(each) for each in kept.body["choices"])
    return Attempt(tier, reply=Reply(choices), verdict=CACHED, held=deltas, said_again=kept.usage)


def _plain(body: Mapping[str, Any]) -> Delta:
    pieces = tuple(
        Piece(each["index"], each["message"].get("content") or "", finish=each["finish_reason"])
        for each in body["choices"]
    )
    return Delta(pieces, raw=None, payload=body)


def _choice(given: Mapping[str, Any]) -> Choice:
    said = given["message"]
    calls = tuple({"id": call["id"], **call["function"]} for call in said.get("tool_calls") or ())
    return Choice(said.get("content") or "", finish=given["finish_reason"], tool_calls=calls)


def _events(body: Mapping[str, Any], request: ChatRequest) -> Iterator[Delta]:
    """Write it as chunks: each choice's words, its end, and the usage for who asked for it."""
    frame = {name: body[name] for name in ("id", "created", "model") if name in body}
    frame["object"] = "chat.completion.chunk"
    for choice in body["choices"]:
        index, said = choice["index"], dict(choice["message"])
        calls = said.get("tool_calls")
        if calls:
            said["tool_calls"] = [{"index": n, **call} for n, call in enumerate(calls)]
        yield _chunk(frame, index, said, None)
        yield _chunk(frame, index, {}, choice["finish_reason"])
    if request.wants_usage:
        yield Delta(raw=None, payload={**frame, "choices": [], "usage": body.get("usage")})


def _chunk(
    frame: Mapping[str, Any], index: int, said: Mapping[str, Any], finish: str | None
) -> Delta:
    choice = {"index": index, "delta": said, "finish_reason": finish}
    piece = Piece(index, said.get("content") or "", finish=finish)
    return Delta((piece,), raw=None, payload={**frame, "choices": [choice]})
