"""`Idempotency-Key`: the same again is the same answer, billed once."""

from __future__ import annotations

import asyncio
import hashlib
import time

import pytest
from api.serving import LIMIT, REFUSES, ask_for, config, house

from gateway.api import idempotency
from gateway.api.auth import OPEN
from gateway.limits.line import Line
from gateway.shared import MemoryShared, SharedDown

KEYS = {"upstreams__sim__first_token": 0.05}


async def ask(served, named="once-1", stay=True, **fields):
    return await served.post(ask_for(**fields), idempotency_key=named, stay=stay)


@pytest.mark.parametrize("stream", [False, True])
async def test_the_same_again_is_the_same_answer(tmp_path, stream):
    async with house(tmp_path) as served:
        first = await ask(served, stream=stream, **REFUSES)
        again = await ask(served, stream=stream, **REFUSES)
        assert (first.status, first.body) == (again.status, again.body)
        assert first.told("replayed") is None
        assert again.told("replayed") == "true"
        assert again.header("x-request-id") == first.header("x-request-id")
        assert again.header("content-type") == first.header("content-type")
        assert len(served.sent) == 2, "the small tier and the large one, once each"
        assert len(served.entries()) == 1


async def test_the_same_at_the_same_time_is_a_conflict(tmp_path):
    async with house(tmp_path, config(**KEYS)) as served:
        answers = await asyncio.gather(*(ask(served) for _ in range(10)))
        statuses = sorted(each.status for each in answers)
        assert statuses == [200, *[409] * 9]
        refused = next(each for each in answers if each.status == 409)
        assert refused.error["code"] == "request_in_progress"
        assert refused.header("retry-after") == "1"
        assert len(served.entries()) == 1
        assert (await ask(served)).status == 200


@pytest.mark.parametrize("change", [{"temperature": 1}, {"stream": True}, {"model": "large"}])
async def test_something_else_under_the_same_key_is_refused(tmp_path, change):
    async with house(tmp_path) as served:
        assert (await ask(served)).status == 200
        refused = await ask(served, **change)
        assert (refused.status, refused.error["code"]) == (422, "idempotency_key_reused")
        other = await served.post(ask_for(), idempotency_key="once-1", x_waterfall_threshold="0")
        assert other.status == 422
        assert (await ask(served, "once-2", **change)).status == 200


async def test_what_failed_or_was_left_may_be_asked_again(tmp_path):
    failing = {"upstreams__sim__error_rate": 1}
    async with house(tmp_path, config(**failing)) as served:
        assert (await ask(served)).status >= 500
        assert (await ask(served)).status >= 500
        assert len(served.entries()) == 2
    async with house(tmp_path, config(**KEYS)) as served:
        assert (await ask(served, "left", stay=False)).status == 0
        assert (await ask(served, "left")).status == 200


@pytest.mark.parametrize("token", ["", "two words", "x" * 256, "ü"])
async def test_a_key_has_its_form(tmp_path, token):
    async with house(tmp_path) as served:
        raw = {"idempotency_key": token} if token.isascii() else {"idempotency_key": "\x7f"}
        refused = await served.post(ask_for(), **raw)
        assert (refused.status, refused.error["param"]) == (400, "Idempotency-Key")


async def test_no_tenant_gets_another_s_answer(tmp_path):
    names = ("one", "two")
    keys = [
        {"name": name, "hash": "sha256:" + hashlib.sha256(name.encode()).hexdigest()}
        for name in names
    ]
    async with house(tmp_path, config(keys=keys)) as served:
        one, two = [
            await served.post(ask_for(), idempotency_key="same", authorization=f"Bearer {name}")
            for name in names
        ]
        assert (one.status, two.status) == (200, 200)
        assert two.told("replayed") is None
        assert len(served.entries()) == 2


async def test_it_is_kept_over_a_restart_and_not_charged_again(tmp_path):
    changes = {"routes__waterfall__limits": {"budget_usd": {"day": 0.00004}}}
    document = config(**changes, routes__waterfall__fall_down=False)
    for number in range(2):
        async with house(tmp_path, document) as served:
            answer = await ask(served, max_tokens=12)
            assert answer.status == 200
            assert answer.told("replayed") == ("true" if number else None)
            assert (await ask(served, "another", max_tokens=12)).status == 429


async def test_a_long_answer_is_served_and_not_kept(tmp_path, monkeypatch):
    monkeypatch.setattr(idempotency, "MOST", 100)
    async with house(tmp_path) as served:
        answers = [await ask(served) for _ in range(2)]
        assert [each.status for each in answers] == [200, 200]
        assert [each.told("replayed") for each in answers] == [None, None]


async def test_without_the_shared_state_it_is_served_all_the_same(tmp_path):
    document = config(shared={"url": "redis://127.0.0.1:1/0"})
    async with house(tmp_path, document) as served:
        async with asyncio.timeout(LIMIT):
            answers = [await ask(served) for _ in range(2)]
        assert [each.status for each in answers] == [200, 200]
        assert len(served.entries()) == 2


class Late:
    """A shared state whose answers to claims come too late, though the claims arrive."""

    def __init__(self, real, gone):
        self._real, self._gone = real, gone

    def __getattr__(self, name):
        return getattr(self._real, name)

    async def claim(self, name, value, seconds):
        if self._gone:
            await self._real.claim(name, value, seconds)
            raise SharedDown
        return await self._real.claim(name, value, seconds)


@pytest.mark.parametrize("kept", [True, False])
async def test_a_claim_whose_answer_came_too_late_leaves_no_ghost(kept, monkeypatch):
    """Its retry finds the answer, or is served anew; never that something is under way."""
    monkeypatch.setattr(idempotency, "PAUSES", (0.01,) * 20)
    shared = MemoryShared(time.perf_counter)
    line = Line(Late(shared, gone=True), "a", time.monotonic, 1.0)
    scope = {"path": "/v1/chat/completions", "headers": []}

    async def opened():
        return line

    async def begin():
        return await idempotency.begin(opened, OPEN, "once", scope, {}, 5.0)

    async def send(message):
        pass

    once = await begin()
    assert once.answer is None
    if kept:
        once.good()
        note = once.recording(send)
        await note({"type": "http.response.start", "status": 200, "headers": []})
        await note({"type": "http.response.body", "body": b"said"})
    await once.end()
    line.shared = shared
    async with asyncio.timeout(LIMIT):
        while not kept and await shared.get(once._name):  # noqa: ASYNC110 (nobody tells of it)
            await asyncio.sleep(0.01)
    again = await begin()
    assert (again.answer and again.answer[2]) == (b"said" if kept else None)
    await again.end()
    await line.drop_errands()


async def test_a_claim_that_is_let_go_of_late_is_no_other_s(monkeypatch):
    monkeypatch.setattr(idempotency, "PAUSES", (0.0,) * 3)
    shared = MemoryShared(time.perf_counter)
    line = Line(shared, "a", time.monotonic, 1.0)
    await shared.put("once:x", b"another's", 5)
    await idempotency._let_go(line, "once:x", b"mine")
    assert await shared.get("once:x") == b"another's"
