"""What is passed through, over real sockets: as it is, streamed, bounded, priced and recorded."""

from __future__ import annotations

import asyncio
import hashlib
import sqlite3

import httpx
import pytest
from api.serving import config
from app.passing import FLOATS, KEY, providing
from app.serving import listening, until

from gateway.core.money import nano
from gateway.core.room import Room

GROUPS = ("embeddings", "moderations", "audio", "images", "files", "batches")
PRICES = """\
models:
  embed-1: {input: 0.02, output: 0}
  image-1: {input: 5, output: 40}
  mod-1: free
"""
QUERY = (
    "SELECT request.route, request.api, request.status, request.outcome, call.model, call.cost, "
    "call.price_hash, call.estimated, request.key, request.requested_model, request.baseline_cost "
    "FROM request LEFT JOIN call ON call.request = request.id ORDER BY request.id"
)
KEYS = {
    name: "sha256:" + hashlib.sha256(name.encode()).hexdigest()
    for name in ("everything", "bound", "poor")
}


POOR = {"rpm": 5, "budget_usd": {"day": 0.00003}}


@pytest.fixture
async def place(tmp_path):
    (tmp_path / "prices.yaml").write_text(PRICES)
    async with providing() as (provider, url):
        document = config(
            upstreams__far={"base_url": url, "api_key": KEY},
            passthrough=dict.fromkeys(GROUPS, "far") | {"max_upload": "5MB"},
            prices={"file": "prices.yaml"},
            server__max_body="1MB",
            server__caps={"inputs": 3, "n": 2},
            keys=[
                {"name": "all", "hash": KEYS["everything"]},
                {"name": "bound", "hash": KEYS["bound"], "routes": ["waterfall"]},
                {"name": "poor", "hash": KEYS["poor"], "limits": POOR},
            ],
        )
        async with (
            listening(tmp_path, document) as served,
            httpx.AsyncClient(
                base_url=served.base_url,
                headers={"authorization": "Bearer everything"},
                timeout=20,
            ) as client,
        ):
            yield tmp_path, provider, client, served


def rows(folder):
    """The requests in the ledger with their one call, oldest first."""
    with sqlite3.connect(f"file:{folder / 'waterfall.db'}?mode=ro", uri=True) as database:
        database.row_factory = sqlite3.Row
        return [dict(row) for row in database.execute(QUERY)]


async def recorded(folder, count):
    await until(lambda: (folder / "waterfall.db").exists() and len(rows(folder)) >= count)
    return rows(folder)


async def test_embeddings_are_passed_as_they_are_and_priced(place):
    folder, provider, client, served = place
    body = {"model": "embed-1", "input": "hi", "encoding_format": "base64", "x_own": 1}
    reply = await client.post("/embeddings", json=body, headers={"x-request-id": "mine-1"})
    assert reply.status_code == 200
    assert reply.json()["data"][0]["embedding"] == FLOATS
    assert reply.headers["x-request-id"] == "mine-1"
    assert reply.headers["x-waterfall-route"] == "passthrough/embeddings"
    method, target, sent, size = provider.seen[0]
    assert (method, target, size) == ("POST", "/v1/embeddings", len(reply.request.content))
    assert sent["authorization"] == f"Bearer {KEY}"
    (row,) = await recorded(folder, 1)
    assert row["cost"] == nano("0.02") // 1000  # 1000 tokens at $0.02 a million
    assert row["baseline_cost"] == row["cost"]
    assert (row["route"], row["api"]) == ("passthrough/embeddings", "embeddings")
    assert (row["key"], row["requested_model"], row["estimated"]) == ("all", "embed-1", 0)
    metrics = (await client.get(f"{served.base_url.removesuffix('/v1')}/metrics")).text
    assert 'waterfall_requests_total{outcome="ok",route="passthrough/embeddings"' in metrics
    assert 'waterfall_unpriced_requests_total{model="other",reason="missing_price"} 0.0' in metrics


async def test_what_has_no_price_is_counted_loudly_and_is_never_free(place):
    folder, _, client, served = place
    form = {"model": (None, "whisper-9"), "file": ("a.mp3", b"\0" * 300_000)}
    assert (await client.post("/audio/transcriptions", files=form)).status_code == 200
    await client.post("/embeddings", json={"model": "embed-9", "input": "hi"})
    await client.post("/moderations", json={"model": "mod-1", "input": "hi"})
    await client.get("/files?purpose=batch")
    heard, strange, judged, listed = await recorded(folder, 4)
    assert (heard["model"], heard["price_hash"], heard["estimated"]) == ("whisper-9", "", 1)
    assert (strange["model"], strange["price_hash"]) == ("embed-9", "")
    assert judged["price_hash"] != ""  # said to be free: that is a price
    assert (listed["price_hash"] != "", listed["cost"]) == (True, 0)
    metrics = (await client.get(f"{served.base_url.removesuffix('/v1')}/metrics")).text
    told = 'waterfall_unpriced_requests_total{model="other",reason="missing_price"} 2.0'
    assert told in metrics


async def test_images_are_priced_by_their_tokens_though_the_reply_is_long(place):
    folder, _, client, _ = place
    reply = await client.post("/images/generations", json={"model": "image-1", "prompt": "a cat"})
    assert len(reply.content) > 200_000
    (row,) = await recorded(folder, 1)
    assert row["cost"] == 10 * 5000 + 1000 * 40_000


