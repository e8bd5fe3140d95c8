"""Every query of Grafana's dashboards finds data in a real Prometheus; each is of its schema."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import subprocess
from pathlib import Path

import httpx
import jsonschema
import pytest
from api.serving import CHAT, REFUSES, ask_for, config
from app.serving import Process
from deploy.test_grafana import FILES, panels
from live.prometheus import found, watching

pytestmark = [pytest.mark.live, pytest.mark.timeout(400)]
TOOLS = Path(__file__).parent / "schemas"
SUBSTITUTES = {"$route": ".*", "$tier": ".*", "$__range": "5m", "$__rate_interval": "30s"}


def queries():
    return [
        (f"{path.stem}: {panel['title']}", _filled_in(target["expr"]))
        for path in FILES
        for panel in panels(path)
        for target in panel["targets"]
    ]


def _filled_in(expression):
    for name, value in SUBSTITUTES.items():
        expression = expression.replace(name, value)
    assert "$" not in expression
    return expression


async def traffic(it, seconds):
    """Requests of all kinds, for so many seconds."""
    kinds = [
        {"simulate": {"s-model": "reset"}},
        REFUSES,
        {"stream": True},
        {"model": "live"},
        {},
    ]
    end = asyncio.get_running_loop().time() + seconds
    async with httpx.AsyncClient(base_url=it.url, timeout=60) as client:

        async def some(fields):
            while asyncio.get_running_loop().time() < end:
                answer = await client.post(CHAT, json=ask_for(**fields))
                assert answer.status_code == 200, answer.text
                await asyncio.sleep(0.05)

        await asyncio.gather(*(some(fields) for fields in kinds))


async def test_every_panel_finds_data(tmp_path):
    found("prometheus")
    live = {"tiers": ["small", "large"], "scorer": "rules", "threshold": {"target_share": 0.2}}
    async with Process(tmp_path, config(server__workers=2, routes__live=live)) as it:
        await it.ready()
        async with watching(tmp_path, it) as prometheus:
            await prometheus.scraped(1)
            headers = {"authorization": f"Bearer {it.token}"}
            async with httpx.AsyncClient(base_url=it.admin_url, headers=headers) as admin:
                assert (await admin.post("/admin/reload")).status_code == 200
            await traffic(it, 12)
            lacking = {}
            for name, expression in queries():

                async def numbers(expression=expression):
                    return [v for _, v in await prometheus.query(expression) if v == v]  # noqa: PLR0124

                try:
                    async with asyncio.timeout(15):
                        assert await prometheus.until(numbers)
                except TimeoutError:
                    lacking[name] = expression
        it.signal()
        assert await it.ended() == 0
    assert lacking == {}


def test_each_is_of_grafana_s_own_schema(tmp_path):
    """The schema is made of Grafana's published types."""
    npm, node = shutil.which("npm"), shutil.which("node")
    if npm is None or node is None:
        pytest.skip("npm is not installed (Debian: apt-get install nodejs npm)")
    if not (TOOLS / "node_modules" / "@grafana").exists():
        subprocess.run([npm, "ci", "--silent"], cwd=TOOLS, check=True, timeout=300)
    done = subprocess.run(
        [node, "grafana.mjs"], cwd=TOOLS, check=True, capture_output=True, text=True, timeout=120
    )
    schema = jsonschema.Draft7Validator(json.loads(done.stdout))
    for path in FILES:
        document = json.loads(path.read_text())
        problems = [
            f"{list(e.absolute_path)}: {e.message[:200]}" for e in schema.iter_errors(document)
        ]
        assert problems == [], path.name
    broken = json.loads(re.sub(r'"h": \d+', '"h": "tall"', FILES[0].read_text()))
    assert not schema.is_valid(broken)
