"""Every kind of upstream, on every wire, keeps the same contract and says the same of the same;
litellm does in tests/live/test_litellm_kind.py."""

from __future__ import annotations

import asyncio
from typing import get_args, get_type_hints

import pytest
from upstreams.contract import KEY, Kind, keep
from upstreams.proxying import Proxy

from gateway.config.settings import UpstreamSettings
from gateway.upstreams.simulated import Behaviour, serve_simulated

KINDS = {
    "openai": Kind("openai"),
    "openai, in Responses": Kind("openai", "responses"),
    "anthropic": Kind("anthropic", "messages", key_header="x-api-key"),
    "simulated": Kind("simulated"),
}


@pytest.fixture(scope="module")
def told():
    """What kind openai says in its own chat: the one that the others are held to."""

    async def of_chat():
        async with serve_simulated(Behaviour(), key=KEY) as server:
            return await keep(KINDS["openai"], server)

    return asyncio.run(of_chat())


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
async def test_a_kind_keeps_the_contract(kind, told):
    async with serve_simulated(Behaviour(), key=KEY) as server:
        kept = await keep(kind, server)
        assert kept == {name: value for name, value in told.items() if name in kept}
        async with asyncio.timeout(5):
            while server.open_connections:  # noqa: ASYNC110 (whoever leaves closes its connection)
                await asyncio.sleep(0.01)


async def test_through_a_proxy_it_is_the_same(told):
    async with serve_simulated(Behaviour(), key=KEY) as server, Proxy(auth=True) as proxy:
        assert await keep(Kind("openai", proxy=proxy.url()), server) == told
        assert len(proxy.heads) > 20


def test_no_kind_is_left_out():
    kinds = get_args(get_type_hints(UpstreamSettings)["kind"])
    assert {kind.kind for kind in KINDS.values()} | {"litellm"} == set(kinds)
