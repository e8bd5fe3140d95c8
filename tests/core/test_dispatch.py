from __future__ import annotations

from dataclasses import replace

import pytest

from gateway.core.chat import ChatRequest
from gateway.core.dispatch import Dispatch, as_asked_of, dispatch
from gateway.core.plan import Tier
from gateway.core.recipes import Recipe
from gateway.core.routing import recipe_tokens
from gateway.core.verdict import Bar, CheckSpec, Early

ASKED = {"model": "waterfall", "messages": [{"role": "user", "content": "hi"}], "x_new": {"a": 1}}
TIER = Tier("small", "near", "mini-1")
COOKED = replace(TIER, recipe=Recipe("terse", 3, before="Be terse.", params={"temperature": 0}))
SURE = replace(TIER, bar=Bar(checks=(CheckSpec("logprob"),)))


def sent(tier=TIER, *, judged=True, bare=False, **body):
    return dispatch(tier, ChatRequest({**ASKED, **body}), judged=judged, marker="[m]", bare=bare)


def test_nothing_changes_but_the_model():
    assert sent() == Dispatch({**ASKED, "model": "mini-1"})


def test_the_client_s_body_is_left_alone():
    before = {**ASKED, "messages": list(ASKED["messages"])}
    sent(COOKED, stream=True)
    assert before == ASKED


def test_a_recipe_adds_messages_and_parameters():
    done = sent(COOKED, temperature=1)
    assert done.body["messages"][0] == {"role": "system", "content": "Be terse."}
    assert done.body["messages"][1] is ASKED["messages"][0]
    assert (done.body["temperature"], done.body["x_new"], done.altered) == (0, {"a": 1}, True)


def test_only_an_escalation_hands_over():
    noted = replace(COOKED, recipe=replace(COOKED.recipe, handover="The first answer was poor."))
    request = ChatRequest(ASKED)
    for escalated, bare, seen in ((True, False, True), (False, False, False), (True, True, False)):
        done = dispatch(noted, request, judged=True, marker="[m]", bare=bare, escalated=escalated)
        assert ("The first answer was poor." in str(done.body["messages"])) == seen
    assert recipe_tokens(noted.recipe, escalated=True) > recipe_tokens(noted.recipe)
    assert recipe_tokens(None, escalated=True) == 0


def test_a_bare_call_has_nothing_of_ours():
    tier = replace(COOKED, bar=SURE.bar)
    assert sent(tier, bare=True, stream=True) == Dispatch(
        {**ASKED, "model": "mini-1", "stream": True}
    )


@pytest.mark.parametrize(
    ("body", "judged", "asked"),
    [({}, True, True), ({}, False, False), ({"logprobs": True}, True, False)],
)
def test_log_probabilities_are_asked_for_where_a_bar_needs_them(body, judged, asked):
    done = sent(SURE, judged=judged, **body)
    assert bool(done.body.get("logprobs")) == (asked or bool(body))
    assert (done.altered, done.strip_logprobs) == (asked, asked)


@pytest.mark.parametrize(("stream", "judged"), [(True, True), (True, False), (False, True)])
def test_log_probabilities_are_asked_for_where_they_may_end_a_stream_early(stream, judged):
    early = replace(TIER, bar=Bar(early=Early(logprob=0.2)))
    asked = "logprobs" in sent(early, judged=judged, stream=stream).body
    assert asked == (stream and judged)


@pytest.mark.parametrize(
    ("options", "asked"),
    [
        (None, True),
        ({"x": 1}, True),
        ({"include_usage": False}, True),
        ({"include_usage": True}, False),
    ],
)
def test_a_stream_s_usage_is_always_asked_for(options, asked):
    done = sent(stream=True, stream_options=options)
    assert done.body["stream_options"] == {**(options or {}), "include_usage": True}
    assert (done.altered, done.strip_usage) == (asked, asked)


BOUNDED = replace(COOKED, recipe=replace(COOKED.recipe, params={"max_tokens": 16}))


def test_a_recipe_s_bound_replaces_the_client_s_under_either_name():
    done = sent(BOUNDED, max_completion_tokens=4000)
    assert done.body["max_tokens"] == 16
    assert "max_completion_tokens" not in done.body
    assert sent(COOKED, max_completion_tokens=4000).body["max_completion_tokens"] == 4000


def test_checks_do_not_take_a_recipe_s_bound_for_the_client_s():
    asked = ChatRequest({**ASKED, "max_tokens": 4000, "x": 1})
    assert as_asked_of(BOUNDED, asked).max_tokens is None
    assert as_asked_of(BOUNDED, asked).body["x"] == 1
    assert as_asked_of(COOKED, asked) is asked
    assert as_asked_of(replace(COOKED, recipe=None), asked) is asked
