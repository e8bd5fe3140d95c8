"""The official SDKs of other dialects than the chat, in front of a gateway as it is really served;
one of its tiers is asked in OpenAI's chat, the other in Anthropic's Messages, which llama.cpp's
server speaks too."""

from __future__ import annotations

import asyncio
import hashlib
import json
from pathlib import Path

import pytest
from api.serving import config
from app.serving import Process
from live.environments import LIMIT, python_with
from live.test_openai_sdk import UPSTREAM_KEY, llama, simulated

from gateway.store import read

KEY = "sk-client-of-this-test"
HERE = Path(__file__).parent
ALONE = {"retries": "off", "breaker": "off"}

pytestmark = [pytest.mark.live, pytest.mark.timeout(600)]


@pytest.mark.parametrize("backend", [simulated, llama], ids=lambda backend: backend.__name__)
@pytest.mark.parametrize(
    ("package", "cases", "suffix", "apis"),
    [
        ("anthropic", "anthropic_cases.py", "", {"messages"}),
        ("openai", "responses_cases.py", "/v1", {"responses", "completions"}),
    ],
)
async def test_the_sdk_works_unchanged(tmp_path, package, cases, suffix, apis, backend):
    python = python_with(package)
    key = {"name": "sdk", "hash": f"sha256:{hashlib.sha256(KEY.encode()).hexdigest()}"}
    async with backend() as (upstreams, (small, large)):
        url = upstreams[large]["base_url"]
        claude = {"kind": "anthropic", "base_url": url, "api_key": UPSTREAM_KEY, **ALONE}
        document = config(
            upstreams={"chat": {**upstreams[small], **ALONE}, "messages": claude},
            keys=[{**key, "allow": ["tier"]}],
        )
        document["tiers"]["small"]["upstream"] = "chat"
        document["tiers"]["large"]["upstream"] = "messages"
        async with Process(tmp_path, document) as gateway:
            await gateway.ready()
            child = await asyncio.create_subprocess_exec(
                *(python, HERE / cases, f"{gateway.url}{suffix}", KEY, backend.__name__),
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
    assert len(report["cases"]) >= 9
    assert "Traceback" not in gateway.stderr
    entries = read.requests(tmp_path / "waterfall.db")
    assert {entry["api"] for entry in entries} == apis
