"""Requests turned away before there is a plan: answered, logged, counted, and nothing more."""

from __future__ import annotations

import asyncio
import json

import pytest
from api.serving import ask_for, house

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def logged(folder, count):
    for _ in range(100):
        lines = [json.loads(line) for line in (folder / "requests.log").read_text().splitlines()]
        if len(lines) >= count:
            return lines
        await asyncio.sleep(0.05)
    raise AssertionError(lines)


async def test_each_leaves_one_line_and_is_counted(tmp_path):
    secret = "canary-prompt-text"
    async with house(tmp_path) as it:
        await it.post(ask_for("no-such-model"), x_request_id="mine-1")
        await it.post({"model": "waterfall", "messages": secret})
        await it.get("/nowhere")
        await it.post(ask_for(), host="evil.example")
        lines = await logged(tmp_path, 4)
        page = (await it.get("/metrics")).body.decode()
        assert not it.entries()
    assert [(line["status"], line["outcome"], line["reason"]) for line in lines] == [
        (404, "refused", "model_not_found"),
        (400, "refused", "invalid_request_error"),
        (404, "refused", "not_found"),
        (400, "refused", "host_not_allowed"),
    ]
    assert lines[0]["request_id"] == "mine-1"
    assert secret not in (tmp_path / "requests.log").read_text()
    refused = 'requests_total{outcome="client_error",route="other",tier="none"} 4.0'
    assert f"waterfall_{refused}" in page


async def test_the_human_form_has_them_too(tmp_path):
    async with house(tmp_path, server__log="human") as it:
        await it.post(ask_for("no-such-model"), x_request_id="mine-2")
        for _ in range(100):
            told = (tmp_path / "requests.log").read_text()
            if told:
                break
            await asyncio.sleep(0.05)
    assert told.endswith("404 refused model_not_found mine-2\n")
