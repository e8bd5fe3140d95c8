"""Live thresholds with two workers, as real processes: one value, whoever answers."""

from __future__ import annotations

import asyncio

import pytest
from api.serving import CHAT, ask_for
from app.serving import Process
from launcher.serving import Admin, connections, eventually, two

pytestmark = pytest.mark.live  # servers of several processes

LABELLED = 40


async def ask(client):
    answer = await client.post(CHAT, json=ask_for())
    assert answer.status_code == 200
    return answer


async def label(client, request_id):
    """Say that both tiers are good, once the request is in the ledger."""
    for tier in ("small", "large"):
        body = {"request_id": request_id, "tier": tier, "score": 1.0, "label": "judge"}

        async def taken(body=body):
            return (await client.post("/v1/feedback", json=body)).is_success

        await eventually(taken)


async def tunings(clients):
    answers = await asyncio.gather(*(c.post("/v1/route", json=ask_for()) for c in clients))
    return [answer.json()["tuning"] for answer in answers]


async def test_labels_sent_to_either_worker_move_both_off_the_conservative_start(tmp_path):
    document = two(routes__waterfall__threshold={"target_quality": 0.9})
    async with Process(tmp_path, document) as it:
        await it.ready()
        async with connections(it) as clients, Admin(it) as admin:
            first = await asyncio.gather(*map(ask, (clients * 2)[:LABELLED]))
            assert {answer.headers["x-waterfall-start"] for answer in first} == {"large; score"}
            assert {told["basis"] for told in await tunings(clients)} == {"conservative"}
            asked = [answer.headers["x-request-id"] for answer in first]
            turned = (clients * 2)[::-1]  # most are labelled by the other worker
            await asyncio.gather(*map(label, turned, asked))

            async def all_told():
                return {(t["basis"], t["labels"]) for t in await tunings(clients)} == {
                    ("quality", LABELLED)
                }

            await eventually(all_told)
            second = await asyncio.gather(*map(ask, clients))
            assert {answer.headers["x-waterfall-start"] for answer in second} == {"small; score"}
            page = await admin.metrics()
            assert page["promise", "expectation", "waterfall"] == 1.0
        it.signal()
        assert await it.ended() == 0
    assert "of the strong tier's quality is promised, on average" in it.stderr
    assert "Traceback" not in it.stderr
