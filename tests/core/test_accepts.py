"""What a model takes: what is dropped, what is renamed, what keeps a tier out of a plan."""

from __future__ import annotations

from dataclasses import replace

import pytest
from core.tries import LARGE, SMALL

from gateway.core.accepts import (
    DEMANDS,
    EVERYTHING,
    MEANINGFUL,
    Accepts,
    demands_of,
    elsewhere,
    fit,
    foreign,
)
from gateway.core.chat import ChatRequest
from gateway.core.difficulty import Difficulty
from gateway.core.dispatch import dispatch
from gateway.core.errors import BadRequest
from gateway.core.native import NativeRequest
from gateway.core.plan import Tier
from gateway.core.routing import Overrides, Route, make_plan
from gateway.core.signals import measure
from gateway.core.verdict import Bar, CheckSpec

TOOL = {"type": "function", "function": {"name": "f"}}
PART = {"image_url": "images", "input_audio": "audio", "file": "files"}


def asks(*content, **fields):
    content = list(content) or "hi"
    return ChatRequest({"model": "m", "messages": [{"role": "user", "content": content}], **fields})


@pytest.mark.parametrize(
    ("fields", "demands"),
    [
        ({}, ()),
        ({"temperature": 0, "seed": 1, "x_own": 1, "max_tokens": 9}, ()),
        ({"tools": [TOOL]}, ("tools",)),
        ({"functions": [{"name": "f"}], "function_call": "auto"}, ("tools",)),
        ({"tools": [TOOL], "tool_choice": "auto"}, ("tools",)),
        ({"tools": [TOOL], "tool_choice": "required"}, ("tools", "tool_choice")),
        ({"tools": [TOOL], "tool_choice": {"type": "function"}}, ("tools", "tool_choice")),
        ({"tools": [TOOL], "parallel_tool_calls": False}, ("tools", "parallel_tool_calls")),
        ({"tools": [], "tool_choice": "required", "parallel_tool_calls": False}, ()),
        ({"response_format": {"type": "text"}}, ()),
        ({"response_format": {"type": "json_object"}}, ("json_object",)),
        ({"response_format": {"type": "json_schema"}}, ("json_schema",)),
        ({"modalities": ["text", "audio"]}, ("audio",)),
        ({"modalities": True}, ()),
        ({"n": 1, "logprobs": False, "logit_bias": {}, "stop": None}, ()),
        (
            {"n": 2, "logprobs": True, "logit_bias": {"1": 5}, "stop": ["x"]},
            ("n", "logprobs", "logit_bias", "stop"),
        ),
    ],
)
def test_what_a_request_demands(fields, demands):
    assert demands_of(asks(**fields)) == demands
    assert measure(asks(**fields)).demands == demands


def test_a_file_by_its_id_and_a_search_are_the_provider_s_own():
    kept = {"type": "file", "file": {"file_id": "file-1"}}
    assert demands_of(asks(kept)) == ("files", "kept_files")
    assert demands_of(asks({"type": "file", "file": {"file_data": "data:"}})) == ("files",)
    assert demands_of(asks(web_search_options={})) == ("web_search",)


def test_what_only_a_dialect_has_words_for_is_foreign_to_every_other():
    own = NativeRequest("messages", {}, {}, only=("mcp_servers",), dropped=("top_k",))
    request = ChatRequest({"messages": [], "model": "m"}, own)
    demands = demands_of(request)
    assert demands == ("messages:mcp_servers",)
    assert foreign("chat", demands) == ["mcp_servers"]
    assert foreign("messages", demands) == []
    spoken, other = Tier("a", "u", "m", wire="messages"), Tier("b", "u", "m")
    route, signals = Route("r", (other, spoken)), measure(request)
    assert make_plan(route, signals, Difficulty(0.0)).tiers == (spoken,)
    with pytest.raises(BadRequest, match="'b' speaks 'chat', which has no words for mcp_servers"):
        make_plan(route, signals, Difficulty(0.0), Overrides(tier="b"))
    with pytest.raises(BadRequest, match="takes mcp_servers"):
        make_plan(Route("r", (other,)), signals, Difficulty(0.0))
    sent = dispatch(spoken, request, judged=False, marker="")
    assert (sent.native, sent.fitted) == (own, ())
    for bare in (False, True):
        lost = dispatch(other, request, judged=False, marker="", bare=bare)
        assert (lost.native, lost.fitted) == (None, ("-top_k",))


