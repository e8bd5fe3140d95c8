"""The rules on a real Prometheus: figures have data, alerts are quiet when all is well, and those
that a minute can cause are caused."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess

import httpx
import psutil
import pytest
from api.serving import CHAT, REFUSES, ask_for, config
from app.serving import ROOT, Process
from deploy.alerting import FOLDER, RULES, TESTS, alerts, recorded
from live.prometheus import LIMIT, found, free_port, sooner, watching
from live.test_prometheus_changes import CAUSED as BY_CHANGES
from live.test_prometheus_faults import CAUSED as BY_FAULTS

pytestmark = [pytest.mark.live, pytest.mark.timeout(600)]

# Those that speak of the machine's speed: a busy one may well cause them.
OF_THE_MACHINE = {
    "WaterfallOverheadFastBurn",
    "WaterfallOverheadSlowBurn",
    "WaterfallFirstTokenFastBurn",
    "WaterfallFirstTokenSlowBurn",
    "WaterfallLoopBlocked",
}
FAILING = {"kind": "simulated", "first_token": 0, "per_token": 0, "error_rate": 1}
FUNCTIONS = """
def score(messages):
    raise RuntimeError("it always fails")


def check(messages, reply):
    raise RuntimeError("it always fails")
"""


def promtool(*arguments):
    command = [found("promtool"), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=FOLDER)
    assert done.returncode == 0, done.stdout + done.stderr


def test_promtool_takes_the_rules(tmp_path):
    promtool("check", "rules", RULES.name)
    (tmp_path / "sooner.yml").write_text(sooner(RULES.read_text()))
    promtool("check", "rules", str(tmp_path / "sooner.yml"))


def test_promtool_shows_every_alert_firing_and_quiet():
    promtool("test", "rules", TESTS.name)


async def send(it, count, **fields):
    """Ask so many times, eight beside each other; return the answers' statuses."""
    numbers = iter(range(count))
    async with httpx.AsyncClient(base_url=it.url, timeout=LIMIT) as client:

        async def some():
            return [(await client.post(CHAT, json=ask_for(**fields))).status_code for _ in numbers]

        rows = await asyncio.gather(*(some() for _ in range(8)))
    return [code for row in rows for code in row]


async def test_a_healthy_run_has_every_figure_and_no_alert(tmp_path):
    found("prometheus")
    async with Process(tmp_path, config(server__workers=2)) as it:
        await it.ready()
        async with watching(tmp_path, it) as prometheus:
            await prometheus.scraped(1)
            for _ in range(3):
                assert set(await send(it, 40)) == {200}
                assert set(await send(it, 20, stream=True)) == {200}
                assert set(await send(it, 6, **REFUSES)) == {200}
                await asyncio.sleep(1)
            for rule in recorded():

                async def has_data(name=rule["record"]):
                    return await prometheus.query(name)

                assert await prometheus.until(has_data), rule["record"]
            for rule in (*recorded(), *alerts()):
                await prometheus.query(rule["expr"])
            saving = await prometheus.query('waterfall:saving:ratio1h{route="waterfall"}')
            assert [0.1 < value < 1 for _, value in saving] == [True]
            ((_, deferred),) = await prometheus.query("waterfall:deferral:ratio6h")
            assert deferred == pytest.approx(18 / 198, abs=0.02)
            assert await prometheus.broken() == []
            assert await prometheus.firing() <= OF_THE_MACHINE
        it.signal()
        assert await it.ended() == 0


