"""What the headers tell of a reply, plain and streamed."""

from __future__ import annotations

import re
from decimal import Decimal

import pytest
from api.serving import CHAT, REFUSES, SMALL, ask_for, config, house, send

pytestmark = pytest.mark.asyncio(loop_scope="session")

UUID7 = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
STREAMS = pytest.mark.parametrize("stream", [False, True], ids=["plain", "streamed"])
DECIDED = "route tier difficulty threshold start attempts escalated reason degraded simulated"


@STREAMS
async def test_an_accepted_reply_tells_everything(it, stream):
    answer = await it.chat(stream=stream)
    assert answer.status == 200
    for name in DECIDED.split():
        assert answer.told(name) is not None, name
    assert answer.told("tier") == "small"
    assert answer.told("start") == "small; score"
    assert answer.told("attempts") == "1"
    assert answer.told("escalated") == answer.told("degraded") == "false"
    assert answer.told("reason") == "passed"
    assert answer.told("threshold") == "0.8"
    assert 0 < float(answer.told("difficulty")) < 0.8
    assert answer.told("simulated") == "true"
    assert answer.told("recipe") is None
    assert UUID7.fullmatch(answer.header("x-request-id"))


@STREAMS
async def test_an_escalated_reply_tells_who_served(it, stream):
    answer = await it.chat(stream=stream, **REFUSES)
    assert answer.told("tier") == "large"
    assert answer.told("start") == "small; score"
    assert answer.told("attempts") == "2"
    assert answer.told("escalated") == "true"
    assert answer.told("reason") == "last_tier"
    assert "can't help" not in answer.text


@STREAMS
async def test_a_fall_through_is_an_escalation(it, stream):
    answer = await it.chat(stream=stream, simulate={SMALL: "503"})
    moves = it.entry(answer)["escalations"]
    assert answer.told("escalated") == "true"
    assert answer.told("attempts") == "2"
    assert [(move["cause"], move["reason"]) for move in moves] == [("fall_through", "overloaded")]


@STREAMS
async def test_the_best_deferred_reply_is_marked_degraded(it, stream):
    both = {"simulate": {SMALL: "refusal", "l-model": "500"}}
    answer = await it.chat(stream=stream, **both)
    assert answer.status == 200
    assert answer.told("tier") == "small"
    assert answer.told("degraded") == "true"
    assert "can't help" in answer.text


@STREAMS
async def test_a_higher_start_that_fails_falls_down(tmp_path, stream):
    fails = {"stream": stream, "simulate": {"l-model": "500"}}
    changes = {"routes__waterfall__threshold": 0}
    async with house(tmp_path, **changes) as it:
        answer = await it.chat(**fails)
    assert answer.status == 200
    assert (answer.told("tier"), answer.told("start")) == ("small", "large; score")
    assert (answer.told("degraded"), answer.told("reason")) == ("true", "fall_down")
    async with house(tmp_path, **changes, routes__waterfall__fall_down=False) as it:
        answer = await it.chat(**fails)
    assert answer.status == 502
    assert answer.told("degraded") is None


async def test_a_plain_reply_has_its_money_in_headers(tmp_path):
    async with house(tmp_path) as it:
        answer = await it.chat(**REFUSES)
        entry = it.entry(answer)
    usage = answer.json["usage"]
    served = Decimal(usage["prompt_tokens"] * 10 + usage["completion_tokens"] * 20) / 10**6
    cost = Decimal(answer.told("cost-usd"))
    assert cost == Decimal(entry["cost"]) / 10**9
    assert cost > served, "the discarded draft was paid for too"
    assert Decimal(answer.told("baseline-usd")) == served


