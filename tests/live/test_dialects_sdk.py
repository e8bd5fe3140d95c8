"""The official SDKs of other dialects than the chat, in front of a gateway as it is really served;
one of its tiers speaks OpenAI's chat, the other Anthropic's Messages."""

from __future__ import annotations

import asyncio
import hashlib
import json
from pathlib import Path

import pytest
from api.serving import config
from app.serving import Process
from live.environments import LIMIT, python_with
from live.test_openai_sdk import UPSTREAM_KEY, simulated

from gateway.store import read

KEY = "sk-client-of-this-test"
HERE = Path(__file__).parent
ALONE = {"retries": "off", "breaker": "off"}

pytestmark = [pytest.mark.live, pytest.mark.timeout(600)]


@pytest.mark.parametrize(
    ("package", "cases", "suffix", "apis"),
    [
        ("anthropic", "anthropic_cases.py", "", {"messages"}),
        ("openai", "responses_cases.py", "/v1", {"responses", "completions"}),
    ],
)
async def test_the_sdk_works_unchanged(tmp_path, package, cases, suffix, apis):
    python = python_with(package)
    key = {"name": "sdk", "hash": f"sha256:{hashlib.sha256(KEY.encode()).hexdigest()}"}
    async with simulated() as (upstreams, _):
        url = upstreams["one"]["base_url"]
        claude = {"kind": "anthropic", "base_url": url, "api_key": UPSTREAM_KEY, **ALONE}
        document = config(
            upstreams={"one": {**upstreams["one"], **ALONE}, "two": claude},
            keys=[{**key, "allow": ["tier"]}],
        )
        document["tiers"]["small"]["upstream"] = "one"
        document["tiers"]["large"]["upstream"] = "two"
        async with Process(tmp_path, document) as gateway:
            await gateway.ready()
            child = await asyncio.create_subprocess_exec(
                *(python, HERE / cases, f"{gateway.url}{suffix}", KEY),
                stdout=asyncio.subprocess.PIPE,
                cwd=tmp_path,
            )
            told, _ = await asyncio.wait_for(child.communicate(), LIMIT)
            gateway.signal()
            assert await gateway.ended() == 0
    assert child.returncode == 0
    report = json.loads(told)
    failed = {name: what for name, what in report["cases"].items() if what != "ok"}
    print(f"{package} {report['version']}: {len(report['cases'])} cases")  # noqa: T201
    assert not failed, "\n".join(f"{name}:\n{what}" for name, what in failed.items())
    assert len(report["cases"]) >= 10
    assert "Traceback" not in gateway.stderr
    entries = read.requests(tmp_path / "waterfall.db")
    assert {entry["api"] for entry in entries} == apis