def troubled(folder):
    """A configuration with a route for each trouble."""
    (folder / "failing.py").write_text(FUNCTIONS)
    (folder / "prices.yaml").write_text(
        "effective: 2020-01-01\nmodels: {old: {input: 1, output: 1}}\n"
    )
    tiers = {
        "dear": {"upstream": "sim", "model": "dear", "price": {"input": 1_500, "output": 1_500}},
        "cheap": {"upstream": "sim", "model": "cheap", "price": {"input": 1_000, "output": 1_000}},
        "down": {"upstream": "bad", "model": "down", "price": {"input": 1, "output": 1}},
        "ill": {"upstream": "ill", "model": "ill", "price": {"input": 1, "output": 1}},
        "old": {"upstream": "sim", "model": "old"},
        "checked": {
            "upstream": "sim",
            "model": "checked",
            "price": {"input": 1, "output": 1},
            "bar": {"checks": ["shape", "mine"]},
        },
    }
    routes = {
        "lossy": {"tiers": ["dear", "cheap"], "scorer": "rules"},
        "broken": {"tiers": ["down"]},
        "tripped": {"tiers": ["ill"]},
        "unsure": {"tiers": ["small", "large"], "scorer": {"python": "failing.score"}},
        "asking": {"tiers": ["checked", "large"], "scorer": "rules"},
    }
    document = config(
        server__workers=2,
        prices={"file": "prices.yaml"},
        checks={"mine": {"kind": "python", "call": "failing:check"}},
        upstreams__bad={**FAILING, "breaker": "off"},
        upstreams__ill={**FAILING, "retries": "off"},
    )
    document["tiers"] |= tiers
    document["routes"] |= routes
    return document


def missed():
    """A configuration whose collector is not there."""
    nowhere = {"endpoint": f"http://127.0.0.1:{free_port()}", "sample": 1}
    return config(telemetry={"otlp": nowhere})


async def make_trouble(it, other):
    """Cause all that can be caused from outside."""
    late = {"stream": True, "simulate": "slow_first,seconds=3"}
    await asyncio.gather(
        send(it, 120, model="lossy", simulate={"dear": "refusal"}),
        send(it, 120, model="broken"),
        send(it, 40, model="tripped"),
        send(it, 520),
        send(it, 40, model="unsure"),
        send(it, 40, model="asking"),
        send(it, 16, model="small", **late),
        send(it, 60, model="small", simulate="no_usage"),
    )
    await send(other, 8)
    headers = {"authorization": f"Bearer {other.token}"}
    async with httpx.AsyncClient(base_url=other.admin_url, headers=headers) as client:
        changed = {"route": "waterfall", "threshold": 0.1}
        assert (await client.put("/admin/threshold", json=changed)).status_code == 200
        other.path.write_text("routes: {}\n")
        assert (await client.post("/admin/reload")).status_code == 400
    for _ in range(4):
        other.signal(signal.SIGSTOP)
        await asyncio.sleep(0.8)
        other.signal(signal.SIGCONT)
        await asyncio.sleep(0.2)


async def keep_ending(it, prometheus):
    """End workers until the alert is raised."""

    async def fires():
        for worker in psutil.Process(it.child.pid).children():
            worker.kill()
        await asyncio.sleep(1)
        return "WaterfallWorkersKeepEnding" in await prometheus.firing()

    await prometheus.until(fires)


async def test_what_can_be_caused_is_and_each_alert_fires(tmp_path):
    found("prometheus")
    folders = [tmp_path / name for name in ("troubled", "other")]
    for folder in folders:
        folder.mkdir()
    path = os.pathsep.join((str(ROOT), str(folders[0])))
    async with (
        Process(folders[0], troubled(folders[0]), PYTHONPATH=path) as it,
        Process(folders[1], missed()) as other,
    ):
        await asyncio.gather(it.ready(), other.ready())
        async with watching(tmp_path, it, other) as prometheus:
            await prometheus.scraped(2)
            await make_trouble(it, other)
            missing = {rule["alert"] for rule in alerts()} - BY_FAULTS - BY_CHANGES
            missing -= {"WaterfallWorkersKeepEnding", "WaterfallAbsent"}

            async def all_fire():
                missing.difference_update(await prometheus.firing())
                return not missing

            missing.discard("WaterfallWorkerEnded")
            try:
                await prometheus.until(all_fire)
            except TimeoutError:
                pytest.fail(f"did not fire: {sorted(missing)}")
            await keep_ending(it, prometheus)
            assert "WaterfallWorkerEnded" in await prometheus.firing()
            for each in (it, other):
                each.signal()
                await each.ended()

            async def absent():
                return "WaterfallAbsent" in await prometheus.firing()

            await prometheus.until(absent)
            assert await prometheus.broken() == []
