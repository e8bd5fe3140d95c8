"""From settings to an upstream, and whether one can be reached: odd names are told, not raised."""

from __future__ import annotations

import asyncio
import socket
import time
from dataclasses import replace

import pytest
from upstreams.asking import REPLY, ask
from upstreams.proxying import Proxy
from upstreams.scripted import Scripted, free_port, whole

from gateway.config import SimulatedSettings, Timeouts, UpstreamSettings
from gateway.core.errors import UpstreamTimeout
from gateway.core.plan import Tier
from gateway.core.ports import UpstreamCall
from gateway.upstreams.opening import UpstreamUnusable, open_upstream
from gateway.upstreams.passing import PassingClient
from gateway.upstreams.probe import Readiness, any_reachable

TIER = Tier(name="small", upstream="sim", model="m")


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
    with socket.create_server(("127.0.0.1", 0)) as there:
        port = there.getsockname()[1]
        assert await any_reachable(["http://a..b/v1", f"http://127.0.0.1:{port}/v1"])


def call_of(number):
    body = {"model": "m", "messages": [{"role": "user", "content": f"Say {number}."}]}
    return UpstreamCall("id", TIER, body, stream=False, on_sent=lambda: None)


async def test_a_simulated_reply_is_as_long_as_its_bounds_say():
    pretended = SimulatedSettings(first_token=0, per_token=0, tokens=(30, 34))
    upstream = open_upstream(UpstreamSettings("sim", "simulated", simulated=pretended))
    lengths = []

    async def receive(delta):
        _, _, told = delta.pieces[0].text.partition(", ")  # behind its opening
        lengths.append(len(told.split()))
        return True

    for number in range(60):
        await upstream.call(call_of(number), receive)
    assert len(lengths) == 60
    assert 30 <= min(lengths) < max(lengths) <= 34


async def test_a_simulated_reply_takes_no_longer_than_in_all():
    settings = UpstreamSettings(
        "sim",
        "simulated",
        timeouts=Timeouts(total=0.05),
        simulated=SimulatedSettings(first_token=10),
    )

    async def receive(delta):
        raise AssertionError(delta)

    with pytest.raises(UpstreamTimeout, match=r"too slow \(total\)"):
        await open_upstream(settings).call(call_of(1), receive)


def test_kind_litellm_says_what_it_takes(monkeypatch):
    monkeypatch.setattr("gateway.upstreams.opening.is_there", lambda: False)
    with pytest.raises(UpstreamUnusable, match=r"pip install 'waterfall-gateway\[providers\]'"):
        open_upstream(UpstreamSettings("far", "litellm"))


def test_http2_without_its_library_is_unusable_and_says_what_to_install(monkeypatch):
    settings = UpstreamSettings("far", "openai", "https://h/v1", http2=True)
    assert open_upstream(settings).name == "far"
    monkeypatch.setattr("gateway.upstreams.through_httpx.find_spec", lambda _: None)
    with pytest.raises(UpstreamUnusable, match=r"waterfall-gateway\[http2\]"):
        open_upstream(settings)


async def test_what_is_behind_a_proxy_is_ready_when_the_proxy_is():
    with socket.create_server(("127.0.0.1", 0)) as there:
        proxy = f"http://127.0.0.1:{there.getsockname()[1]}"
        url = f"http://127.0.0.1:{free_port()}/v1"
        behind = UpstreamSettings("far", "openai", url, proxy=proxy)
        assert await Readiness([behind], time.monotonic).check()
        assert not await Readiness([replace(behind, proxy=None)], time.monotonic).check()


async def test_settings_lead_through_the_proxy_what_is_asked_and_what_is_passed():
    async with Scripted(whole(REPLY)) as server, Proxy(auth=True) as proxy:
        settings = UpstreamSettings("far", "openai", server.url, proxy=proxy.url())
        upstream, passing = open_upstream(settings), PassingClient(settings, 5.0)
        heard = await ask(upstream)
        async with passing.send("GET", "/files", {}, None) as reply:
            assert b"".join([block async for block in passing.blocks(reply)]) == REPLY
        await asyncio.gather(upstream.aclose(), passing.aclose())
    assert (heard.error, heard.text) == (None, "ab")
    assert [head.split(b" ")[1] for head in proxy.heads] == [
        f"{server.url}{path}".encode() for path in ("/chat/completions", "/files")
    ]


async def test_a_proxy_that_the_environment_names_is_not_asked(monkeypatch):
    """Where prompts go is in the configuration, and nowhere else."""
    async with Scripted(whole(REPLY)) as server, Proxy() as proxy:
        for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "all_proxy"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
        settings = UpstreamSettings("far", "openai", server.url)
        upstream, passing = open_upstream(settings), PassingClient(settings, 5.0)
        assert (await ask(upstream)).error is None
        async with passing.send("GET", "/files", {}, None) as reply:
            assert reply.status_code == 200
        await asyncio.gather(upstream.aclose(), passing.aclose())
        assert proxy.accepted == 0
