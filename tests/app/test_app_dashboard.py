"""The dashboard's endpoints on a real admin listener: whom they answer, and with what."""

from __future__ import annotations

import asyncio
import json
import re
from pathlib import Path

import httpx
import psutil
import pytest
from api.serving import CHAT, REFUSES, ask_for, config
from app.serving import listening, until

from gateway.cli import main, top
from gateway.store import read

API = "/dashboard/api/"
QUESTIONS = ("money", "routing", "quality", "health", "requests", "now", "about")


def client(served, **headers):
    known = {"authorization": f"Bearer {served.admin_secret}"}
    url = served.admin_url.replace("0.0.0.0", "127.0.0.1")
    return httpx.AsyncClient(base_url=url, headers={**known, **headers}, timeout=30)


async def test_figures_of_what_was_just_served_and_nobody_else_sees_them(tmp_path):
    async with listening(tmp_path) as served, client(served) as mine:
        async with httpx.AsyncClient(base_url=served.base_url.removesuffix("/v1")) as there:
            for fields in ({}, {}, REFUSES):
                answer = await there.post(CHAT, json=ask_for(**fields))
                assert answer.status_code == 200
        await asyncio.to_thread(served.gateway.store.flush)
        answers = {name: await mine.get(f"{API}{name}") for name in QUESTIONS}
        strangers = [
            await mine.get(f"{API}{name}", headers={"authorization": word})
            for name in (*QUESTIONS, "nothing")
            for word in ("", "Bearer wrong", "Basic x")
        ]
        foreign = await mine.get(f"{API}money", headers={"host": "evil.example"})
        page = await mine.get("/dashboard/", headers={"host": "evil.example"})
        crossing = await mine.get(f"{API}money", headers={"origin": "http://evil.example"})
        wrong = await mine.get(f"{API}what-if?route=waterfall&threshold=7")
        tried = await mine.get(f"{API}what-if?route=waterfall&threshold=1&seed=3")
        missing = [await mine.get(f"{API}request?id=no"), await mine.get(f"{API}nothing")]
        table = await mine.get(f"{API}requests?format=csv")
        rows = read.requests(served.settings.ledger.place)
    assert {answer.status_code for answer in answers.values()} == {200}
    told = {name: answer.json() for name, answer in answers.items()}
    assert told["money"]["bill"]["actual"] == sum(row["cost"] for row in rows) > 0
    assert told["money"]["bill"]["discarded"] > 0
    found = {row["request_id"] for row in told["requests"]["requests"]}
    assert found == {row["request_id"] for row in rows}
    assert told["about"]["routes"]["waterfall"]["tiers"] == ["small", "large"]
    assert told["about"]["routes"]["waterfall"]["thresholds"] == [0.8]
    spent = sum(each["value"] for each in told["now"]["waterfall_cost_usd_total"])
    assert spent == pytest.approx(told["money"]["bill"]["actual"] / 1e9)
    assert {answer.status_code for answer in strangers} == {401}
    assert all("actual" not in answer.text and "small" not in answer.text for answer in strangers)
    assert (foreign.status_code, page.status_code, crossing.status_code) == (400, 400, 403)
    assert (wrong.status_code, wrong.json()["error"]["param"]) == (400, "threshold")
    assert (tried.json()["share_up"]["value"], tried.json()["seed"]) == (0, 3)
    assert [answer.status_code for answer in missing] == [404, 404]
    assert table.headers["content-type"].startswith("text/csv")
    assert table.text.count("\n") == 4
    assert "content-security-policy" in answers["money"].headers
    assert answers["money"].headers["cache-control"] == "no-store"


async def test_whoever_answers_is_a_process_that_ends_when_nobody_asks(tmp_path, monkeypatch):
    monkeypatch.setattr("gateway.api.figures.IDLE", 0.2)
    before = set(psutil.Process().children(recursive=True))
    async with listening(tmp_path) as served, client(served) as mine:
        started = await mine.get(f"{API}money")
        (helper,) = set(psutil.Process().children(recursive=True)) - before
        await until(lambda: not helper.is_running())
        again = await mine.get(f"{API}money")
        (second,) = set(psutil.Process().children(recursive=True)) - before
    assert started.status_code == again.status_code == 200
    assert not second.is_running()


async def test_a_ledger_that_cannot_be_read_is_said_to_be(tmp_path):
    async with listening(tmp_path) as served, client(served) as mine:
        path = served.settings.ledger.place
        path.rename(path.with_suffix(".away"))
        answer = await mine.get(f"{API}money")
        wrong = await mine.get(f"{API}money", headers={"authorization": "Bearer wrong"})
        page = served.gateway.metrics.render().decode()
        path.with_suffix(".away").rename(path)
    assert answer.status_code == 503
    assert "cannot be read" in answer.json()["error"]["message"]
    assert wrong.status_code == 401
    counted = re.findall(r"^waterfall_requests_total{.*} (\S+)$", page, re.MULTILINE)
    assert {*counted} == {"0.0"}, "what the admin listener refuses is no client's request"


