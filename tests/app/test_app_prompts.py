"""What of a prompt is kept anywhere, through a whole gateway on real sockets."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import httpx
import pytest
from api.serving import LARGE, REFUSES, ask_for
from app.serving import listening

from gateway.store import read
from gateway.store.prompts import read_signals
from gateway.store.training import labelled_prompts, tier_costs

WORDS = "unmistakable-words-8271"
BODY = ask_for(
    messages=[
        {"role": "system", "content": "a secret of the system's"},
        {"role": "user", "content": WORDS},
    ]
)


def files_with(folder, text):
    paths = (path for path in folder.rglob("*") if path.is_file())
    return {path.name for path in paths if text.encode() in path.read_bytes()}


async def test_off_keeps_no_text_anywhere(tmp_path):
    async with listening(tmp_path) as served, httpx.AsyncClient(base_url=served.base_url) as client:
        for stream in (False, True):
            answer = await client.post("/chat/completions", json={**BODY, "stream": stream})
            assert answer.status_code == 200
        assert files_with(tmp_path, WORDS) == set()
        assert served.gateway.store.flush()
        assert files_with(tmp_path, WORDS) == set()
        with closing(sqlite3.connect(served.gateway.store.path)) as reader:
            assert reader.execute("SELECT count(*) FROM request").fetchone() == (2,)
            assert reader.execute("SELECT count(*) FROM prompt").fetchone() == (0,)
    assert files_with(tmp_path, WORDS) == set()


@pytest.mark.parametrize("stream", [False, True])
async def test_prompts_keeps_what_the_scorer_reads_and_no_more(tmp_path, stream):
    ledger = {"content": "prompts"}
    async with listening(tmp_path, ledger=ledger) as served:
        async with httpx.AsyncClient(base_url=served.base_url) as client:
            answer = await client.post("/chat/completions", json={**BODY, "stream": stream})
            known = {"request_id": answer.headers["x-request-id"]}
            good = {**known, "score": 1}
            bad = {**known, "score": 0, "tier": "large", "label": "judge"}
            for body in (good, bad):
                taken = await client.post("/feedback", json=body)
                assert taken.status_code == 200, taken.text
        path = served.gateway.store.path
    with closing(sqlite3.connect(path)) as reader:
        ((signals,),) = reader.execute("SELECT signals FROM prompt").fetchall()
    assert read_signals(signals).text == WORDS
    (row,) = labelled_prompts(path)
    assert (row.signals.text, row.good) == (WORDS, {"small": 1.0, "large": 0.0})
    assert (row.signals.turns, row.route) == (1, "waterfall")
    assert set(tier_costs(path, "waterfall")) == {"small"}
    assert files_with(tmp_path, WORDS) == {path.name}, "neither the log nor the spool"
    assert files_with(tmp_path, "a secret of the system's") == set()
    assert LARGE not in signals


async def test_prompt_retention(tmp_path):
    for retention, left in (("1m", 0), ("30d", 1)):
        ledger = {"content": "prompts", "prompt_retention": retention}
        async with (
            listening(tmp_path, ledger=ledger) as served,
            httpx.AsyncClient(base_url=served.base_url) as client,
        ):
            store = served.gateway.store
            await client.post("/chat/completions", json=BODY)
            assert store.flush()
            with closing(sqlite3.connect(store.path)) as other, other:
                other.execute("UPDATE prompt SET at = at - 3600")
        async with listening(tmp_path, ledger=ledger) as served:
            assert served.gateway.store.flush()
        with closing(sqlite3.connect(store.path)) as reader:
            assert reader.execute("SELECT count(*) FROM prompt").fetchone() == (left,)


async def test_a_row_is_found_by_its_trace_and_equal_prompts_by_their_hash(tmp_path):
    sent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    async with listening(tmp_path, ledger={"prompt_key": "k3y"}) as served:
        async with httpx.AsyncClient(base_url=served.base_url) as client:
            first = await client.post("/chat/completions", json=BODY, headers={"traceparent": sent})
            await client.post("/chat/completions", json={**BODY, "stream": True, **REFUSES})
            await client.post("/chat/completions", json=ask_for())
        assert served.gateway.store.flush()
        (found,) = read.find(served.gateway.store.path, "4bf92f3577b34da6a3ce929d0e0e4736")
        assert found["request_id"] == first.headers["x-request-id"]
        one, again, other = read.requests(served.gateway.store.path)
        assert again["trace_id"] == ""
        own = again["entry_id"].replace("-", "")
        assert [each["id"] for each in read.find(served.gateway.store.path, own)] == [again["id"]]
        (whole,) = read.find(served.gateway.store.path, again["entry_id"])
    assert one["prompt_hash"] == again["prompt_hash"] != other["prompt_hash"]
    assert len(whole["calls"]) == 2
    assert len({call["provider_request_id"] for call in whole["calls"]} - {""}) == 2
    assert files_with(tmp_path, WORDS) == set()
