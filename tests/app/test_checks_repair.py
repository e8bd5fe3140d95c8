"""One re-ask of the same tier where only the form was wrong, through a whole gateway."""

from __future__ import annotations

import orjson
import pytest
import yaml
from app.checking import bodies, calls_tool, checking, found, said
from app.scoring import metric, money_adds_up
from upstreams.scripted import events, streamed, whole

FORM = {"response_format": {"type": "json_object"}}
SCHEMA = {
    "type": "object",
    "properties": {"a": {"type": "integer"}},
    "required": ["a"],
}
TOOLS = [{"type": "function", "function": {"name": "add", "parameters": SCHEMA}}]
NEVER = {"kind": "agreement", "tier": "asked"}
REPAIRS = {"checks": ["shape", "format", "tools"], "repair": True}


def stream(text):
    """The same as events."""
    delta = {"choices": [{"index": 0, "delta": {"content": text}}]}
    end = {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
    return streamed(events(orjson.dumps(delta), orjson.dumps(end), b"[DONE]"))


def asking(folder, *small, bar=None, **changes):
    """A house whose small tier says these, one a connection."""
    rows = [[each, "close"] if isinstance(each, bytes) else each for each in small]
    return checking(folder, rows, ["hang"], NEVER, bar={**REPAIRS, **(bar or {})}, **changes)


async def test_a_repaired_reply_is_served(tmp_path):
    async with asking(tmp_path, said("{oops"), said('{"a": 1}')) as (it, near, _):
        reply = await it.chat(**FORM)
        entry = it.entry(reply)
        assert await money_adds_up(it)
        moves = await metric(
            it,
            "escalations_total",
            route="waterfall",
            from_tier="small",
            to_tier="large",
            cause="deferral",
            reason="low_confidence",
        )
    assert (reply.text, reply.told("tier"), reply.told("degraded")) == (
        '{"a": 1}',
        "small",
        "false",
    )
    assert (entry["escalated"], moves) == (0, 0)
    assert [(a["tier"], a["served"], a["reason"]) for a in entry["attempts"]] == [
        ("small", 0, "schema_invalid"),
        ("small", 1, "passed"),
    ]
    assert [call["purpose"] for call in entry["calls"]] == ["serve", "serve"]
    assert entry["discarded_cost"] == entry["calls"][0]["cost"] > 0
    asked = bodies(near)[1]["messages"]
    assert [turn["role"] for turn in asked] == ["user", "assistant", "user"]
    assert asked[1]["content"] == "{oops"
    assert "it is not JSON (Expecting property name" in asked[2]["content"]
    assert bodies(near)[1]["response_format"] == FORM["response_format"]


async def test_without_repair_the_next_tier_answers(tmp_path):
    async with asking(tmp_path, said("{oops"), bar={"repair": False}) as (it, near, _):
        assert (await it.chat(**FORM)).told("tier") == "large"
    assert len(near.requests) == 1


@pytest.mark.parametrize(
    "second",
    [said("{again"), whole(b'{"error": {"message": "no"}}', 400), whole(b"{}", 500)],
    ids=["bad again", "refused", "failed"],
)
async def test_it_is_tried_once(tmp_path, second):
    async with asking(tmp_path, said("{oops"), second) as (it, near, _):
        reply = await it.chat(**FORM)
        entry = it.entry(reply)
        assert await money_adds_up(it)
    assert (reply.status, reply.told("tier"), len(near.requests)) == (200, "large", 2)
    assert [attempt["tier"] for attempt in entry["attempts"]] == ["small", "small", "large"]


async def test_calls_of_tools_are_repaired_too(tmp_path):
    bad, good = calls_tool(("add", {"a": "x"})), calls_tool(("add", {"a": 1}))
    async with asking(tmp_path, bad, good) as (it, near, _):
        reply = await it.chat(tools=TOOLS)
        entry = it.entry(reply)
    assert reply.told("tier") == "small"
    assert found(entry, "tools", 0)["reason"] == "tool_error"
    told = bodies(near)[1]["messages"][2]["content"]
    assert "in the arguments of 'add': its JSON is not valid at a: 'x' is not of type" in told


async def test_a_stream_is_repaired_before_a_byte_is_seen(tmp_path):
    async with asking(tmp_path, stream("{oops"), stream('{"a": 1}')) as (it, *_):
        reply = await it.chat(stream=True, **FORM)
    assert (reply.text, reply.told("tier")) == ('{"a": 1}', "small")


async def test_not_after_one_was(tmp_path):
    """A stream that is not held is the client's already."""
    async with asking(tmp_path, stream("{oops")) as (it, near, _):
        document = yaml.safe_load(it.path.read_text())
        document["tiers"]["small"]["hold"] = "none"
        it.write(document)
        assert await it.gateway.reload()
        reply = await it.chat(stream=True, **FORM)
    assert (reply.text, reply.told("tier"), len(near.requests)) == ("{oops", "small", 1)


async def test_what_is_only_a_bad_answer_is_not_repaired(tmp_path):
    small = said("I cannot help with that.")
    bar = {"checks": ["refusal", "format"]}
    async with asking(tmp_path, small, bar=bar) as (it, near, _):
        assert (await it.chat()).told("tier") == "large"
    assert len(near.requests) == 1


async def test_a_repaired_reply_is_judged_anew(tmp_path):
    bar = {"checks": ["shape", "refusal", "format", "second"]}
    rows = [[said("{oops"), "close"], [said('{"a": 1}'), "close"]]
    async with checking(tmp_path, rows, [said('{"a": 2}')], NEVER, bar=bar | {"repair": True}) as (
        it,
        _,
        other,
    ):
        reply = await it.chat(**FORM)
        entry = it.entry(reply)
        assert await money_adds_up(it)
    assert (reply.told("tier"), len(other.requests)) == ("large", 1)
    assert [a["reason"] for a in entry["attempts"][:2]] == ["schema_invalid", "low_confidence"]
