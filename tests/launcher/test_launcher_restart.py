"""Workers are replaced while they serve, connections are spread evenly, and no request is lost."""

from __future__ import annotations

import asyncio
import contextlib
import signal

import httpx
import orjson
import pytest
from api.serving import CHAT, LIMIT, ask_for, config
from app.serving import Process, Wire, listening, posted, until
from launcher.serving import (
    Admin,
    connections,
    eventually,
    gone,
    thresholds,
    two,
    workers_of,
)

from gateway.store import read

pytestmark = pytest.mark.live  # servers of several processes

FEW = 16


def held_by(it, workers):
    """How many of the clients' connections each worker holds."""
    port = int(it.url.rpartition(":")[2])
    return [
        len([c for c in each.net_connections("tcp") if c.laddr.port == port and c.raddr])
        for each in workers
    ]


async def asked(wire):
    """Ask once on a kept connection; return the reply's status line."""
    await wire.send(posted(orjson.dumps(ask_for())))
    head = await wire.until(b"\r\n\r\n")
    length = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
    await wire.reader.readexactly(length)
    return head.split(b"\r\n")[0]


async def test_sixteen_connections_are_shared_evenly(tmp_path):
    async with Process(tmp_path, two()) as it, contextlib.AsyncExitStack() as stack:
        await it.ready()
        workers = workers_of(it)

        async def come(count):
            wires = [await stack.enter_async_context(Wire(it.url)) for _ in range(count)]
            assert {await asked(wire) for wire in wires} == {b"HTTP/1.1 200 OK"}
            return wires

        wires = await come(FEW)
        shares = [held / FEW for held in held_by(it, workers)]
        assert sum(shares) == 1
        assert all(0.35 <= share <= 0.65 for share in shares), shares
        # Who has lost its clients is given the next ones, until both have as many again.
        of_first = {c.raddr.port for c in workers[0].net_connections("tcp") if c.raddr}
        for wire in wires:
            if wire.writer.get_extra_info("sockname")[1] in of_first:
                wire.writer.close()
        await until(lambda: held_by(it, workers) == [0, FEW // 2])
        await come(FEW // 2)
        assert held_by(it, workers) == [FEW // 2, FEW // 2]
        it.signal()
        assert await it.ended() == 0


class Load:
    """Clients that ask all the time until told to stop; whatever goes wrong is raised."""

    def __init__(self, it):
        self.url = it.url
        self.done = asyncio.Event()
        self.answers = []

    async def kept(self, pause):
        async with httpx.AsyncClient(base_url=self.url, timeout=LIMIT) as client:
            while not self.done.is_set():
                self.take(await client.post(CHAT, json=ask_for()))
                await asyncio.sleep(pause)

    async def streamed(self):
        slow = ask_for("small", stream=True, simulate="slow_first,seconds=0.2")
        async with httpx.AsyncClient(base_url=self.url, timeout=LIMIT) as client:
            while not self.done.is_set():
                answer = await client.post(CHAT, json=slow)
                assert answer.text.rstrip().endswith("data: [DONE]"), answer.text[-300:]
                self.take(answer)

    async def anew(self):
        while not self.done.is_set():
            async with httpx.AsyncClient(base_url=self.url, timeout=LIMIT) as client:
                self.take(await client.post(CHAT, json=ask_for()))

    def take(self, answer):
        assert answer.status_code == 200, answer.text
        self.answers.append(answer.headers["x-request-id"])


@contextlib.asynccontextmanager
async def load(it):
    ours = Load(it)
    async with asyncio.TaskGroup() as group:
        for pause in (0, 0, 0.01, 0.3):
            group.create_task(ours.kept(pause))
        group.create_task(ours.streamed())
        group.create_task(ours.anew())
        try:
            yield ours
        finally:
            ours.done.set()


async def test_a_rolling_restart_under_load_fails_no_request(tmp_path):
    async with Process(tmp_path, two()) as it:
        await it.ready()
        before = workers_of(it)
        async with Admin(it) as admin, load(it) as ours:
            await until(lambda: len(ours.answers) > 20)
            assert (await admin.set(0.3)).status_code == 200
            told = await admin.restart()
            assert (told.status_code, told.json()) == (200, {"workers": 2})
            await gone(before)
            seen = len(ours.answers)
            await until(lambda: len(ours.answers) > seen + 20)
            page = await admin.metrics()
            assert page["worker_restarts_total",] == 0, "nobody had ended by itself"
        after = workers_of(it)
        assert len(after) == 2
        assert not {each.pid for each in before} & {each.pid for each in after}
        async with connections(it, 4) as clients:
            assert await thresholds(clients) == {"0.3"}, "the new ones know what was set"
        it.signal()
        assert await it.ended() == 0
    entries = read.requests(tmp_path / "waterfall.db")
    kept = {each["request_id"] for each in entries if each["outcome"] == "ok"}
    assert set(ours.answers) <= kept, "what the old workers answered is in the ledger"
    assert "all 2 workers were replaced" in it.stderr
    assert "Traceback" not in it.stderr


async def test_a_restart_that_cannot_be_is_given_up_and_the_others_go_on(tmp_path):
    async with Process(tmp_path, two()) as it:
        await it.ready()
        before = {each.pid for each in workers_of(it)}
        sound = it.path.read_text()
        it.path.write_text("routes: {}\n")
        async with Admin(it) as admin, connections(it, 4) as clients:
            told = await admin.restart()
            assert told.status_code == 400
            assert "worker 1 cannot start: waterfall.yaml" in told.json()["error"]["message"]
            assert {each.pid for each in workers_of(it)} == before
            assert await thresholds(clients) == {"0.8"}
            it.path.write_text(sound)
            asking = [asyncio.create_task(admin.restart()) for _ in range(2)]
            codes = sorted([(await each).status_code for each in asking])
            assert codes == [200, 400], "one at a time"
        it.signal()
        assert await it.ended() == 0
    assert "Traceback" not in it.stderr


async def test_sigusr2_restarts_and_a_stop_in_the_middle_ends_all(tmp_path):
    async with Process(tmp_path, two()) as it:
        await it.ready()
        before = workers_of(it)
        it.signal(signal.SIGUSR2)
        await gone(before)
        await eventually(lambda: _serves(it))
        second = workers_of(it)
        it.signal(signal.SIGUSR2)
        await until(lambda: len(workers_of(it)) == 3)
        it.signal()
        assert await it.ended() == 0
        await gone(second)
    assert "Traceback" not in it.stderr


async def _serves(it):
    async with httpx.AsyncClient(base_url=it.url, timeout=LIMIT) as client:
        return (await client.post(CHAT, json=ask_for())).status_code == 200


async def test_a_stream_that_is_under_way_is_ended_by_its_old_worker(tmp_path):
    async with Process(tmp_path, two(upstreams__sim__per_token=0.25)) as it:
        await it.ready()
        async with Admin(it) as admin, Wire(it.url) as wire:
            await wire.send(posted(orjson.dumps(ask_for("large", stream=True))))
            await wire.until(b"data: ")
            told = asyncio.create_task(admin.restart())
            await wire.until(b"data: [DONE]")
            assert not told.done(), "its worker is waited for"
            assert (await told).status_code == 200
        it.signal()
        assert await it.ended() == 0


async def test_while_nobody_serves_whoever_comes_waits_and_is_served(tmp_path):
    async with Process(tmp_path, two()) as it:
        await it.ready()
        for each in workers_of(it):
            each.kill()
        async with connections(it, 4) as clients:
            assert await thresholds(clients) == {"0.8"}
        it.signal()
        assert await it.ended() == 0


async def test_one_process_says_that_nobody_could_take_over(tmp_path):
    async with listening(tmp_path, config()) as served:
        headers = {"authorization": f"Bearer {served.admin_secret}"}
        async with httpx.AsyncClient(base_url=served.admin_url, headers=headers) as client:
            told = await client.post("/admin/restart")
            assert told.status_code == 400
            assert "set server.workers to 2" in told.json()["error"]["message"]
            assert (await client.post("/admin/restart", headers={"authorization": ""})).is_error
