"""Conversations: known by their name or their beginning, latched, probed, and warm somewhere."""

from __future__ import annotations

import asyncio

import pytest
from api.serving import REFUSES, ask_for, house
from api.test_api_keys import APP, PLAIN, bearer, key

from gateway.api import sessions
from gateway.api.sessions import conversation, goes_on
from gateway.core.chat import ChatRequest

SYSTEM = {"role": "system", "content": "You are a tutor."}
FIRST = {"role": "user", "content": "What is a ring?"}
SAID = {"role": "assistant", "content": "A set with two operations."}
NEXT = {"role": "user", "content": "And a field?"}
CALLED = {
    "role": "assistant",
    "content": None,
    "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}],
}
RESULT = {"role": "tool", "tool_call_id": "c1", "content": "42"}
BEGUN, LATER = [SYSTEM, FIRST], [SYSTEM, FIRST, SAID, NEXT]
STEP = [SYSTEM, FIRST, CALLED, RESULT]


async def starts(it, *bodies, **headers):
    """Post these and say where each started."""
    answers = [await it.post(ask_for(**body), **headers) for body in bodies]
    return [answer.told("start") for answer in answers]


# ------------------------------------------------------------------ whose conversation it is


async def test_one_without_a_name_is_known_by_its_beginning(tmp_path):
    async with house(tmp_path) as it:
        told = await starts(
            it,
            {"messages": BEGUN, **REFUSES},
            {"messages": LATER},
            {"messages": BEGUN},
            {"messages": [SYSTEM, NEXT, SAID, FIRST]},
            {"messages": [FIRST, SAID, NEXT]},
        )
        assert {entry["session"] for entry in it.entries()} == {""}
    assert told == [
        "small; score",
        "large; latch",
        "small; score",  # somebody asks the same anew: that is no conversation yet
        "small; score",
        "small; score",
    ]


async def test_the_same_words_of_two_keys_are_two_conversations(tmp_path):
    keys = [key("app", APP), key("plain", PLAIN)]
    async with house(tmp_path, keys=keys) as it:
        await starts(it, {"messages": BEGUN, **REFUSES}, **bearer(APP))
        own = await starts(it, {"messages": LATER}, **bearer(APP))
        foreign = await starts(it, {"messages": LATER}, **bearer(PLAIN))
    assert (own, foreign) == (["large; latch"], ["small; score"])


async def test_a_name_wins_over_the_beginning(tmp_path):
    async with house(tmp_path) as it:
        await starts(it, {"messages": BEGUN, **REFUSES}, x_waterfall_session="one")
        told = await starts(it, {"messages": LATER}, x_waterfall_session="two")
        assert told == ["small; score"]
        assert await starts(it, {"messages": LATER}) == ["small; score"]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ([SYSTEM, FIRST], [FIRST]),
        ([SYSTEM, FIRST], [SYSTEM, NEXT]),
        (
            [{"role": "system", "content": "a"}, FIRST],
            [{"role": "developer", "content": "a"}, FIRST],
        ),
        ([{"role": "user", "content": "ab"}], [{"role": "user", "content": ["ab"]}]),
        ([SYSTEM], [{"role": "system", "content": None}]),
    ],
)
def test_other_beginnings_are_other_conversations(one, other):
    names = [conversation(ChatRequest({"messages": each}), "k", "") for each in (one, other)]
    assert names[0] != names[1]


def test_a_name_is_never_another_key_s_nor_a_digest():
    request = ChatRequest({"messages": BEGUN})
    digest = conversation(request, "k", "").removeprefix("k\0\0")
    names = {
        conversation(request, name, session)
        for name, session in (("k", ""), ("k", digest), ("k2", ""), ("", "k"), ("k", "s"))
    }
    assert len(names) == 5
    assert not goes_on(request)
    assert goes_on(ChatRequest({"messages": LATER}))


async def test_only_so_many_are_remembered_the_least_used_goes_first(tmp_path, monkeypatch):
    monkeypatch.setattr(sessions, "KEPT", 3)
    async with house(tmp_path) as it:
        for name in "abc":
            await starts(it, REFUSES, x_waterfall_session=name)
        assert await starts(it, {}, x_waterfall_session="a") == ["large; latch"]
        await starts(it, REFUSES, x_waterfall_session="d")
        told = [(await starts(it, {}, x_waterfall_session=name))[0] for name in "acdb"]
    assert told == ["large; latch"] * 3 + ["small; score"]


