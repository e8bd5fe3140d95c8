"""A stream that is held for long may be opened early: comments, then whatever comes of it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import orjson
import pytest
from api.serving import LARGE, REFUSES, SMALL, config, house

from gateway.api.keepalive import COMMENT, KeepAlive

pytestmark = pytest.mark.asyncio(loop_scope="session")

SLOW = {"kind": "simulated", "first_token": "30ms", "per_token": "2ms", "tokens": [8, 12]}
KEPT = config(upstreams__sim=SLOW, routes__waterfall__keepalive_after="10ms")


def details(answer):
    found = [part for part in answer.body.split(b"\n\n") if part.startswith(b": waterfall {")]
    assert len(found) == 1
    return orjson.loads(found[0].removeprefix(b": waterfall "))


async def test_a_held_stream_is_opened_and_kept_open(tmp_path):
    async with house(tmp_path, KEPT) as it:
        answer = await it.chat(stream=True)
        plain = await it.chat()
        entry = it.entries()[0]
    assert (answer.status, answer.told("tier")) == (200, "pending")
    assert answer.body.startswith(COMMENT)
    assert answer.body.count(COMMENT) >= 2
    assert answer.events[-1] == "[DONE]"
    assert answer.text == plain.text
    told = details(answer)
    assert (told["tier"], told["reason"], told["attempts"]) == ("small", entry["reason"], 1)
    assert (told["escalated"], told["degraded"]) == (False, False)
    assert answer.told("attempts") is None
    assert answer.told("start") == plain.told("start")


async def test_by_default_nothing_is_opened_early(tmp_path):
    async with house(tmp_path, config(upstreams__sim=SLOW)) as it:
        answer = await it.chat(stream=True)
    assert (answer.told("tier"), COMMENT in answer.body) == ("small", False)


async def test_a_quick_stream_has_its_own_headers(tmp_path):
    async with house(tmp_path, config(routes__waterfall__keepalive_after="5s")) as it:
        answer = await it.chat(stream=True)
    assert (answer.told("tier"), COMMENT in answer.body) == ("small", False)
    assert b": waterfall {" not in answer.body


async def test_a_plain_reply_is_not_opened_early(tmp_path):
    async with house(tmp_path, KEPT) as it:
        answer = await it.chat()
    assert answer.told("tier") == "small"


async def test_an_escalation_behind_comments_shows_nothing_of_the_draft(tmp_path):
    async with house(tmp_path, KEPT) as it:
        answer = await it.chat(stream=True, **REFUSES)
        alone = await it.chat(model="large")
    told = details(answer)
    assert (told["tier"], told["escalated"], told["attempts"]) == ("large", True, 2)
    assert answer.text == alone.text


async def test_a_failure_is_an_event(tmp_path):
    changes = {"routes__waterfall__threshold": 0, "routes__waterfall__fall_down": False}
    limits = {"timeouts": {"first_token": "60ms"}}
    document = config(
        upstreams__sim={**SLOW, "first_token": "5s", **limits},
        routes__waterfall__keepalive_after="10ms",
        **changes,
    )
    async with house(tmp_path, document) as it:
        answer = await it.chat(stream=True)
        entry = it.entry(answer)
    assert (answer.status, entry["status"]) == (200, 504)
    assert b"[DONE]" not in answer.body
    assert answer.whole
    last = answer.body.split(b"\n\n")[-2]
    assert last.startswith(b"event: error\ndata: {")
    assert orjson.loads(last.partition(b"data: ")[2])["error"]["type"] == "timeout"
    assert details(answer)["tier"] == "none"


async def test_a_failure_before_it_is_opened_has_its_status(tmp_path):
    document = config(routes__waterfall__keepalive_after="5s")
    async with house(tmp_path, document) as it:
        answer = await it.chat(stream=True, simulate={SMALL: "500", LARGE: "500"})
    assert answer.status == 502
    assert answer.error["code"] == "exhausted"


@dataclass
class Sent:
    """What was sent, slowly; and whether a line was left half sent."""

    messages: list
    slow: float = 0.0
    busy: bool = False

    async def send(self, message):
        assert not self.busy, "two at once"
        self.busy = True
        await asyncio.sleep(self.slow)
        self.messages.append(message)
        self.busy = False


async def test_no_comment_after_it_is_stopped():
    line = Sent([], slow=0.005)
    async with KeepAlive(line.send, [], 0.001) as keeping:
        while not line.busy:  # noqa: ASYNC110 - it says so only here
            await asyncio.sleep(0)
        assert await keeping.stop()
        count = len(line.messages)
        assert not line.busy
        await asyncio.sleep(0.01)
    assert len(line.messages) == count


async def test_it_leaves_nothing_running_whatever_happens():
    async def broken(message):
        raise OSError("gone")

    before = asyncio.all_tasks()
    async with KeepAlive(broken, [], 0.001) as keeping:
        await asyncio.sleep(0.01)
        assert not await keeping.stop()
    with pytest.raises(ZeroDivisionError):
        async with KeepAlive(broken, [], 5.0):
            raise ZeroDivisionError
    assert asyncio.all_tasks() == before