def test_what_goes_on_from_what_an_upstream_keeps_goes_there():
    own = NativeRequest("responses", {}, {}, only=("previous_response_id",), kept_at="far")
    request = ChatRequest({"messages": [], "model": "m"}, own)
    demands = demands_of(request)
    assert demands == ("responses:previous_response_id", "kept at far")
    near, far = (Tier(name, name, "m", wire="responses") for name in ("near", "far"))
    signals = measure(request)
    assert make_plan(Route("r", (near, far)), signals, Difficulty(0.0)).tiers == (far,)
    with pytest.raises(BadRequest, match="takes what is kept at far"):
        make_plan(Route("r", (near,)), signals, Difficulty(0.0))
    with pytest.raises(BadRequest, match="'near' cannot go on from what is kept at far"):
        make_plan(Route("r", (near, far)), signals, Difficulty(0.0), Overrides(tier="near"))
    assert elsewhere(("near", "far"), demands) == []


@pytest.mark.parametrize("kind", PART)
def test_what_its_parts_demand(kind):
    assert demands_of(asks({"type": "text", "text": "a"}, {"type": kind})) == (PART[kind],)
    assert demands_of(asks("a plain part", {"type": "text"})) == ()


@pytest.mark.parametrize(
    ("accepts", "body", "fitted", "done"),
    [
        (EVERYTHING, {"seed": 1}, {"seed": 1}, ()),
        (Accepts(drop=frozenset({"seed", "user"})), {"seed": 1, "a": 2}, {"a": 2}, ("-seed",)),
        (Accepts(rename={"max_tokens": "m"}), {"max_tokens": 5}, {"m": 5}, ("max_tokens>m",)),
        (Accepts(rename={"max_tokens": "m"}), {"a": 5}, {"a": 5}, ()),
        # Both names are there: the model's own wins.
        (Accepts(rename={"a": "b"}), {"a": 1, "b": 2}, {"b": 2}, ("a>b",)),
        # Of a demand that is refused, only what asks for nothing is left out.
        (Accepts(refuse=frozenset({"n", "logprobs"})), {"n": 1, "logprobs": False}, {},
         ("-logprobs", "-n")),
        (Accepts(refuse=frozenset({"n", "logprobs"})), {"n": 2, "logprobs": True},
         {"n": 2, "logprobs": True}, ()),
        (Accepts(refuse=frozenset({"images"})), {"n": 2}, {"n": 2}, ()),
        (Accepts(drop=frozenset({"stream_options"})), {"stream_options": {"include_usage": True}},
         {}, ("-stream_options",)),
    ],
)  # fmt: skip
def test_what_is_sent(accepts, body, fitted, done):
    before = dict(body)
    assert fit(body, accepts) == (fitted, done)
    assert body == before


def test_every_demand_that_is_a_field_means_something():
    assert set(DEMANDS) & {"tools", "n", "logprobs", "logit_bias", "stop"} <= MEANINGFUL


PICKY = replace(SMALL, accepts=Accepts(frozenset({"seed"}), {}, frozenset({"json_schema", "n"})))


def plan(request, *tiers, tier=None):
    route = Route("waterfall", tiers, thresholds=(0.5,))
    return make_plan(route, measure(request), Difficulty(0.1), Overrides(tier=tier))


def test_a_tier_that_does_not_meet_a_demand_is_left_out():
    schema = asks(response_format={"type": "json_schema"})
    made = plan(schema, PICKY, LARGE)
    assert ([each.name for each in made.tiers], made.below, made.reason) == (["large"], (), "rule")
    assert [t.name for t in plan(asks(seed=1), PICKY, LARGE).tiers] == ["small", "large"]
    with pytest.raises(BadRequest, match="takes json_schema and n"):
        plan(asks(n=2, response_format={"type": "json_schema"}), PICKY)
    # Whoever names a tier insists on it: its upstream has the last word.
    assert plan(schema, PICKY, LARGE, tier="small").tiers == (PICKY,)


def test_a_dispatch_says_what_was_done_to_it():
    sent = dispatch(PICKY, asks(seed=1, temperature=0), judged=True, marker="[m]")
    assert (sent.fitted, sent.altered) == (("-seed",), False)
    assert sent.body == {**asks(temperature=0).body, "model": PICKY.model}
    bare = dispatch(PICKY, asks(seed=1), judged=True, marker="[m]", bare=True)
    assert (bare.fitted, "seed" in bare.body) == (("-seed",), False)


def test_nothing_of_ours_is_asked_of_a_model_that_refuses_it():
    sure = replace(PICKY, bar=Bar(checks=(CheckSpec("logprob"),)))
    mute = replace(sure, accepts=Accepts(refuse=frozenset({"logprobs"})))
    sent = [dispatch(tier, asks(), judged=True, marker="") for tier in (sure, mute)]
    assert [("logprobs" in each.body, each.strip_logprobs) for each in sent] == [
        (True, True),
        (False, False),
    ]


def test_the_usage_of_a_server_that_always_sends_it_is_still_taken_out():
    strict = replace(SMALL, accepts=Accepts(drop=frozenset({"stream_options"})))
    sent = dispatch(strict, asks(stream=True), judged=False, marker="")
    assert ("stream_options" in sent.body, sent.strip_usage) == (False, True)
