"""Agreement with another sample, through a whole gateway: what it changes, costs and leaves."""

from __future__ import annotations

import asyncio

import orjson
import pytest
from api.serving import LIMIT, ask_for, house
from app.checking import AGREEMENT, bodies, calls_tool, checking, document, found, said
from app.scoring import SPENT, metric, money_adds_up
from app.serving import Wire, listening, posted, until
from upstreams.scripted import Scripted, events, streamed, whole

from gateway.checks.answers import standing
from gateway.store import read

TOOLS = [{"type": "function", "function": {"name": "add", "parameters": {"type": "object"}}}]


@pytest.mark.parametrize(
    ("first", "second", "tier", "confidence"),
    [
        ("The answer is 42.", "I get $42.00", "small", 1.0),
        ("The answer is 42.", "It must be 41.", "large", 0.0),
        ("(B)", "B", "small", 1.0),
        ('{"a": 1, "b": [2]}', '{"b": [2.0], "a": 1}', "small", 1.0),
    ],
)
async def test_answers_are_compared_and_not_texts(tmp_path, first, second, tier, confidence):
    async with checking(tmp_path, [said(first)], [said(second)], AGREEMENT) as (it, _, other):
        reply = await it.chat()
        entry = it.entry(reply)
        assert await money_adds_up(it)
        spent = await metric(it, "check_cost_usd_total", route="waterfall", check="second")
    assert (reply.told("tier"), entry["tier"]) == (tier, tier)
    row = found(entry)
    assert (row["result"], row["confidence"], row["cost"]) == ("pass", confidence, SPENT)
    assert spent == SPENT / 1e9
    (call,) = [each for each in entry["calls"] if each["purpose"] == "check"]
    assert (call["tier"], call["attempt"], call["cost"]) == ("asked", 0, SPENT)
    assert len(other.requests) == 1
    assert entry["cost"] == sum(each["cost"] for each in entry["calls"])
    if tier == "large":
        assert entry["attempts"][0]["reason"] == "low_confidence"


async def test_what_a_sample_is_asked(tmp_path):
    check = AGREEMENT | {"samples": 2, "temperature": 0.5, "seed": 7}
    asked = {"n": 1, "seed": 3, "temperature": 0, "logprobs": True, "user": "u", "top_p": 0.9}
    async with checking(tmp_path, [said("42")], [said("42")], check) as (it, _, other):
        await it.chat(**asked)
    first, second = sorted(bodies(other), key=lambda body: body["seed"])
    assert (first["seed"], second["seed"]) == (7, 8)
    for body in (first, second):
        assert (body["model"], body["temperature"]) == ("asked-model", 0.5)
        assert (body["user"], body["top_p"]) == ("u", 0.9)
        assert not {"n", "logprobs", "stream"} & {k for k, v in body.items() if v}


async def test_the_client_s_temperature_may_stay(tmp_path):
    check = AGREEMENT | {"temperature": "off"}
    async with checking(tmp_path, [said("42")], [said("42")], check) as (it, _, other):
        await it.chat(temperature=0.25, seed=9)
    (body,) = bodies(other)
    assert (body["temperature"], body.get("seed")) == (0.25, None)


async def test_the_recipe_of_the_tier_that_is_asked(tmp_path):
    """All of it but what would make the sample no other than the reply."""
    (tmp_path / "terse.yaml").write_text(
        "version: 1\nbefore: Be terse.\nparams: {temperature: 0, seed: 1, max_tokens: 9}\n"
    )
    recipe = {"tiers__asked__recipe": "terse.yaml"}
    async with checking(tmp_path, [said("42")], [said("42")], AGREEMENT, **recipe) as (
        it,
        _,
        other,
    ):
        await it.chat()
    (body,) = bodies(other)
    assert body["messages"][0] == {"role": "system", "content": "Be terse."}
    assert (body["temperature"], body["max_tokens"]) == (1.0, 9)
    assert "seed" not in body


async def test_without_a_tier_the_same_model_is_asked_again(tmp_path):
    check = {"kind": "agreement"}
    async with checking(tmp_path, [said("42")], [said("0")], check) as (it, near, other):
        reply = await it.chat()
        entry = it.entry(reply)
    assert reply.told("tier") == "small"
    assert [body["model"] for body in bodies(near)] == ["s-model"] * 2
    assert [body.get("temperature") for body in bodies(near)] == [None, 1.0]
    assert [call["purpose"] for call in entry["calls"]] == ["serve", "check"]
    assert not other.requests


