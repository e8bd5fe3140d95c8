"""What a request leaves behind: nothing that only the collector would find."""

from __future__ import annotations

import asyncio
import gc
from collections import Counter

import httpx
import pytest
from api.serving import CHAT, LIMIT, ask_for, config
from app.serving import listening

from gateway.upstreams.simulated import Behaviour, serve_simulated

TIMES = 10


def _ours():
    """Collect, and count what was found of the gateway's, and of its parser for upstreams."""
    gc.collect()
    kinds = [type(found) for found in gc.garbage]
    gc.garbage.clear()
    return Counter(
        each.__qualname__
        for each in kinds
        if each.__module__.split(".")[0] in {"gateway", "httptools"}
    )


@pytest.mark.parametrize("stream", [False, True])
async def test_nothing_of_a_request_waits_for_the_collector(tmp_path, stream):
    async with (
        serve_simulated(Behaviour()) as server,
        listening(tmp_path, config(upstreams={"sim": {"base_url": f"{server.url}/v1"}})) as served,
        httpx.AsyncClient(base_url=served.base_url.removesuffix("/v1"), timeout=LIMIT) as client,
    ):

        async def ask():
            answer = await client.post(CHAT, json=ask_for(stream=stream))
            assert answer.status_code == 200, answer.text
            assert answer.content

        await ask()
        await served.gateway.switch.service.in_flight.idle()
        gc.collect()
        gc.disable()
        gc.set_debug(gc.DEBUG_SAVEALL)
        try:
            _ours()
            for _ in range(TIMES):
                await ask()
            await served.gateway.switch.service.in_flight.idle()
            await asyncio.sleep(0)
            found = _ours()
        finally:
            gc.set_debug(0)
            gc.enable()
    assert {name: times for name, times in found.items() if times >= TIMES} == {}
