"""The fault matrix, rows of what runs out: a client's patience, a line's quality, descriptors,
memory."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import random
import resource
import socket
import sys
from contextlib import AsyncExitStack
from pathlib import Path

import psutil
import pytest
from api.serving import config
from app.serving import Process, Wire, posted, until
from faults.rig import CANARY_KEY, rigged

from gateway.launcher import process, sockets
from gateway.upstreams.simulated import Behaviour, Length, Model, Pace, serve_simulated

LINUX = pytest.mark.skipif(sys.platform != "linux", reason="Linux cuts who has stalled")


@LINUX
async def test_f30_takes_nothing(tmp_path, monkeypatch):
    """its upstream is not read on, others are served, and after a minute it is cut as one that
    has left"""
    listen = sockets.listen

    def narrow(host, port):
        sock = listen(host, port)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 16_384)
        return sock

    assert sockets.STALLED == 60.0
    monkeypatch.setattr(sockets, "STALLED", 1.0)
    monkeypatch.setattr(process, "listen", narrow)
    body = b'{"model":"large","stream":true,"simulate":{"l-model":"huge,size=1"},'
    body += b'"messages":[{"role":"user","content":"go on"}]}'
    before = psutil.Process().memory_info().rss
    async with rigged(tmp_path, around={"timeouts": {}}) as rig, AsyncExitStack() as stack:
        address = ("127.0.0.1", int(rig.served.base_url.split(":")[2].split("/")[0]))
        slow = Model(length=Length(90, most=90, least=90), pace=Pace(0.0, 0.0, 0.3, 0.0))
        rig.far.provider.direct(Behaviour(default=slow))
        for _ in range(20):
            client = stack.enter_context(contextlib.closing(socket.socket()))
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.setblocking(False)
            await asyncio.get_running_loop().sock_connect(client, address)
            await asyncio.get_running_loop().sock_sendall(client, posted(body))
        await until(lambda: len(rig.far.lines()) == 20)
        reply = await rig.ask()
        assert (reply.status, reply.seconds < 2.0) == (200, True)
        await rig.quiet()
        assert psutil.Process().memory_info().rss - before < 200e6
        ends = [row for row in rig.rows("request") if row["start_tier"] == "large"]
        assert [row["status"] for row in ends] == [499] * 20


class Line:
    """Between a gateway and its upstream: 200 ms there and back; of a hundred packets two are lost
    and come a time-out later, and what was sent after them waits for them."""

    def __init__(self, seed):
        self.to, self.dice, self._tasks = None, random.Random(seed), set()

    async def __aenter__(self):
        self.server = await asyncio.start_server(self._meet, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self.server.sockets[0].getsockname()[1]}/v1"
        return self

    async def __aexit__(self, *_):
        self.server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _meet(self, reader, writer):
        self._tasks.add(asyncio.current_task())
        host, port = self.to.removeprefix("http://").split(":")
        await asyncio.sleep(0.2)  # the handshake
        far_reader, far_writer = await asyncio.open_connection(host, int(port))
        with contextlib.closing(writer), contextlib.closing(far_writer):
            async with asyncio.TaskGroup() as group:
                group.create_task(self._carry(reader, far_writer))
                group.create_task(self._carry(far_reader, writer))

    async def _carry(self, reader, writer):
        loop = asyncio.get_running_loop()
        under_way, at = asyncio.Queue(), 0.0

        async def arrive():
            while (packet := await under_way.get()) is not None:
                due, data = packet
                await asyncio.sleep(max(0.0, due - loop.time()))
                writer.write(data)
            with contextlib.suppress(OSError):
                writer.write_eof()

        arriving = asyncio.create_task(arrive())
        self._tasks.add(arriving)
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(1400):
                late = 0.3 if self.dice.random() < 0.02 else 0.0
                at = max(at, loop.time() + 0.1 + late)
                under_way.put_nowait((at, data))
        under_way.put_nowait(None)
        await arriving


async def test_f36_a_bad_line(tmp_path):
    """200 ms and 2 % of packets lost, by a relay: within the deadline, nothing is made again, and
    no breaker notices"""
    async with Line(7) as line:
        far = {"base_url": line.url, "api_key": CANARY_KEY}
        async with rigged(
            tmp_path, upstreams={"wan": far}, at="wan", around={"breaker": {}, "timeouts": {}}
        ) as rig:
            line.to = rig.near.url
            replies = await asyncio.gather(
                *(rig.ask(stream=bool(place % 2)) for place in range(60))
            )
            replies += [await rig.ask(stream=True) for _ in range(2)]
            assert {(each.status, each.told("tier")) for each in replies} == {(200, "small")}
            assert max(each.seconds for each in replies) < 8.0
            assert min(each.seconds for each in replies) > 0.2
            assert await rig.metric("upstream_retries_total") == 0
            assert await rig.metric("upstream_breaker_changes_total") == 0


@LINUX
async def test_f37_no_descriptors_left(tmp_path):
    """who is in hears 503 and the breaker does not, who is not waits or is sent away, and it goes
    on by itself"""
    behaviour = Behaviour()
    async with serve_simulated(behaviour) as provider:
        near = {"kind": "openai", "base_url": f"{provider.url}/v1", "retries": "off"}
        async with Process(tmp_path, config(upstreams={"sim": near})) as it:
            await it.ready()
            body = posted(b'{"model":"small","messages":[{"role":"user","content":"a"}]}')
            async with AsyncExitStack() as stack:
                first = await stack.enter_async_context(Wire(it.url))
                assert await _answers(it.url, body)
                for connection in list(provider._connections):
                    connection.transport.close()
                await asyncio.sleep(0.1)  # both ends of what answered are gone, and `first` is in
                before = resource.prlimit(it.child.pid, resource.RLIMIT_NOFILE)
                none = (_first_free(it.child.pid), before[1])
                resource.prlimit(it.child.pid, resource.RLIMIT_NOFILE, none)
                second = await stack.enter_async_context(Wire(it.url))
                told = await _said(first, body)
                assert b" 503 " in told.split(b"\r\n")[0], told
                assert b"retry-after: 1" in told
                assert b"no sockets left" in told
                assert b" 200 " not in await _said(second, body)
            resource.prlimit(it.child.pid, resource.RLIMIT_NOFILE, before)
            async with asyncio.timeout(10):
                while not await _answers(it.url, body):  # noqa: ASYNC110
                    await asyncio.sleep(0.1)
            it.signal()
            assert await it.ended() == 0
    assert "Traceback" not in it.stderr + it.stdout
    assert "is left alone" not in it.stderr


def _first_free(pid):
    """The lowest number that is no descriptor of a process: as a limit it leaves none."""
    taken = {int(each.name) for each in Path(f"/proc/{pid}/fd").iterdir()}
    return next(number for number in range(10_000) if number not in taken)


async def _said(wire, data, seconds=1.5):
    """Send, and return what comes in so many seconds."""
    got = b""
    with contextlib.suppress(TimeoutError, ConnectionError):
        await wire.send(data)
        async with asyncio.timeout(seconds):
            while block := await wire.reader.read(65_536):
                got += block
                if b"\r\n\r\n" in got and got.endswith(b"}"):
                    break
    return got


async def _answers(url, body):
    async with Wire(url) as wire:
        return b" 200 " in await _said(wire, body)


async def test_f50_what_is_left_behind(tmp_path):
    """after hundreds of failures and departures, tasks, descriptors and memory are where they
    were after the first"""
    async with rigged(tmp_path, around={"timeouts": {}}) as rig:
        faults = ["500", "reset", "cut,after=3", "malformed,after=2", "refusal", None]

        async def round_of(count):
            for _ in range(count):
                leaving = [asyncio.create_task(rig.ask("hang", stream=True)) for _ in range(10)]
                going = [rig.ask(fault, stream=bool(n % 2)) for n, fault in enumerate(faults)]
                await asyncio.gather(*going)
                for task in leaving:
                    task.cancel()
                await asyncio.wait(leaving)
            await rig.quiet()
            rig.answered.clear()
            gc.collect()
            own = psutil.Process()
            return len(asyncio.all_tasks()), own.num_fds(), own.memory_info().rss

        await round_of(6)
        tasks, fds, memory = await round_of(6)
        more_tasks, more_fds, more_memory = await round_of(12)
        assert more_tasks <= tasks + 4
        assert more_fds <= fds + 4
        assert more_memory <= 1.05 * memory