STOOD = [
    (("42", "42", "41"), 2 / 3),
    (("42", "41", "40"), 1 / 2),  # a third agree, and the others not with each other
    (("41", "41", "42"), 1 / 3),
    (("41", "40", "39"), 1 / 3),
    (("41", "41", "41"), 0.0),
]


@pytest.mark.parametrize(("words", "stands"), STOOD)
async def test_how_it_stands_among_several_samples(tmp_path, words, stands):
    """As `waterfall tune` measures it: that samples differ among themselves speaks for it."""
    rows = [[0.1, said(word)] for word in words]  # none ends before all have begun
    check = AGREEMENT | {"samples": 3}
    async with checking(tmp_path, [said("42")], rows, check, bar={"accept": 0.3}) as (it, *_):
        row = found(it.entry(await it.chat()))
    assert row["confidence"] == pytest.approx(stands) == standing("42", words)
    assert row["cost"] == 3 * SPENT


async def test_a_check_counts_the_samples_of_those_before_it(tmp_path):
    """As `agreement_2` is measured: the second sample, put beside the first."""
    bar = {"checks": ["agreement", "agreement_2"], "accept": 0.0}
    changes = {"bar": bar, "name": "agreement", "checks__agreement_2": AGREEMENT | {"seed": 2}}
    words = [[said("41"), "close"], [said("40")]]
    check = AGREEMENT | {"seed": 1}
    async with checking(tmp_path, [said("42")], words, check, **changes) as (it, *_):
        entry = it.entry(await it.chat())
    assert found(entry, "agreement")["confidence"] == 0.0
    assert found(entry, "agreement_2")["confidence"] == pytest.approx(standing("42", ["41", "40"]))
    assert found(entry, "agreement_2")["cost"] == SPENT


@pytest.mark.parametrize(
    ("arguments", "tier"), [({"b": 2, "a": 1.0}, "small"), ({"a": 1, "b": 3}, "large")]
)
async def test_calls_of_tools_agree_by_name_and_value(tmp_path, arguments, tier):
    ours, theirs = calls_tool(("add", {"a": 1, "b": 2})), calls_tool(("add", arguments))
    async with checking(tmp_path, [ours], [theirs], AGREEMENT) as (it, *_):
        assert (await it.chat(tools=TOOLS)).told("tier") == tier


async def test_a_tier_is_not_asked_what_it_does_not_take(tmp_path):
    blind = {"tiers__asked__tools": False}
    async with checking(tmp_path, [said("42")], [said("42")], AGREEMENT, **blind) as (it, _, other):
        row = found(it.entry(await it.chat(tools=TOOLS)))
        assert (row["reason"], row["cost"], other.requests) == ("unfit", 0, [])
        assert found(it.entry(await it.chat()))["confidence"] == 1.0


# ------------------------------------------------------------------ what goes wrong


@pytest.mark.parametrize(
    ("second", "reason"),
    [
        ([whole(b"{}", 500), "close"], "unreachable"),
        ([whole(b'{"error": {"message": "no"}}', 400)], "rejected"),
        ([whole(b"nonsense")], "unusable"),
        (["hang"], "timeout"),
    ],
)
async def test_a_sample_that_does_not_come_is_an_abstention(tmp_path, second, reason):
    check = AGREEMENT | {"timeout": "300ms" if reason == "timeout" else "20s"}
    async with checking(tmp_path, [said("42")], second, check) as (it, *_):
        reply = await it.chat()
        row = found(it.entry(reply))
        labels = {"route": "waterfall", "check": "second"}
        assert await metric(it, "check_abstentions_total", reason=reason, **labels) == 1
        assert await metric(it, "check_seconds_count", **labels) == 1
        assert await money_adds_up(it)
    assert (reply.status, reply.told("tier"), reply.told("degraded")) == (200, "small", "false")
    assert (row["result"], row["reason"]) == ("abstain", reason)


async def test_a_check_that_keeps_failing_is_left_alone(tmp_path):
    check = AGREEMENT | {"timeout": "400ms"}
    async with checking(tmp_path, [said("42")], ["hang"], check) as (it, _, other):
        reasons = [found(it.entry(await it.chat()))["reason"] for _ in range(7)]
    assert reasons == ["timeout"] * 5 + ["open"] * 2
    assert len(other.requests) == 5


async def test_nothing_is_bought_over_the_ceiling_and_that_is_told(tmp_path):
    async with checking(tmp_path, [said("42")], [said("0")], AGREEMENT) as (it, _, other):
        # The small tier is expected to cost some 0.0005 dollars, the sample three times as much.
        reply = await it.post(ask_for(), x_waterfall_max_cost_usd="0.0012")
        entry = it.entry(reply)
    assert (reply.status, reply.told("tier"), entry["degraded"]) == (200, "small", 1)
    assert found(entry)["reason"] == "budget"
    assert not other.requests