async def test_off_loopback_the_files_are_anybody_s_and_the_figures_the_key_s(tmp_path):
    key = {"name": "k", "hash": "sha256:" + "0" * 64}
    changes = {"server__admin": "0.0.0.0:0", "server__admin_key": "own-admin-key", "keys": [key]}
    async with listening(tmp_path, config(**changes)) as served, client(served) as mine:
        named = {"host": "gateway.example"}
        page = await mine.get("/dashboard/", headers={**named, "authorization": ""})
        figures = await mine.get(f"{API}about", headers=named)
        refused = await mine.get(f"{API}about", headers={**named, "authorization": "Bearer x"})
    assert (page.status_code, figures.status_code, refused.status_code) == (200, 200, 401)
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy


async def test_the_page_and_its_files_are_served_with_their_kinds(tmp_path):
    async with listening(tmp_path) as served, client(served, authorization="") as anybody:
        led = await anybody.get("/dashboard")
        page = await anybody.get("/dashboard/")
        names = re.findall(r'"\./(assets/[^"]+)"', page.text)
        files = {name: await anybody.get(f"/dashboard/{name}") for name in names}
        missing = [
            await anybody.get(f"/dashboard/assets/{name}")
            for name in ("source.json", "none.js", "..%2findex.html", "%2e%2e/%2e%2e/app.py")
        ]
    assert (led.status_code, led.headers["location"]) == (308, "/dashboard/")
    assert page.headers["cache-control"] == "no-cache"
    kinds = {Path(name).suffix: files[name].headers["content-type"] for name in names}
    assert set(kinds) == {".css", ".js", ".svg"}
    assert "javascript" in kinds[".js"]
    assert all(answer.status_code == 200 for answer in files.values())
    assert all("immutable" in answer.headers["cache-control"] for answer in files.values())
    assert all(each.status_code == 404 for each in missing), missing


async def test_top_says_what_the_page_says(tmp_path, monkeypatch, capsys):
    async with listening(tmp_path) as served:
        async with httpx.AsyncClient(base_url=served.base_url.removesuffix("/v1")) as there:
            for fields in ({}, {}, REFUSES):
                assert (await there.post(CHAT, json=ask_for(**fields))).status_code == 200
        await asyncio.to_thread(served.gateway.store.flush)
        asked = ["top", "--url", served.admin_url]
        monkeypatch.setenv(top.KEY, served.admin_secret)
        codes = [await asyncio.to_thread(main, [*asked, how]) for how in ("--json", "--once")]
        file = tmp_path / "key"
        tries = []
        for key in (served.admin_secret, "x", "ключ"):
            file.write_text(f"{key}\n", encoding="utf-8")
            asking = [*asked, "--key-file", str(file), "--once"]
            tries.append(await asyncio.to_thread(main, asking))
        monkeypatch.delenv(top.KEY)
        keyless = await asyncio.to_thread(main, [*asked, "--once"])
        nobody = await asyncio.to_thread(main, ["top", "--url", "http://127.0.0.1:1", "--once"])
        rows = read.requests(served.settings.ledger.place)
    said = capsys.readouterr()
    told, end = json.JSONDecoder().raw_decode(said.out)
    assert (codes, tries, keyless, nobody) == ([0, 0], [0, 1, 2], 1, 1)
    assert told["money"]["bill"]["actual"] == sum(row["cost"] for row in rows)
    assert (told["tiers"]["small"]["requests"], told["tiers"]["large"]["requests"]) == (2, 1)
    assert told["thresholds"] == {"waterfall": 0.8}
    assert "3 requests, 33.3% escalated" in said.out[end:]
    assert said.err.count("--key-file, or $WATERFALL_ADMIN_KEY") == 2
    assert "ASCII" in said.err


def test_top_follows_with_rates(monkeypatch, capsys):
    """Two looks, a second apart: so many more requests are so many a second."""
    clock = iter((0.0, 0.0, 1.0, 2.0))
    pages = iter((10, 40))
    share = {"value": 0.5, "low": 0.4, "high": 0.6}
    bill = {"saved": 5 * 10**9, "actual": 5 * 10**9, "baseline": 10**10}
    money = {"requests": 10, "bill": bill, "saved_share": share, "sums": {"escalated": 1}}

    def answer(request):
        if request.url.path.endswith("now"):
            one = {"labels": {"tier": "small"}, "value": next(pages)}
            return httpx.Response(200, json={"waterfall_requests_total": [one]})
        return httpx.Response(200, json={"version": "1", **money})

    with httpx.Client(transport=httpx.MockTransport(answer), base_url="http://x") as asked:
        monkeypatch.setattr(top.time, "monotonic", lambda: next(clock))
        monkeypatch.setattr(top.time, "sleep", lambda _: None)
        with pytest.raises(StopIteration):
            top._follow(asked, 1.0)
    said = capsys.readouterr().out
    assert said.count("last 24 hours") == 2
    assert "15.0 requests/s" in said