async def test_uploads_and_downloads_are_streamed_and_bounded(place):
    folder, provider, client, _ = place
    form = {"purpose": (None, "batch"), "file": ("a.jsonl", b"y" * 4_000_000)}
    reply = await client.post("/files", files=form)
    assert (reply.status_code, reply.json()["id"]) == (200, "file-1")
    assert provider.seen[-1][3] == int(reply.request.headers["content-length"]) > 4_000_000

    async def endless():
        for _ in range(100):
            yield b"z" * 100_000

    refused = await client.post(
        "/files", content=endless(), headers={"content-type": "multipart/form-data; boundary=b"}
    )
    assert (refused.status_code, refused.json()["error"]["code"]) == (413, "body_too_large")
    large = await client.post("/embeddings", json={"model": "embed-1", "input": "x" * 1_100_000})
    assert large.status_code == 413
    down = await client.get("/files/file-1/content")
    assert len(down.content) == 3_000_000
    assert down.headers["content-disposition"] == 'attachment; filename="a.jsonl"'
    assert (await client.delete("/files/file-1")).status_code == 200
    assert provider.seen[-1][:2] == ("DELETE", "/v1/files/file-1")
    assert {row["cost"] for row in await recorded(folder, 4)} == {0}


async def test_speech_arrives_as_it_is_made_and_ends_when_its_listener_goes(place):
    folder, provider, client, _ = place
    body = {"model": "tts-1", "input": "hi", "voice": "alloy"}
    async with client.stream("POST", "/audio/speech", json=body) as reply:
        async for block in reply.aiter_raw():
            assert block == b"a" * 1000  # the rest is not made yet
            break
    await until(lambda: provider.left)
    (row,) = await recorded(folder, 1)
    assert (row["outcome"], row["status"]) == ("cancelled", 499)


@pytest.mark.parametrize(
    ("word", "status", "code"),
    [("unknown", 404, "not_found"), ("busy", 429, "rate_limited")],
)
async def test_an_upstream_s_refusal_is_told_in_openai_s_shape(place, word, status, code):
    folder, _, client, _ = place
    reply = await client.post("/embeddings", json={"model": "embed-1", "input": word})
    assert (reply.status_code, reply.json()["error"]["code"]) == (status, code)
    assert reply.headers.get("retry-after") == ("7" if word == "busy" else None)
    (row,) = await recorded(folder, 1)
    assert (row["status"], row["cost"]) == (status, 0)


async def test_who_may_not_and_what_is_not_there(place):
    _, provider, client, _ = place
    wrong = [
        (await client.post("/embeddings", json={}, headers={"authorization": "Bearer no"}), 401),
        (await client.post("/embeddings", json={}, headers={"authorization": "Bearer bound"}), 403),
        (await client.post("/embeddings", json=[1]), 400),
        (await client.post("/embeddings", json={"model": 5}), 400),
        (await client.post("/images/unknown", json={}), 404),
        (await client.get("/embeddings"), 404),
        (await client.get("/files/..%2f..%2fadmin"), 404),
    ]
    assert [reply.status_code for reply, _ in wrong] == [status for _, status in wrong]
    assert all("message" in reply.json()["error"] for reply, _ in wrong)
    assert provider.seen == []


async def test_nothing_is_passed_where_nothing_is_configured(tmp_path):
    async with listening(tmp_path) as served, httpx.AsyncClient() as client:
        reply = await client.post(f"{served.base_url}/embeddings", json={"input": "hi"})
        assert reply.status_code == 404
        assert "passthrough.embeddings" in reply.json()["error"]["message"]
        await asyncio.sleep(0)


async def test_it_takes_a_place_among_what_is_under_way(place):
    _, provider, client, served = place
    room = served.gateway.switch.room = Room(1, 10_000_000)
    body = {"model": "tts-1", "input": "hi", "voice": "alloy"}
    async with client.stream("POST", "/audio/speech", json=body):
        assert room.requests == 1
        assert room.bytes > 40  # what was read whole; an upload is not held
        refused = await client.get("/files")
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
        assert refused.json()["error"]["code"] == "too_many_requests_under_way"
    await until(lambda: provider.left)
    await until(lambda: room.requests == room.bytes == 0)
    assert (await client.get("/files")).status_code == 200


async def test_it_is_under_its_key_s_limits(place):
    """Two cost $0.00002 each: the second passes with $0.00001 left, and leaves none for a third."""
    folder, _, client, _ = place
    client.headers["authorization"] = "Bearer poor"
    body = {"model": "embed-1", "input": "hi"}
    replies = [await client.post("/embeddings", json=body) for _ in range(6)]
    assert [each.status_code for each in replies] == [200, 200, 429, 429, 429, 429]
    codes = [each.json()["error"]["code"] for each in replies[2:]]
    assert codes == ["insufficient_quota"] * 4
    assert sum(row["cost"] for row in await recorded(folder, 2)) == nano("0.00004")


async def test_what_multiplies_is_bounded(place):
    _, provider, client, _ = place
    wrong = [
        ("images/generations", {"model": "image-1", "prompt": "a", "n": 3}, "n"),
        ("images/generations", {"model": "image-1", "prompt": "a", "n": "1"}, "n"),
        ("embeddings", {"model": "embed-1", "input": ["a"] * 4}, "inputs"),
        ("embeddings", {"model": "embed-1", "input": [[1], [2], [3], [4]]}, "inputs"),
        ("moderations", {"model": "mod-1", "input": ["a"] * 4}, "inputs"),
    ]
    for path, body, cap in wrong:
        error = (await client.post(f"/{path}", json=body)).json()["error"]
        assert error["param"] == cap.removesuffix("s"), body
        assert f"server.caps.{cap}" in error["message"]
    assert provider.seen == []
    right = [
        ("images/generations", {"model": "image-1", "prompt": "a", "n": 2}),
        ("embeddings", {"model": "embed-1", "input": ["a"] * 3, "n": 9}),
        ("embeddings", {"model": "embed-1", "input": [1, 2, 3, 4]}),  # one text, as tokens
    ]
    for path, body in right:
        assert (await client.post(f"/{path}", json=body)).status_code == 200, body
