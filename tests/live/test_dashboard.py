"""The dashboard in a real browser: it says what the ledger says, and lets nobody else in."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest
from api.serving import CHAT, REFUSES, ask_for, config
from app.serving import ROOT, Process
from live.prometheus import found, watching

from gateway.store import read

pytestmark = [pytest.mark.live, pytest.mark.timeout(400)]
WEB = ROOT / "gateway" / "dashboard" / "web"
HOSTILE = "<img src=x onerror=alert(1)>"
SECTIONS = ("money", "routing", "quality", "health", "explorer")
PICTURES = Path(os.environ.get("WATERFALL_PICTURES", ROOT / "build" / "pictures"))
"""Where screenshots are kept, to be looked at."""


def program(*names):
    for name in names:
        if path := shutil.which(name):
            return path
    pytest.skip(f"{names[0]} is not installed (Debian: apt-get install nodejs npm chromium)")


@pytest.fixture(scope="module")
def modules():
    """The page's tools, as its lock says."""
    npm = program("npm")
    if not (WEB / "node_modules" / "axe-core").exists():
        subprocess.run([npm, "ci", "--silent"], cwd=WEB, check=True, timeout=300)
    return WEB / "node_modules"


def test_a_build_of_the_sources_makes_what_is_committed(modules, tmp_path):
    copy = tmp_path / "web"
    shutil.copytree(WEB, copy, ignore=shutil.ignore_patterns("node_modules"))
    (copy / "node_modules").symlink_to(modules)
    subprocess.run([program("npm"), "run", "--silent", "build"], cwd=copy, check=True, timeout=200)
    built, committed = tmp_path / "page", WEB.parent / "page"
    names = {path.relative_to(committed) for path in committed.rglob("*.*")}
    assert {path.relative_to(built) for path in built.rglob("*.*")} == names
    assert [n for n in names if (built / n).read_bytes() != (committed / n).read_bytes()] == []


async def send_traffic(it):
    """Requests of all kinds, all of them judged."""
    kinds = [{}, {"stream": True}, REFUSES, {"model": "large"}]
    async with httpx.AsyncClient(base_url=it.url, timeout=60) as client:

        async def some(number):
            headers = {"x-waterfall-session": f"s{number}"}
            for fields in kinds * 4:
                answer = await client.post(CHAT, json=ask_for(**fields), headers=headers)
                assert answer.status_code == 200, answer.text
                said = {"request_id": answer.headers["x-request-id"], "score": 1}
                judged = await client.post("/v1/feedback", json=said)
                assert judged.status_code == 200, judged.text

        await asyncio.gather(*(some(number) for number in range(4)))


def make_hostile(ledger):
    """Names and texts as no configuration would take them, where a client's or a provider's are."""
    with closing(sqlite3.connect(ledger, timeout=30)) as connection, connection:
        connection.execute("UPDATE request SET requested_model = ?1, session = ?1", (HOSTILE,))
        connection.execute("UPDATE request SET finish_reason = ?1, reason = ?1", (HOSTILE,))