async def test_what_is_not_worth_it_takes_no_place(tmp_path):
    async with house(tmp_path) as it:
        await starts(it, {}, {"messages": LATER}, x_waterfall_session="s")
        assert not it.gateway.switch.service.sessions._known


async def test_a_share_that_is_enforced_keeps_a_conversation_together(tmp_path):
    """Without a name or a key, by how it begins: each is enforced or observed, from end to end."""
    modes = set()
    async with house(tmp_path, routes__waterfall__mode={"enforce": 0.5}) as it:
        for number in range(12):
            first = {"role": "user", "content": f"Question {number}?"}
            turns = [first], [first, SAID, NEXT], [first, SAID, NEXT, SAID, FIRST]
            told = [await it.post(ask_for(messages=list(each))) for each in turns]
            own = {it.entry(each)["mode"] for each in told}
            assert len(own) == 1
            modes |= own
    assert modes == {"enforce", "observe"}


# ------------------------------------------------------------------ probes


async def test_a_probe_whose_answer_is_good_ends_the_latch(tmp_path):
    async with house(tmp_path, routes__waterfall__session={"probe": 0.5}) as it:
        told = await starts(it, REFUSES, {}, {}, {}, x_waterfall_session="s")
        reasons = [entry["start_reason"] for entry in it.entries()]
    assert told == ["small; score", "large; latch", "small; probe", "small; score"]
    assert reasons == ["score", "latch", "probe", "score"]


async def test_a_probe_whose_answer_is_not_keeps_it(tmp_path):
    async with house(tmp_path, routes__waterfall__session={"probe": 0.5}) as it:
        told = await starts(it, *[REFUSES] * 6, x_waterfall_session="s")
    assert told == ["small; score", *["large; latch", "small; probe"] * 2, "large; latch"]


@pytest.mark.parametrize(("share", "first"), [(0.1, 10), (0.25, 4), (1, 1), (0, None)])
async def test_a_share_of_the_latched_requests_is_a_probe(tmp_path, share, first):
    async with house(tmp_path, routes__waterfall__session={"probe": share}) as it:
        told = await starts(it, REFUSES, *[{}] * 10, x_waterfall_session="s")
    assert ("small; probe" in told) == (first is not None)
    if first is not None:
        assert told.index("small; probe") == first


async def test_a_dry_run_uses_up_no_probe(tmp_path):
    async with house(tmp_path, routes__waterfall__session={"probe": 0.5}) as it:
        await starts(it, REFUSES, {}, x_waterfall_session="s")
        for _ in range(3):
            dry = await it.post(ask_for(), "/v1/route", x_waterfall_session="s")
            assert dry.json["start"] == {"tier": "small", "reason": "probe"}
        assert await starts(it, {}, x_waterfall_session="s") == ["small; probe"]


async def test_a_loop_of_tools_is_decided_step_by_step_and_never_a_probe(tmp_path):
    async with house(tmp_path, routes__waterfall__session={"probe": 1}) as it:
        step, turn = {"messages": STEP}, {"messages": [*STEP, SAID, NEXT]}
        fresh = await starts(it, step, x_waterfall_session="s")
        hard = await starts(it, step, x_waterfall_session="s", x_waterfall_threshold="0")
        easy = await starts(it, step, x_waterfall_session="s")
        assert (fresh, hard, easy) == (["small; score"], ["large; score"], ["small; score"])
        await starts(it, {**step, **REFUSES}, x_waterfall_session="s")
        told = await starts(it, step, step, turn, x_waterfall_session="s")
    assert told == ["large; latch", "large; latch", "small; probe"]


async def test_a_degraded_probe_says_nothing(tmp_path):
    both = {"simulate": {"s-model": "refusal", "l-model": "500"}}
    async with house(tmp_path, routes__waterfall__session={"probe": 0.5}) as it:
        told = await starts(it, REFUSES, {}, both, {}, x_waterfall_session="s")
    assert told == ["small; score", "large; latch", "small; probe", "small; probe"]