async def test_a_stream_tells_its_money_in_a_comment_when_asked(it):
    plain = await it.chat(**REFUSES)
    silent = await it.post(ask_for(stream=True, **REFUSES))
    asked = await it.post(ask_for(stream=True, **REFUSES), x_waterfall_details="true")
    refused = await it.post(ask_for(stream=True, **REFUSES), x_waterfall_details="1")
    assert b": waterfall" not in silent.body
    assert b": waterfall" not in refused.body
    assert silent.told("cost-usd") is None
    comment, done = asked.body.split(b"\n\n")[-3:-1]
    assert done == b"data: [DONE]"
    assert comment.startswith(b": waterfall {")
    for name in ("cost", "baseline"):
        assert f'"{name}_usd":"{plain.told(f"{name}-usd")}"'.encode() in comment
    assert b'"tier":"large"' in comment
    assert b'"attempts":2' in comment
    assert asked.events[-1] == "[DONE]"
    assert silent.text == asked.text == plain.text


async def test_the_recipe_that_served_is_named(tmp_path):
    (tmp_path / "terse.yaml").write_text("version: 7\nbefore: Be terse.\n")
    async with house(tmp_path, tiers__small__recipe="terse.yaml") as it:
        answer = await it.chat()
        entry = it.entry(answer)
        escalated = await it.chat(**REFUSES)
    assert answer.told("recipe") == "terse@7"
    assert entry["attempts"][0]["recipe"] == "terse@7"
    assert escalated.told("recipe") is None


async def test_a_real_upstream_s_reply_is_not_called_simulated(tmp_path, unused_tcp_port):
    real = {"base_url": f"http://127.0.0.1:{unused_tcp_port}/v1"}
    changes = {"upstreams__real": real, "tiers__small__upstream": "real"}
    async with house(tmp_path, **changes) as it:
        answer = await it.chat()
        large = await it.chat(model="small")
    assert answer.told("tier") == "large"
    assert answer.told("simulated") == "true"
    assert large.status == 502
    assert large.told("simulated") is None


@pytest.mark.parametrize("own", ["abc", "A.b_c-9", "x" * 128])
async def test_the_client_s_own_id_is_kept(it, own):
    answer = await it.post(ask_for(), x_request_id=own)
    entry = it.entry(answer)
    bad = await it.post(b"{", x_request_id=own)
    missing = await it.get("/nope", x_request_id=own)
    assert answer.header("x-request-id") == own
    assert entry["request_id"] == own
    assert UUID7.fullmatch(entry["entry_id"])
    assert bad.header("x-request-id") == missing.header("x-request-id") == own


@pytest.mark.parametrize(
    "own",
    ["", " ", "x" * 129, "a b", "a\r\nset-cookie: x", "\x1b[31m", "a/b", "é", "$(x)", "a\x00"],
)
async def test_a_harmful_id_is_replaced(it, own):
    rows = [
        (b"host", b"localhost"),
        (b"content-type", b"application/json"),
        (b"x-request-id", own.encode()),
    ]
    answer = await send(it.app, "POST", CHAT, headers=rows, blocks=[b"{}"])
    assert answer.status == 400
    assert UUID7.fullmatch(answer.header("x-request-id"))


async def test_two_requests_of_one_id_are_two_entries(tmp_path):
    async with house(tmp_path) as it:
        for _ in range(2):
            await it.post(ask_for(), x_request_id="again")
        entries = it.entries()
    assert [entry["request_id"] for entry in entries] == ["again", "again"]
    assert entries[0]["entry_id"] != entries[1]["entry_id"]


@STREAMS
async def test_an_error_after_a_plan_tells_the_plan(it, stream):
    answer = await it.chat(stream=stream, simulate="500")
    assert it.entry(answer)["status"] == 502
    assert answer.status == 502
    assert answer.told("start") == "small; score"
    assert answer.told("attempts") == "2"
    assert answer.told("tier") is None
    assert answer.told("cost-usd") is not None


@STREAMS
async def test_no_header_of_the_gateway_is_given_twice_or_empty(tmp_path, stream):
    async with house(tmp_path, config(aliases={"gpt-4o": "waterfall"})) as it:
        for body in (ask_for(), ask_for("nope"), ask_for(n=0), ask_for(simulate="500")):
            answer = await it.post({**body, "stream": stream})
            assert len(set(answer.names)) == len(answer.names)
            assert all(value for _, value in answer.headers)
