"""A repair: the same tier, asked once more and told what was wrong with its reply's form."""

from __future__ import annotations

import json

from gateway.core.chat import ChatRequest, Reply
from gateway.core.outcome import Attempt

MOST_CHARS = 8_000
"""Of a reply that is shown to its maker again: a repair is to be cheap."""
_ASK = (
    "Your last reply cannot be used: {why}. Answer again, in the form that was asked for, with "
    "the whole answer and nothing else."
)
_FORM = "it does not have the form that was asked for"


def mended(request: ChatRequest, attempt: Attempt) -> ChatRequest:
    """Return the client's request with the attempt's reply, and what is wrong with it, after it.

    A call of a tool is shown as text: nobody has answered it, and a wire would refuse it so.
    """
    told = (item.finding.detail for item in attempt.evidence if item.finding.result == "fail")
    why = next((detail for detail in told if detail), _FORM)
    said = "" if attempt.reply is None else _shown(attempt.reply)[:MOST_CHARS]
    turns = [
        {"role": "assistant", "content": said or "(nothing)"},
        {"role": "user", "content": _ASK.format(why=why)},
    ]
    return ChatRequest({**request.body, "messages": [*request.messages, *turns]}, request.native)


def _shown(reply: Reply) -> str:
    calls = [
        {"name": call["name"], "arguments": call["arguments"]}
        for choice in reply.choices
        for call in choice.tool_calls
    ]
    return reply.text + (json.dumps(calls) if calls else "")
