"""Strict scanners of OpenAI's chat, its older completions, its Responses and Anthropic's Messages
find nothing through the gateway that the upstream does not commit itself, on any wire."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
from api.serving import ALONE, config
from app.serving import Process
from live.environments import LIMIT, python_with
from live.test_openai_sdk import UPSTREAM_KEY, llama, simulated

CASES = Path(__file__).with_name("schema_cases.py")
PATHS = ["/chat/completions", "/completions", "/responses", "/messages"]
SPOKEN = {"simulated": [PATHS[0], *PATHS[2:]], "llama": PATHS}
"""What each backend speaks itself."""
OPENAI_S_OWN = {"/completions: choices.*.finish_reason: literal_error"}
"""A stream of completions has null there until it ends, whatever the SDK's types say."""
PRICE = {"input": 1, "output": 2}

pytestmark = [pytest.mark.live, pytest.mark.timeout(600)]


@pytest.mark.parametrize("backend", [simulated, llama], ids=lambda each: each.__name__)
async def test_no_violation_that_the_upstream_does_not_commit(tmp_path, backend):
    python = python_with("openai", "anthropic", "httpx")
    async with backend() as (upstreams, (_, large)):
        own = {**upstreams[large], **ALONE}
        document = config(upstreams={"chat": own, "messages": {**own, "kind": "anthropic"}})
        tiers = {
            "chat": {"upstream": "chat", "model": "l-model", "price": PRICE},
            "responses": {"upstream": "chat", "wire": "responses"},
            "messages": {"upstream": "messages"},
        }
        document["tiers"] = {name: {**tiers["chat"], **each} for name, each in tiers.items()}
        document["routes"]["waterfall"]["tiers"] = list(tiers)
        async with Process(tmp_path, document) as gateway:
            await gateway.ready()
            asked = {
                "direct": [own["base_url"], UPSTREAM_KEY, {"l-model": SPOKEN[backend.__name__]}],
                "through": [f"{gateway.url}/v1", "sk-any", dict.fromkeys(tiers, PATHS)],
            }
            child = await asyncio.create_subprocess_exec(
                *(python, CASES, json.dumps(asked)), stdout=asyncio.subprocess.PIPE, cwd=tmp_path
            )
            told, _ = await asyncio.wait_for(child.communicate(), LIMIT)
    assert child.returncode == 0
    report = json.loads(told)
    direct = report.pop("direct l-model")
    excused = OPENAI_S_OWN | {each for _, wrong in direct.values() for each in wrong}
    seen = sum(count for paths in report.values() for count, _ in paths.values())
    found = {
        model: {each for _, wrong in paths.values() for each in wrong} - excused
        for model, paths in report.items()
    }
    print(f"{backend.__name__}: {seen} objects, excused {sorted(excused)}")  # noqa: T201
    assert seen > 200
    assert {model: wrong for model, wrong in found.items() if wrong} == {}
