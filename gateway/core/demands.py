"""What a request's own shape demands of its plan and of each call: rules, whatever the traffic.

- Tools offered: a call of one must be whole before it leaves, and it may come after any words. So a
  judged draft is held whole, whatever part of it its tier would hold (a tier whose `hold` is none
  is trusted with calls too).
- `prediction` (the answer that the client expects, to get it faster) is a hint and changes no
  answer, so it goes only to a tier that takes one, and gives way where token log-probabilities are
  asked for to judge by: OpenAI refuses the two together.
- What an upstream is to do in the background (of OpenAI's Responses) has no reply to judge yet, and
  another tier would begin the same again: the plan's first tier has it alone.
- Several choices are one reply: each is checked, a bad one defers all, a part of the reply is
  judged once each of them has begun, and each is paid for.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gateway.core.chat import ChatRequest
from gateway.core.plan import Plan, Tier

PREDICTION = "prediction"


def offers_tools(request: ChatRequest) -> bool:
    """May the reply call a tool? Also a function of OpenAI's older kind."""
    body = request.body
    offered = bool(request.tools) and body.get("tool_choice") != "none"
    return offered or (bool(body.get("functions")) and body.get("function_call") != "none")


def demanded(plan: Plan, request: ChatRequest) -> Plan:
    """Return the plan with what the request demands of it."""
    if _comes_later(request):
        return plan.alone()
    return plan.held_whole() if offers_tools(request) else plan


def _comes_later(request: ChatRequest) -> bool:
    """Is the reply only that an upstream has begun, to be asked for afterwards?"""
    native = request.native
    return native is not None and "background" in native.only and not request.stream


def without_hint(body: Mapping[str, Any], tier: Tier, *, logprobs: bool) -> Mapping[str, Any]:
    """Leave a prediction out where `tier` takes none, or `logprobs` are asked for to judge by."""
    if PREDICTION not in body or (tier.takes_prediction and not logprobs):
        return body
    return {name: value for name, value in body.items() if name != PREDICTION}
