"""From settings to an upstream, and whether one can be reached: odd names are told, not raised."""

from __future__ import annotations

import asyncio

import pytest

from gateway.config import UpstreamSettings
from gateway.upstreams.opening import UpstreamUnusable, open_upstream
from gateway.upstreams.probe import any_reachable


@pytest.mark.parametrize(
    "settings",
    [
        UpstreamSettings("odd", "openai", "http://ex*mple/v1"),
        UpstreamSettings("odd", "openai", "http://h/v1", api_key="two words"),
    ],
)
def test_what_cannot_be_an_upstream_is_unusable_and_named(settings):
    with pytest.raises(UpstreamUnusable, match="Upstream odd: ") as caught:
        open_upstream(settings)
    assert "two words" not in str(caught.value)


@pytest.mark.parametrize("fault", [UnicodeError, OSError, TimeoutError])
async def test_what_cannot_be_reached_hides_nothing_that_can(monkeypatch, fault):
    """A name that no DNS would know is a UnicodeError, of the standard library's making."""
    real = asyncio.open_connection

    async def connect(host, port):
        if host != "127.0.0.1":
            raise fault("label empty or too long")
        return await real(host, port)

    monkeypatch.setattr(asyncio, "open_connection", connect)
    assert not await any_reachable(["http://a..b/v1"])
    server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server:
        assert await any_reachable(["http://a..b/v1", f"http://127.0.0.1:{port}/v1"])
