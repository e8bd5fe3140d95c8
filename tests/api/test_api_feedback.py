"""What somebody thought of an answer: found by its id, kept as a label, and never lost."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing

import orjson
import pytest
from api.serving import REFUSES, ask_for, header_rows, house, send
from api.test_api_keys import APP, PLAIN, bearer, locked
from sample_entries import entry

from gateway.store.store import open_store

pytestmark = pytest.mark.asyncio(loop_scope="session")
FEEDBACK = "/v1/feedback"


def labels(it):
    query = "SELECT entry_id, tier, source, score FROM label ORDER BY entry_id, tier, source"
    with closing(sqlite3.connect(it.gateway.settings.ledger.path)) as reader:
        return reader.execute(query).fetchall()


async def said(it, answer_or_id, score=1, **fields):
    known = answer_or_id if isinstance(answer_or_id, str) else answer_or_id.header("x-request-id")
    headers = fields.pop("headers", {})
    body = {"request_id": known, "score": score, **fields}
    return await it.post(body, FEEDBACK, **headers)


async def test_feedback_labels_the_tier_that_served(tmp_path):
    async with house(tmp_path) as it:
        answer = await it.chat(**REFUSES)
        taken = await said(it, answer, 0.25)
        kept_entry = it.entry(answer)
        kept = labels(it)
    assert taken.status == 200
    assert taken.json == {
        "object": "waterfall.feedback",
        "request_id": kept_entry["request_id"],
        "entry_id": kept_entry["entry_id"],
        "route": "waterfall",
        "tier": "large",
        "label": "user",
        "score": 0.25,
    }
    assert kept == [(kept_entry["entry_id"], "large", "user", 0.25)]


async def test_a_label_posted_at_once_is_never_lost(tmp_path):
    """The row is still in the spool, or on its way: the post waits for it."""
    async with house(tmp_path) as it:
        for number in range(30):
            answer = await it.chat()
            taken = await said(it, answer, number / 30)
            assert taken.status == 200, taken.body
        assert sorted(score for *_, score in labels(it)) == [n / 30 for n in range(30)]


async def test_posts_may_be_repeated_and_the_last_of_each_source_wins(tmp_path):
    async with house(tmp_path) as it:
        answer = await it.chat()
        for score in (0, 0, 1):
            await said(it, answer, score)
        await said(it, answer, 0.5, label="judge-2")
        await said(it, answer, 0.75, tier="large")
        entry_id = it.entry(answer)["entry_id"]
        kept = labels(it)
    assert kept == [
        (entry_id, "large", "user", 0.75),
        (entry_id, "small", "judge-2", 0.5),
        (entry_id, "small", "user", 1.0),
    ]


async def test_of_several_requests_with_one_id_the_newest_is_meant(tmp_path):
    async with house(tmp_path) as it:
        entries = []
        for _ in range(3):
            await it.post(ask_for(), x_request_id="mine")
            taken = await said(it, "mine")
            entries.append(taken.json["entry_id"])
        by_entry = await said(it, entries[0], 0)
        kept = labels(it)
    assert len(set(entries)) == 3
    assert by_entry.json["entry_id"] == entries[0]
    assert by_entry.json["request_id"] == "mine"
    assert {score for entry_id, *_, score in kept if entry_id == entries[0]} == {0}


async def test_a_key_labels_its_own_requests_only(tmp_path):
    async with house(tmp_path, locked()) as it:
        mine = await it.post(ask_for(), x_request_id="same", **bearer(APP))
        theirs = await it.post(ask_for(), x_request_id="same", **bearer(PLAIN))
        only_mine = await it.post(ask_for(), **bearer(APP))
        taken = await said(it, "same", headers=bearer(APP))
        foreign = await said(it, only_mine, headers=bearer(PLAIN))
        nobody = await said(it, only_mine)
        entries = {name: e["entry_id"] for e in it.entries() if (name := e["key"])}
        kept = labels(it)
    assert mine.status == theirs.status == 200
    assert taken.status == 200
    assert taken.json["entry_id"] != entries["plain"]
    assert [entry_id for entry_id, *_ in kept] == [taken.json["entry_id"]]
    assert (foreign.status, foreign.error["code"]) == (404, "request_not_found")
    assert (nobody.status, nobody.error["code"]) == (401, "invalid_api_key")


async def test_without_keys_another_name_is_refused(it):
    answer = await it.post({"request_id": "x", "score": 1}, FEEDBACK, host="evil.example")
    assert (answer.status, answer.error["code"]) == (400, "host_not_allowed")


async def test_an_unknown_request_is_not_found_and_nothing_waits_for_it(it):
    async def serve():
        return [(await it.chat()).status for _ in range(5)]

    async with asyncio.timeout(10):
        unknown, served = await asyncio.gather(said(it, "nobody-s"), serve())
    assert (unknown.status, unknown.error["type"]) == (404, "not_found")
    assert (unknown.error["code"], unknown.error["param"]) == ("request_not_found", "request_id")
    assert served == [200] * 5


async def test_a_request_of_another_worker_is_waited_for(tmp_path):
    """Its row comes by another process's drain, after the post."""
    async with house(tmp_path) as it:
        other = open_store(it.gateway.settings.ledger.path)
        try:
            post = asyncio.create_task(said(it, "request-of-another"))
            await asyncio.sleep(0.2)
            assert not post.done()
            other.journal.append(entry(name="request-of-another"), ())
            taken = await post
        finally:
            other.close()
    assert (taken.status, taken.json["tier"]) == (200, "small")


