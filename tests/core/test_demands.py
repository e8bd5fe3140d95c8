"""What a request's shape demands: rules in a table, whatever the traffic."""

from __future__ import annotations

from dataclasses import replace

import pytest
from core.tries import LARGE, MEDIUM, SMALL, plan

from gateway.core.chat import ChatRequest
from gateway.core.demands import demanded, offers_tools
from gateway.core.dispatch import dispatch
from gateway.core.native import NativeRequest
from gateway.core.plan import Hold
from gateway.core.verdict import Bar, CheckSpec

TOOL = {"type": "function", "function": {"name": "f"}}
GUESS = {"type": "content", "content": "def f(): ..."}
SCHEMA = {"type": "json_schema", "json_schema": {"name": "s", "schema": {}}}
IMAGE = {"type": "image_url", "image_url": {"url": "data:,"}}
SURE = Bar(checks=(CheckSpec("logprob"),))
HINTLESS = replace(SMALL, takes_prediction=False)


def asks(**fields):
    return ChatRequest({"model": "m", "messages": [{"role": "user", "content": "hi"}], **fields})


@pytest.mark.parametrize(
    ("fields", "whole"),
    [
        ({}, False),
        ({"tools": [TOOL]}, True),
        ({"tools": [TOOL], "tool_choice": "auto"}, True),
        ({"tools": [TOOL], "tool_choice": {"type": "function", "function": {"name": "f"}}}, True),
        ({"tools": [TOOL], "tool_choice": "none"}, False),
        ({"tools": []}, False),
        ({"functions": [{"name": "f"}]}, True),
        ({"functions": [{"name": "f"}], "function_call": "none"}, False),
        ({"n": 4}, False),
        ({"messages": [{"role": "user", "content": [IMAGE]}]}, False),
        ({"response_format": SCHEMA}, False),
        ({"prediction": GUESS}, False),
        ({"reasoning_effort": "high"}, False),
    ],
)
@pytest.mark.parametrize("hold", [Hold(), Hold("tokens", 48), Hold("sentence"), Hold("none")])
def test_a_reply_that_may_call_a_tool_is_held_whole(fields, whole, hold):
    request, tier = asks(**fields), replace(SMALL, hold=hold)
    assert offers_tools(request) == whole
    held = demanded(plan((tier, LARGE)), request).hold(tier)
    partly = hold.policy in {"tokens", "sentence"}
    assert held == (Hold("reply") if whole and partly else hold)


def test_what_comes_later_is_begun_once():
    body, both = (
        {"model": "m", "messages": []},
        plan((MEDIUM, LARGE), below=(SMALL,), speculate=1.0),
    )
    for stream in (False, True):
        own = NativeRequest("responses", {}, {}, only=("background",))
        request = ChatRequest({**body, "stream": stream}, own)
        alone = replace(both, tiers=(MEDIUM,), below=(), speculate=None)
        assert demanded(both, request) == (both if stream else alone)
    kept = NativeRequest("responses", {}, {}, only=("previous_response_id",))
    assert demanded(both, ChatRequest(body, kept)) == both


@pytest.mark.parametrize(
    ("tier", "judged", "bare", "sent"),
    [
        (SMALL, True, False, True),
        (HINTLESS, True, False, False),
        (HINTLESS, True, True, False),
        (replace(SMALL, bar=SURE), True, False, False),
        (replace(SMALL, bar=SURE), True, True, True),
        (replace(SMALL, bar=SURE), False, False, True),
    ],
)
def test_a_prediction_goes_where_it_is_taken_and_gives_way_to_evidence(tier, judged, bare, sent):
    done = dispatch(tier, asks(prediction=GUESS), judged=judged, bare=bare, marker="[m]")
    assert ("prediction" in done.body) == sent
    assert ("logprobs" in done.body) == (tier.bar == SURE and judged and not bare)


def test_the_client_s_own_log_probabilities_are_its_own_affair():
    tier, asked = replace(SMALL, bar=SURE), asks(prediction=GUESS, logprobs=True)
    done = dispatch(tier, asked, judged=True, marker="[m]")
    assert done.body["prediction"] == GUESS


def test_an_escalation_is_a_call_over_the_start():
    given = plan((SMALL, MEDIUM, LARGE))
    assert [given.escalates_to(tier) for tier in given.tiers] == [False, True, True]
    started = plan((MEDIUM, LARGE), below=(SMALL,))
    assert [started.escalates_to(t) for t in (SMALL, MEDIUM, LARGE)] == [False, False, True]
