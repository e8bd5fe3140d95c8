"""When the adapter closes an upstream's connection, and when it keeps it."""

from __future__ import annotations

import asyncio
import gc

import pytest
from upstreams.asking import (
    AFTER_TWO,
    BODY,
    DONE,
    END,
    REPLY,
    TIER,
    Heard,
    adapter,
    answer,
    ask,
    said,
)
from upstreams.scripted import LIMIT, Scripted, chunk, events, head, stream_head, streamed, whole

from gateway.core.ports import UpstreamCall


@pytest.fixture(autouse=True, scope="module")
def _nothing_left_behind():
    yield
    gc.collect()  # a transport left behind warns here, and warnings are errors


# ------------------------------------------------------------------ connections


async def test_enough_closes_the_upstream_at_once():
    async with (
        Scripted(stream_head(), chunk(events(*[said("a")] * 50)), "hang") as server,
        adapter(server.url) as upstream,
    ):
        heard = await ask(upstream, stream=True, heard=Heard(enough=3))
        await asyncio.wait_for(server.left.wait(), LIMIT)
        assert (len(heard.deltas), heard.error, upstream._pool.open) == (3, None, 0)


@pytest.mark.parametrize(
    "script", [["hang"], [stream_head(), "hang"], [AFTER_TWO, "hang"], [head(500), "hang"]]
)
async def test_a_cancel_closes_the_upstream(script):
    async with Scripted(*script) as server, adapter(server.url) as upstream:
        calling = asyncio.create_task(ask(upstream, stream=True))
        async with asyncio.timeout(LIMIT):
            await server.asked.wait()
            await asyncio.sleep(0.02)
            calling.cancel()
            with pytest.raises(asyncio.CancelledError):
                await calling
            await server.left.wait()
        assert upstream._pool.busy == 0


async def test_a_receiver_s_own_failure_closes_the_upstream_and_comes_out_as_it_is():
    class OddError(Exception):
        pass

    async def receive(delta):
        raise OddError

    async with Scripted(AFTER_TWO, "hang") as server, adapter(server.url) as upstream:
        with pytest.raises(OddError):
            await upstream.call(UpstreamCall("c", TIER, BODY, True, lambda: None), receive)
        await asyncio.wait_for(server.left.wait(), LIMIT)


@pytest.mark.parametrize(
    ("stream", "script"),
    [
        (False, [whole(REPLY)]),
        (True, [streamed(events(said("ab"), END, DONE))]),
        # Most servers send the end of the message in a packet of its own.
        (True, [stream_head() + chunk(events(said("ab"), END, DONE)), 0.005, chunk(b"")]),
        (True, [streamed(events(said("ab"), END, DONE))[:-5], 0.005, chunk(b": late"), chunk(b"")]),
        (False, [whole(b"{}", 429)]),
    ],
)
async def test_a_connection_is_kept_after_a_proper_end(stream, script, monkeypatch):
    monkeypatch.setattr("gateway.upstreams.openai.END_PATIENCE", LIMIT)
    async with Scripted(*script) as server, adapter(server.url) as upstream:
        for _ in range(5):
            await ask(upstream, stream=stream)
        assert server.accepted == 1


async def test_a_stream_left_open_after_done_is_not_waited_for():
    script = [stream_head() + chunk(events(said("ab"), END, DONE)), "hang"]
    async with Scripted(*script) as server, adapter(server.url) as upstream:
        heard = await ask(upstream, stream=True)
        assert (heard.text, heard.error) == ("ab", None)
        await asyncio.wait_for(server.left.wait(), LIMIT)


async def test_a_broken_end_after_done_spoils_nothing():
    script = [stream_head() + chunk(events(said("ab"), END, DONE)), "reset"]
    heard = await answer(*script, stream=True)
    assert heard.error is None or heard.deltas == []  # a reset may overtake what was sent


async def test_calls_make_no_tasks():
    async with Scripted(whole(REPLY)) as server, adapter(server.url) as upstream:
        await ask(upstream)
        ours = asyncio.current_task()
        seen = []

        async def receive(delta):
            seen.append({task for task in asyncio.all_tasks() if task is not ours})
            return True

        before = {task for task in asyncio.all_tasks() if task is not ours}
        await upstream.call(UpstreamCall("c", TIER, BODY, False, lambda: None), receive)
        assert seen == [before]