async def test_what_nobody_served_is_labelled_by_its_tier_alone(tmp_path):
    broken = {"kind": "simulated", "error_rate": 1, "first_token": 0, "per_token": 0}
    async with house(tmp_path, upstreams__sim=broken) as it:
        answer = await it.chat()
        assert answer.status == 502
        unclear, clear = await said(it, answer), await said(it, answer, 0, tier="small")
    assert (unclear.status, unclear.error["param"]) == (400, "tier")
    assert unclear.error["code"] == "nothing_served"
    assert (clear.status, clear.json["tier"]) == (200, "small")


SOUND = {"request_id": "x", "score": 1}
MISTAKES = [
    ({"score": 1}, "request_id"),
    ({**SOUND, "request_id": 7}, "request_id"),
    ({**SOUND, "request_id": ""}, "request_id"),
    ({**SOUND, "request_id": "a b"}, "request_id"),
    ({**SOUND, "request_id": "x" * 129}, "request_id"),
    ({"request_id": "x"}, "score"),
    ({**SOUND, "score": 1.01}, "score"),
    ({**SOUND, "score": -0.01}, "score"),
    ({**SOUND, "score": True}, "score"),
    ({**SOUND, "score": "1"}, "score"),
    ({**SOUND, "score": 10**15}, "score"),
    ({**SOUND, "label": ""}, "label"),
    ({**SOUND, "label": "x" * 65}, "label"),
    ({**SOUND, "label": "<b>"}, "label"),
    ({**SOUND, "label": 1}, "label"),
    ({**SOUND, "tier": 1}, "tier"),
    ({**SOUND, "teir": "small"}, "teir"),
]


@pytest.mark.parametrize(("body", "param"), MISTAKES)
async def test_a_mistake_is_told_by_its_field(it, body, param):
    answer = await it.post(body, FEEDBACK)
    assert (answer.status, answer.error["type"]) == (400, "invalid_request_error")
    assert answer.error["param"] == param
    assert param in answer.error["message"]


async def test_a_tier_must_be_one_of_the_request_s_route(tmp_path):
    price = {"input": 1, "output": 1}
    spare = {"upstream": "sim", "model": "o", "price": price}
    async with house(tmp_path, tiers__spare=spare) as it:
        answer = await it.chat()
        for tier in ("spare", "nobody"):
            refused = await said(it, answer, tier=tier)
            assert (refused.status, refused.error["param"]) == (400, "tier")
            assert "waterfall" in refused.error["message"]
        assert labels(it) == []


async def test_the_body_is_bounded_and_plain_json(it):
    big = await it.post({**SOUND, "label": "x" * 20_000}, FEEDBACK)
    text = await it.post(orjson.dumps(SOUND), FEEDBACK, content_type="text/plain")
    got = await it.get(FEEDBACK)
    assert (big.status, big.error["code"]) == (413, "body_too_large")
    assert "16384" in big.error["message"]
    assert (text.status, got.status) == (415, 405)


async def test_a_locked_ledger_says_when_to_come_again(tmp_path):
    async with house(tmp_path) as it:
        answer = await it.chat()
        it.entries()
        with closing(sqlite3.connect(it.gateway.settings.ledger.path)) as other:
            other.isolation_level = None
            other.execute("BEGIN IMMEDIATE")
            busy, served = await asyncio.gather(said(it, answer), it.chat())
            behind = await said(it, served)
            other.execute("ROLLBACK")
        again = await said(it, answer)
    for refused in (busy, behind):
        assert (refused.status, refused.error["code"]) == (503, "ledger_busy")
        assert refused.header("retry-after") == "1"
    assert served.status == 200
    assert again.status == 200


async def test_a_flood_of_posts_for_nobody_leaves_room_for_the_rest(tmp_path):
    async with house(tmp_path) as it:
        flood = [asyncio.create_task(said(it, f"nobody-{number}")) for number in range(60)]
        answer = await it.chat()
        taken = await said(it, answer)
        statuses = {(await each).status for each in flood}
    assert (answer.status, taken.status) == (200, 200)
    assert statuses == {404}


async def test_whoever_hangs_up_is_not_answered_and_no_fault(tmp_path):
    async with house(tmp_path) as it:
        rows = header_rows({"host": "localhost", "content_type": "application/json"})
        gone = await send(it.app, "POST", FEEDBACK, headers=rows, blocks=(), stay=False)
    assert gone.raised is None
    assert gone.status == 499
