"""`waterfall serve` with two workers, as real processes: one gateway from wherever one looks."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
import time
from itertools import pairwise

import httpx
import orjson
import pytest
import yaml
from api.serving import CHAT, LIMIT, ask_for, config
from app.serving import Process, Wire, posted, until
from launcher.serving import (
    MANY,
    Admin,
    connections,
    eventually,
    gone,
    samples,
    thresholds,
    two,
    workers_of,
)

from gateway.api.doors import StartError
from gateway.app import read_settings
from gateway.launcher import sockets
from gateway.launcher.supervisor import Supervisor
from gateway.store import read

pytestmark = pytest.mark.live  # servers of several processes

GROWING = ("_total", "_count", "_bucket", "_sum")
ALL = ("requests_total", "ok", "small", "waterfall")


async def test_two_workers_are_one_gateway(tmp_path):
    async with Process(tmp_path, two()) as it:
        await it.ready()
        port = int(it.url.rpartition(":")[2])
        workers = workers_of(it)
        assert len(workers) == 2
        async with connections(it) as clients, Admin(it) as admin:
            assert await thresholds(clients) == {"0.8"}
            for worker in workers:
                kept = [c for c in worker.net_connections("tcp") if c.status == "ESTABLISHED"]
                assert [c for c in kept if c.laddr.port == port], "each has its part"
            pages = [samples((await client.get("/metrics")).text) for client in clients[:8]]
            pages.append(await admin.metrics())
            assert {page[ALL] for page in pages} == {MANY}
            times = "request_duration_seconds_count", "false", "small", "waterfall"
            assert {page[times] for page in pages} == {MANY}
            assert {page["workers",] for page in pages} == {2}
            await change_and_ask(it, admin, clients)
            await eventually(lambda: _under_way(admin, 0))  # answered, each is for a moment still
            slow = ask_for("small", simulate="slow_first,seconds=3")
            asking = asyncio.create_task(clients[0].post(CHAT, json=slow))
            await eventually(lambda: _under_way(admin, 1))
            for each in workers:  # as who stops all processes of a group does it
                each.terminate()
            it.signal()
            assert (await asking).status_code == 200, "what was under way has ended well"
        assert await it.ended() == 0
        await gone(workers)
        with pytest.raises(OSError, match="onnect"):
            await asyncio.open_connection("127.0.0.1", port)
    served = [entry["request_id"] for entry in read.requests(tmp_path / "waterfall.db")]
    lines = [orjson.loads(line) for line in it.stdout.splitlines()]
    assert len(served) == 4 * MANY + 1
    assert sorted(line["request_id"] for line in lines if "route" in line) == sorted(served)
    assert sum(line["outcome"] == "refused" for line in lines) == 3
    assert "Traceback" not in it.stderr


async def change_and_ask(it, admin, clients):
    """What the admin listener does, it does in both workers; what it refuses, in neither."""
    assert (await admin.set(0.3)).status_code == 200
    assert await thresholds(clients) == {"0.3"}
    wrong = await admin.set(0.3, route="x")
    assert (wrong.status_code, wrong.json()["error"]["message"]) == (400, "No route 'x'.")
    it.path.write_text(yaml.safe_dump(two(routes__waterfall__threshold=0.6)))
    assert (await admin.reload()).status_code == 200
    assert await thresholds(clients) == {"0.6"}
    it.path.write_text("routes: {}\n")
    wrong = await admin.reload()
    assert wrong.status_code == 400
    assert "refused" in wrong.json()["error"]["message"]
    assert (await admin.reload(authorization="")).status_code == 401
    assert await thresholds(clients) == {"0.6"}
    page = await admin.metrics()
    assert page["threshold", "waterfall"] == 0.6
    assert page["requests_total", "client_error", "none", "other"] == 0, "no client has asked those"


async def test_files_and_sighup_reach_both_and_the_second_sigterm_ends_all_at_once(tmp_path):
    async with Process(tmp_path, config(), "--workers", "2") as it:
        await it.ready()
        assert "with 2 workers" in it.stderr
        workers = workers_of(it)
        async with connections(it) as clients:
            for value, number in ((0.7, None), (0.6, signal.SIGHUP)):
                it.path.write_text(yaml.safe_dump(config(routes__waterfall__threshold=value)))
                if number:
                    it.signal(number)
                await eventually(lambda told={f"{value}"}: _is(told, clients))
        async with Wire(it.url) as busy:
            hung = ask_for("small", stream=True, simulate="stall,after=3")
            await busy.send(posted(orjson.dumps(hung)))
            await busy.until(b"data: ")
            it.signal()
            await asyncio.sleep(0.3)
            assert it.child.returncode is None, "what is under way goes on"
            assert any(worker.is_running() for worker in workers)
            it.signal()
            assert await it.ended() == -signal.SIGTERM
        await gone(workers)
    assert "Traceback" not in it.stderr


async def test_a_stop_that_reaches_all_of_a_service_s_processes_is_one_stop(tmp_path):
    async with Process(tmp_path, two()) as it:
        await it.ready()
        async with connections(it, 1) as clients, Admin(it) as admin:
            slow = ask_for("small", simulate="slow_first,seconds=2")
            asking = asyncio.create_task(clients[0].post(CHAT, json=slow))
            await eventually(lambda: _under_way(admin, 1))
            it.signal()
            await asyncio.sleep(0.5)  # the workers have been told by now
            for each in workers_of(it):
                each.terminate()
            assert (await asking).status_code == 200, "what was under way has ended well"
        assert await it.ended() == 0
    assert [entry["outcome"] for entry in read.requests(tmp_path / "waterfall.db")] == ["ok"]


async def _under_way(admin, count):
    return (await admin.metrics())["in_flight_requests", "waterfall"] == count


async def _is(told, clients):
    return await thresholds(clients) == told


async def test_who_ends_is_replaced_no_counter_falls_and_none_outlives_the_supervisor(tmp_path):
    async with Process(tmp_path, two()) as it:
        await it.ready()
        first, second = workers_of(it)
        async with Admin(it) as admin:
            assert (await admin.set(0.3)).status_code == 200
            async with traffic(it) as answered:
                await until(lambda: len(answered) > 20)
                before = (await admin.metrics())[ALL]
                first.kill()
                await admin.replaced(1)
            between = (await admin.metrics())[ALL]
            second.terminate()  # it drains, and what it had counted is not lost
            await admin.replaced(2)
            assert (await admin.metrics())[ALL] == between > before > 0
            workers = workers_of(it)
            assert not {first.pid, second.pid} & {worker.pid for worker in workers}
            async with connections(it) as clients:
                assert await thresholds(clients) == {"0.3"}, "the new ones know what was set"
            assert (await admin.metrics())[ALL] == between + MANY
        for earlier, later in pairwise(admin.pages):
            for key in [key for key in earlier if key[0].endswith(GROWING)]:
                assert later[key] >= earlier[key], key
        it.signal(signal.SIGKILL)
        await it.ended()
        await gone(workers)
    entries = read.requests(tmp_path / "waterfall.db")
    assert len([each for each in entries if each["outcome"] == "ok"]) >= len(answered) + MANY
    assert "was ended by signal 9; another takes its place" in it.stderr
    assert "Traceback" not in it.stderr


@contextlib.asynccontextmanager
async def traffic(it):
    """Two clients that ask all the time; the list grows with each answer."""
    answered, done = [], asyncio.Event()

    async def ask():
        while not done.is_set():
            async with httpx.AsyncClient(base_url=it.url, timeout=LIMIT) as client:
                with contextlib.suppress(httpx.TransportError):  # of the one that is killed
                    answered.append(await client.post(CHAT, json=ask_for()))

    async with asyncio.TaskGroup() as group:
        for _ in range(2):
            group.create_task(ask())
        yield answered
        done.set()
    assert {answer.status_code for answer in answered} == {200}


async def test_a_second_gateway_on_the_port_is_refused(tmp_path):
    path = tmp_path / "waterfall.yaml"
    with sockets.reserve("127.0.0.1", 0) as kept:
        port = kept.getsockname()[1]
        path.write_text(yaml.safe_dump(two(server__port=port)))
        settings = read_settings(path, {})
        with pytest.raises(StartError, match=f"Cannot listen on 127.0.0.1:{port}.*in use"):
            Supervisor(settings, path, settings.server, 1)
        kept.listen()
        assert kept.proto == socket.IPPROTO_TCP
        assert kept.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        with pytest.raises(StartError, match="in use"):
            Supervisor(settings, path, settings.server, 1)


async def test_what_no_worker_can_start_with_is_said_once(tmp_path):
    (tmp_path / "key.json").write_text("[1")
    document = two(upstreams__sim={"kind": "simulated", "answers": "key.json"})
    async with Process(tmp_path, document) as it:
        assert await it.ended() == 2
    assert it.stderr.count("The answer key cannot be used") == 1, it.stderr
    assert "Traceback" not in it.stderr


async def quickest(it):
    """The least seconds of many requests on one kept connection."""
    least = float("inf")
    async with Wire(it.url) as wire:
        for _ in range(60):
            began = time.perf_counter()
            await wire.send(posted(orjson.dumps(ask_for())))
            head = await wire.until(b"\r\n\r\n")
            length = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
            await wire.reader.readexactly(length)
            least = min(least, time.perf_counter() - began)
    return least


async def test_a_kept_connection_is_as_quick_as_with_one(tmp_path):
    """Nagle's algorithm would cost every request 40 ms, which is many times what it takes."""
    folders = [tmp_path / name for name in ("one", "both")]
    for folder in folders:
        folder.mkdir()
    async with Process(folders[0], config()) as single, Process(folders[1], two()) as pair:
        await asyncio.gather(single.ready(), pair.ready())
        one, both = await quickest(single), await quickest(pair)
    print(f"one worker {one * 1e3:.2f} ms, two {both * 1e3:.2f} ms")  # noqa: T201 (the figures)
    assert both < 4 * one
