"""The official SDK, the newest there is, in front of a gateway as it is really served."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import sys
from pathlib import Path

import pytest
from api.serving import config
from app.serving import Process
from live.environments import python_with

from gateway.demo.llama import serve_model
from gateway.store import read

ROOT = Path(__file__).resolve().parents[2]
MODELS = ROOT / "router_models" / "artefacts" / "demo"
KEY, UPSTREAM_KEY = "sk-client-of-this-test", "sk-upstream-of-this-test"
LIMIT = 240.0  # seconds: a ceiling for hangs; the models are real and the machine may be busy

pytestmark = [pytest.mark.live, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def python():
    """The Python of an environment that has the SDK and nothing of ours."""
    return python_with("openai")


@contextlib.asynccontextmanager
async def simulated():
    """The simulated provider as a process; yields the upstreams of a configuration."""
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "gateway.upstreams.simulated", "--key", UPSTREAM_KEY),
        *("--per-token", "0.002"),
        stdout=asyncio.subprocess.PIPE,
        cwd=ROOT,
    )
    try:
        line = (await asyncio.wait_for(child.stdout.readline(), LIMIT)).decode()
        url = f"{line.split()[1]}/v1"
        one = {"base_url": url, "api_key": UPSTREAM_KEY, "retries": "off", "breaker": "off"}
        yield {"one": one}, ("one", "one")
    finally:
        child.terminate()
        await child.wait()


@contextlib.asynccontextmanager
async def llama():
    """Two llama.cpp servers of the demo's models."""
    pytest.importorskip("xllamacpp")
    for name in ("small", "large"):
        if not (MODELS / f"{name}.gguf").is_file():
            pytest.skip(f"the demo's {name} model is not there")
    async with (
        serve_model(MODELS / "small.gguf", "s-model", UPSTREAM_KEY) as small,
        serve_model(MODELS / "large.gguf", "l-model", UPSTREAM_KEY) as large,
    ):
        urls = {"one": small, "two": large}
        upstreams = {name: {"base_url": url, "api_key": UPSTREAM_KEY} for name, url in urls.items()}
        yield upstreams, ("one", "two")


@pytest.mark.parametrize("backend", [simulated, llama], ids=lambda backend: backend.__name__)
async def test_the_sdk_works_unchanged(tmp_path, python, backend):
    key = {
        "name": "sdk",
        "hash": f"sha256:{hashlib.sha256(KEY.encode()).hexdigest()}",
        "allow": ["tier"],
    }
    async with backend() as (upstreams, (small, large)):
        document = config(upstreams=upstreams, keys=[key])
        document["tiers"]["small"] |= {
            "upstream": small,
            "bar": {"accept": 0.5, "checks": ["shape", "refusal", "format", "tools", "logprob"]},
        }
        document["tiers"]["large"]["upstream"] = large
        async with Process(tmp_path, document) as gateway:
            await gateway.ready()
            child = await asyncio.create_subprocess_exec(
                *(python, Path(__file__).with_name("sdk_cases.py")),
                *(f"{gateway.url}/v1", KEY, backend.__name__),
                stdout=asyncio.subprocess.PIPE,
                cwd=tmp_path,
            )
            told, _ = await asyncio.wait_for(child.communicate(), LIMIT)
            gateway.signal()
            assert await gateway.ended() == 0
    assert child.returncode == 0
    report = json.loads(told)
    failed = {name: what for name, what in report["cases"].items() if what != "ok"}
    print(f"openai {report['openai']}: {len(report['cases'])} cases")  # noqa: T201
    assert not failed, "\n".join(f"{name}:\n{what}" for name, what in failed.items())
    assert len(report["cases"]) >= 20
    assert "Traceback" not in gateway.stderr
    entries = read.requests(tmp_path / "waterfall.db")
    assert {entry["key"] for entry in entries} == {"sdk"}
    if backend is simulated:  # the real ones are done before anyone could leave
        left = [entry for entry in entries if entry["outcome"] == "cancelled"]
        assert {entry["status"] for entry in left} == {499}