async def test_the_deadline_ends_a_check_and_the_reply_is_served(tmp_path):
    async with checking(tmp_path, [said("42")], ["hang"], AGREEMENT) as (it, *_):
        reply = await it.post(ask_for(), x_waterfall_deadline="1500ms")
        entry = it.entry(reply)
        assert await money_adds_up(it)
    assert (reply.status, reply.told("tier"), entry["degraded"]) == (200, "small", 1)
    assert found(entry)["reason"] == "deadline"


async def test_nobody_is_asked_about_what_a_free_check_refused(tmp_path):
    small = said("I'm sorry, but I can't do that.")
    async with checking(tmp_path, [small], [said("42")], AGREEMENT) as (it, _, other):
        assert (await it.chat()).told("tier") == "large"
    assert not other.requests


async def test_a_stream_is_held_until_it_is_judged(tmp_path):
    event = orjson.dumps({"choices": [{"index": 0, "delta": {"content": "42"}}]})
    end = orjson.dumps({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
    small = streamed(events(event, end, b"[DONE]"))
    async with checking(tmp_path, [small], [said("41")], AGREEMENT) as (it, *_):
        reply = await it.chat(stream=True)
    assert reply.told("tier") == "large"
    assert "42" not in reply.text


# ------------------------------------------------------------------ beside the draft

BESIDE = AGREEMENT | {"concurrent": True}


async def test_beside_the_draft_it_has_begun_before_the_reply_is_there(tmp_path):
    """The small tier answers only once the sample has been asked for."""
    async with Scripted(said("42")) as other:

        async def answer(reader, writer):
            await reader.readuntil(b"\r\n\r\n")
            await other.asked.wait()
            writer.write(said("42"))
            await reader.read()
            writer.close()
            await writer.wait_closed()

        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        near = type("Near", (), {"url": f"http://127.0.0.1:{port}/v1"})
        async with server, house(tmp_path, document(near, other, BESIDE)) as it:
            async with asyncio.timeout(LIMIT):
                reply = await it.chat()
            row = found(it.entry(reply))
    assert reply.told("tier") == "small"
    assert (row["confidence"], row["cost"]) == (1.0, SPENT)


@pytest.mark.parametrize(
    "small",
    [[whole(b"{}", 500), "close"], [0.1, said("I cannot help with that.")]],
    ids=["failed", "deferred"],
)
async def test_beside_a_draft_that_comes_to_nothing_it_is_ended_and_booked(tmp_path, small):
    async with checking(tmp_path, small, ["hang"], BESIDE) as (it, _, other):
        reply = await it.chat()
        async with asyncio.timeout(LIMIT):
            await other.left.wait()
        entry = it.entry(reply)
        assert await money_adds_up(it)
        assert it.gateway.store.state().open_calls == 0
    assert (reply.status, reply.told("tier")) == (200, "large")
    row = found(entry)
    (call,) = [each for each in entry["calls"] if each["purpose"] == "check"]
    assert (row["result"], row["reason"], call["status"]) == ("abstain", "left", "cancelled")
    assert row["cost"] == call["cost"] > 0


# ------------------------------------------------------------------ those who leave


@pytest.mark.parametrize("check", [AGREEMENT, BESIDE], ids=["after", "beside"])
async def test_a_client_that_leaves_ends_it(tmp_path, check):
    small = [said("42")] if check is AGREEMENT else ["hang"]
    async with (
        Scripted(*small) as near,
        Scripted("hang") as other,
        listening(tmp_path, document(near, other, check)) as served,
    ):
        async with Wire(served.base_url) as wire:
            await wire.send(posted(orjson.dumps(ask_for())))
            async with asyncio.timeout(LIMIT):
                await other.asked.wait()
        async with asyncio.timeout(LIMIT):
            await other.left.wait()
        store, path = served.gateway.store, served.gateway.settings.ledger.path
        await until(lambda: store.flush(LIMIT) and read.requests(path))
        (row,) = read.requests(path)
        entry = read.request(path, row["request_id"])
        assert store.state().open_calls == 0, "no mark is left"
    assert (entry["outcome"], entry["status"]) == ("cancelled", 499)
    (call,) = [each for each in entry["calls"] if each["purpose"] == "check"]
    assert (call["status"], found(entry)["reason"]) == ("cancelled", "left")
    assert entry["cost"] == sum(each["cost"] for each in entry["calls"]) > 0