async def test_a_probe_whose_prefix_was_taken_and_whose_whole_was_not_keeps_the_latch(tmp_path):
    bad = {"stream": True, "simulate": {"s-model": "bad_json"}}
    bad["response_format"] = {"type": "json_object"}
    long = {"kind": "simulated", "first_token": 0, "per_token": 0, "tokens": [60, 60]}
    changes = {"tiers__small__hold": {"tokens": 2}, "upstreams__sim": long}
    session = {"routes__waterfall__session": {"probe": 0.5}}
    async with house(tmp_path, **changes, **session) as it:
        told = await starts(it, REFUSES, {}, bad, {}, x_waterfall_session="s")
    assert told == ["small; score", "large; latch", "small; probe", "large; latch"]


# ------------------------------------------------------------------ the provider's cache

LONG = {"role": "system", "content": "word " * 4_000}
CHEAP_WHEN_WARM = {
    "tiers__small__price": {"input": 1, "output": 2},
    "tiers__large__price": {"input": 10, "cached_input": 0.5, "output": 20},
}


async def talk(it, first=LONG, **headers):
    """A hard question, then an easy one in the same conversation."""
    begun = {"messages": [first, FIRST], "max_tokens": 5}
    await starts(it, begun, **headers, x_waterfall_threshold="0")
    (told,) = await starts(it, {**begun, "messages": [first, FIRST, SAID, NEXT]}, **headers)
    return told


@pytest.mark.parametrize("headers", [{}, {"x_waterfall_session": "s"}])
async def test_a_warm_tier_that_costs_no_more_stays(tmp_path, headers):
    async with house(tmp_path, **CHEAP_WHEN_WARM) as it:
        assert await talk(it, **headers) == "large; cache"


@pytest.mark.parametrize(
    ("why", "changes"),
    [
        ("off", {"routes__waterfall__session": {"cache": "off"}}),
        ("no price", {"tiers__large__price": {"input": 10, "output": 20}}),
        ("dearer", {"tiers__large__price": {"input": 40, "cached_input": 4, "output": 20}}),
    ],
)
async def test_else_it_starts_where_its_score_says(tmp_path, why, changes):
    async with house(tmp_path, **{**CHEAP_WHEN_WARM, **changes}) as it:
        assert await talk(it) == "small; score", why


async def test_a_cache_is_forgotten_in_time(tmp_path):
    session = {"routes__waterfall__session": {"cache": "50ms"}}
    async with house(tmp_path, **CHEAP_WHEN_WARM, **session) as it:
        begun = {"messages": [LONG, FIRST], "max_tokens": 5}
        await starts(it, begun, x_waterfall_threshold="0")
        await asyncio.sleep(0.06)
        told = await starts(it, {**begun, "messages": [LONG, FIRST, SAID, NEXT]})
    assert told == ["small; score"]


async def test_a_short_prompt_is_in_no_cache(tmp_path):
    short = {"role": "system", "content": "word " * 400}
    async with house(tmp_path, **CHEAP_WHEN_WARM) as it:
        assert await talk(it, short) == "small; score"


async def test_a_probe_is_not_worth_losing_the_cache(tmp_path):
    session = {"routes__waterfall__session": {"probe": 1}}
    async with house(tmp_path, **CHEAP_WHEN_WARM, **session) as it:
        begun = {"messages": [LONG, FIRST], "max_tokens": 40}
        later = {"messages": [LONG, FIRST, SAID, NEXT], "max_tokens": 40}
        assert await starts(it, {**begun, **REFUSES}, later) == ["small; score", "large; cache"]


async def test_the_ceiling_reckons_with_the_cache(tmp_path):
    """The same call fits where its provider has read it before, and not where it has not."""
    async with house(tmp_path, **CHEAP_WHEN_WARM) as it:
        begun = {"messages": [LONG, FIRST], "max_tokens": 5}
        later = {"messages": [LONG, FIRST, SAID, NEXT], "max_tokens": 5}
        poor = {"x_waterfall_max_cost_usd": "0.02", "x_waterfall_threshold": "0"}
        assert await starts(it, later, **poor) == ["small; budget"]
        assert await starts(it, begun, x_waterfall_threshold="0") == ["large; score"]
        assert await starts(it, later, **poor) == ["large; score"]
