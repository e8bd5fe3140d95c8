"""What `check --online` and `doctor` say of an upstream that stands behind a proxy."""

from __future__ import annotations

import asyncio

import pytest
from upstreams.proxying import Proxy
from upstreams.scripted import Scripted, free_port, whole

from gateway.cli.callings import _reached
from gateway.cli.online import _ask
from gateway.config import UpstreamSettings

MODELS = whole(b'{"data":[{"id":"m"}]}', date="Thu, 01 Jan 2026 00:00:00 GMT")


def asked(settings):
    return asyncio.to_thread(lambda: (_ask(settings, {"m"}), list(_reached(settings))))


async def test_an_upstream_is_looked_at_through_its_proxy():
    async with Scripted(MODELS) as server, Proxy(auth=True) as proxy:
        found, findings = await asked(
            UpstreamSettings("far", "openai", server.url, proxy=proxy.url())
        )
        assert len(proxy.heads) == len(server.requests) == 2
    assert (found.ok, found.told) == (True, "reached, and has its models")
    assert [each.about for each in findings] == ["upstream far, clock"]


@pytest.mark.parametrize("url", ["http://127.0.0.1:9/v1", "https://127.0.0.1:9/v1"])
async def test_a_proxy_that_refuses_is_named_with_its_status(url):
    async with Proxy(auth=True) as proxy:
        way = f"http://localhost:{proxy.port}"
        found, findings = await asked(UpstreamSettings("far", "openai", url, proxy=way))
    assert (found.ok, found.told) == (False, "its proxy does not let us through (407)")
    (finding,) = findings
    assert (finding.grade, finding.told[-5:]) == ("fail", "(407)")
    assert finding.cure == "mend user and password in upstreams.far.proxy"


async def test_a_proxy_that_is_not_there_is_what_is_to_be_mended():
    way = f"http://localhost:{free_port()}"
    found, (finding,) = await asked(
        UpstreamSettings("far", "openai", "https://127.0.0.1:9/v1", proxy=way)
    )
    assert found.told == "not reached: ConnectError"
    assert "no connection to localhost:" in finding.told