def browse(admin, token, modules, **how):
    PICTURES.mkdir(parents=True, exist_ok=True)
    given = {
        "name": "dashboard",
        **how,
        "admin": admin,
        "token": token,
        "web": str(modules.parent),
        "browser": program("chromium", "chromium-browser", "google-chrome"),
        "out": str(PICTURES),
    }
    script = Path(__file__).parent / "dashboard.mjs"
    command = [program("node"), str(script), json.dumps(given)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def replayed(it, told):
    """What the command says of the sample that the slider was at."""
    told_of = ("--route", "waterfall", "--sample", "200", "--seed", "0", "--threshold", "0.1")
    period = [f"--{name}=@{told[name]}" for name in ("since", "until")]
    command = [sys.executable, "-m", "gateway", "replay", "--ledger", "waterfall.db", "--json"]
    done = subprocess.run(
        [*command, *told_of, *period],
        capture_output=True,
        text=True,
        check=True,
        cwd=it.folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    return json.loads(done.stdout)


async def thresholds_seen(it):
    """What clients are told, each over a connection of its own: every worker answers some."""
    seen = []
    for _ in range(16):
        async with httpx.AsyncClient(base_url=it.url, timeout=60) as client:
            answer = await client.post(CHAT, json=ask_for())
            seen.append(answer.headers["x-waterfall-threshold"])
    return set(seen)


async def test_people_see_what_the_ledger_says(modules, tmp_path):
    found("prometheus")
    kept = {"tiers": ["small", "large"], "scorer": "rules", "threshold": {"target_quality": 0.98}}
    async with Process(tmp_path, config(server__workers=2, routes__kept=kept)) as it:
        await it.ready()
        async with watching(tmp_path, it) as prometheus:
            await prometheus.scraped(1)
            await send_traffic(it)
            assert await thresholds_seen(it) == {"0.8"}
            rows = await _recorded(it, 64 + 16)
            cost = sum(row["cost"] for row in rows)
            hour = datetime.now(tz=UTC).timestamp() // 3600

            async def scraped_all():
                ((_, value),) = await prometheus.query("sum(waterfall_cost_usd_total)")
                return value == pytest.approx(cost / 1e9, rel=1e-9)

            assert await prometheus.until(scraped_all)
            await asyncio.to_thread(make_hostile, it.folder / "waterfall.db")
            told = await asyncio.to_thread(browse, it.admin_url, it.token, modules)
        replay = await asyncio.to_thread(replayed, it, told["whatIf"])
        assert await thresholds_seen(it) == {"0.1"}
        it.signal()
        assert await it.ended() == 0
    _nothing_is_wrong(told)
    _figures_are_the_ledger_s(told, rows)
    assert ("The last is not over yet." in told["money"]) == (told["hour"] == hour)
    assert f"Of all {len(rows)} requests" in told["drawn"]
    spent = sum(float(spent.lstrip("$")) for _, spent in told["moneyTable"])
    assert spent == pytest.approx(cost / 1e9, rel=0.01), "an hour that has begun is not made whole"
    same = replay.keys() & told["whatIf"].keys() - {"requests"}
    assert {n: told["whatIf"][n] for n in same} == {n: replay[n] for n in same}
    shown = float(told["whatIfFigures"]["what-if-up"].removesuffix("\u00a0%"))
    assert shown == pytest.approx(replay["share_up"]["value"] * 100, abs=0.0501)
    assert "0.10" in told["done"]


async def _recorded(it, count):
    async with asyncio.timeout(30):
        while True:
            rows = await asyncio.to_thread(read.requests, it.folder / "waterfall.db")
            if len(rows) >= count:
                return rows
            await asyncio.sleep(0.1)


def test_a_demo_is_seen_whole(modules, tmp_path):
    """What `waterfall demo` leaves on, and where it says that it can be looked at."""
    log = tmp_path / "said"
    with log.open("wb") as file:
        child = subprocess.Popen(
            [sys.executable, "-m", "gateway", "demo", "--simulated"],
            stdout=file,
            stderr=subprocess.STDOUT,
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "200"},
        )
    try:
        place = re.compile(r"(http://\S+)/dashboard/#token=(\S+)")
        until = time.monotonic() + 200
        while not (where := place.search(log.read_text())):
            assert child.poll() is None, log.read_text()
            assert time.monotonic() < until, log.read_text()
            time.sleep(0.1)
        told = browse(*where.groups(), modules, name="demo", look=True)
        rows = read.requests(tmp_path / "waterfall-demo" / "waterfall.db")
    finally:
        child.send_signal(signal.SIGINT)
        child.wait(30)
    _all_is_there(told)
    _figures_are_the_ledger_s(told, rows)


def _nothing_is_wrong(told):
    _all_is_there(told)
    for name, seen in told["keyboard"].items():
        assert seen["reached"] == seen["wanted"] > 10, name
    assert "UTC" in told["reading"]
    assert "not the admin key" in told["sign"]
    assert told["strange"] == 200
    assert told["ladder"][0] == "small"
    assert "large" in told["ladder"]
    assert "id=" in told["link"]
    assert HOSTILE in told["explorer"]
    assert told["injected"] == 0
    assert "request_id" in told["csv"]
    light = told["sections"]["light"]
    assert light["quality"]["figures"]["floor"] == "\u22122.0 points", "98 % of 100 %"
    assert {"Upstreams", "Limits and budgets"} <= {*light["health"]["titles"]}


def _all_is_there(told):
    assert told["console"] == []
    assert told["foreign"] == []
    assert "not the admin key" in told["door"]
    assert "$" not in told["door"]
    for mode, sections in told["sections"].items():
        for name, seen in sections.items():
            assert seen["titles"], (mode, name)
            assert seen["faults"] == [], (mode, name)
            assert seen["charts"] > 0 or name == "explorer" or seen["empty"], (mode, name)
            assert seen["wide"] == (320 if mode == "narrow" else 1280), (mode, name)
    grounds = {
        mode: {seen["background"] for seen in each.values()}
        for mode, each in told["sections"].items()
    }
    assert grounds["light"] != grounds["dark"]


def _figures_are_the_ledger_s(told, rows):
    figures = told["sections"]["light"]["money"]["figures"]
    sums = {
        "actual": sum(row["cost"] + row["shadow_cost"] for row in rows),
        "baseline": sum(row["baseline_cost"] for row in rows),
    }
    sums["saved"] = abs(sums["baseline"] - sums["actual"])
    for name, nano in sums.items():
        assert figures[name] == f"${nano // 10**9:,}.{nano % 10**9:09d}", name
    assert figures["requests"] == str(len(rows))
    escalated = sum(row["escalated"] for row in rows)
    routing = told["sections"]["light"]["routing"]["figures"]
    shown = float(routing["escalation-rate"].removesuffix("\u00a0%"))
    assert shown == pytest.approx(escalated / len(rows) * 100, abs=0.0501)
