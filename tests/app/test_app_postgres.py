"""A whole gateway whose ledger is in PostgreSQL: what it serves, learns and is told, read back."""

from __future__ import annotations

import asyncio
import json
from contextlib import closing

import httpx
import pytest
import yaml
from api.serving import CHAT, REFUSES, ask_for, config, house
from app.serving import Process
from sample_entries import attempt, entry
from sample_outcomes import sums

from gateway.cli import main
from gateway.core.outcome import Outcome
from gateway.core.signals import Signals
from gateway.store import read
from gateway.store.labels import Label
from gateway.store.ledgers import reading
from gateway.store.store import open_store

pytestmark = pytest.mark.live


@pytest.fixture
def on_server(postgres_url, tmp_path):
    """A configuration's section."""
    return {"ledger": {"url": postgres_url.url, "spool": str(tmp_path / "spool")}}


async def test_it_serves_keeps_labels_and_replays(tmp_path, on_server, postgres_url, capsys):
    async with house(tmp_path, config() | on_server) as it:
        answers = [await it.chat(), await it.chat(**REFUSES), await it.chat(stream=True)]
        body = {"request_id": answers[1].header("x-request-id"), "score": 0, "tier": "small"}
        said = await it.post(body, "/v1/feedback")
        assert (said.status, said.json["tier"]) == (200, "small")
        unknown = await it.post(body | {"request_id": "nobody-s"}, "/v1/feedback")
        assert unknown.status == 404
        assert [row["tier"] for row in it.entries()] == ["small", "large", "small"]
        assert it.entry(answers[1])["escalated"] is True
        metrics = (await it.get("/metrics")).body.decode()
        assert 'waterfall_ledger_rows_total{result="written",sink="postgresql"}' in metrics
    assert list((tmp_path / "spool").iterdir()) == []
    asked = ["replay", "--ledger", postgres_url.url, "--json"]
    assert main(asked) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["requests"], told["same"], told["recorded_quality"]["labels"]) == (3, 3, 0)
    assert "postgresql://waterfall@127.0.0.1" in told["ledger"]


async def test_live_tuning_outlives_a_restart(tmp_path, on_server):
    target = {"routes__waterfall__threshold": {"target_share": 0.2, "window": 200}}
    document = config(**target) | on_server
    asks = [ask_for(messages=[{"role": "user", "content": "word " * n}]) for n in range(210)]
    async with house(tmp_path, document) as it:
        for each in asks:
            await it.post(each)
        assert it.gateway.store.flush(20)
        async with asyncio.timeout(20):
            while not it.gateway.store.archive.tunings():  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        row = it.gateway.store.archive.tunings()["waterfall"]
    async with house(tmp_path, document) as it:
        told = await it.post(asks[0], "/v1/route")
        assert told.json["tuning"]["basis"] == "share"
    with reading(it.gateway.settings.ledger.place) as connection:
        newest = connection.execute("SELECT max(number) FROM tuning").fetchone()[0]
    assert newest >= row.number


async def test_two_workers_share_it_and_the_password_is_nobody_s(tmp_path, on_server, postgres_url):
    url = postgres_url.url.replace("waterfall@", "waterfall:CANARY@")
    document = config() | {"ledger": on_server["ledger"] | {"url": "${LEDGER}"}}
    document["server"] = {"port": 0, "admin": "127.0.0.1:0", "workers": 2}
    async with Process(tmp_path, document, LEDGER=url) as served:
        await served.ready()
        for _ in range(20):
            async with httpx.AsyncClient() as client:
                answer = await client.post(f"{served.url}{CHAT}", json=ask_for(), timeout=30)
            assert answer.status_code == 200
        served.signal()
        assert await served.ended() == 0
    assert len(read.requests(postgres_url)) == 20
    assert "CANARY" not in served.stdout + served.stderr


def test_a_scorer_is_trained_on_it(tmp_path, postgres_url, capsys):
    with closing(open_store(postgres_url, spool_folder=tmp_path / "spool")) as store:
        for record in sums(90):
            signals = Signals(text=record["prompt"], prompt_chars=len(record["prompt"]), turns=1)
            served = attempt()
            kept = entry(Outcome(attempts=(served,), served=served), prompt=signals)
            store.journal.append(kept, ())
            for tier, column in (("small", "weak_score"), ("large", "strong_score")):
                label = Label(kept.origin.entry_id, tier, record[column], "judge", 1.0)
                store.labels.put(label)
        assert store.flush()
    given = ["--data", postgres_url.url, "--tiers", "small,large", "--out", str(tmp_path / "own")]
    assert main(["train", *given]) == 0
    assert "own@1 is in" in capsys.readouterr().out
    assert main(["replay", "--data", postgres_url.url]) == 2


def test_status_and_route_look_at_it(tmp_path, on_server, postgres_url, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "waterfall.yaml").write_text(yaml.safe_dump(config() | on_server))
    (tmp_path / "waterfall.yaml").chmod(0o600)
    assert main(["ledger", "status"]) == 1
    assert "not to be had" in capsys.readouterr().out
    open_store(postgres_url, spool_folder=tmp_path / "spool").close()
    assert main(["ledger", "status"]) == 0
    assert "request_p" in capsys.readouterr().out
    assert main(["route", "Say hello."]) == 0
