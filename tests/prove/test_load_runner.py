"""The open-loop runner over real sockets: it must see what a closed loop hides."""

from __future__ import annotations

import asyncio
import random
import time
from contextlib import asynccontextmanager

import pytest

from gateway.upstreams.http1 import Pool, Timeouts
from loadtests import scenario
from loadtests.openloop import Kind, Run, Tally, merged, note
from loadtests.plan import plan
from loadtests.stage import Side, send_phase

STALL = 0.1
RATE = 200
SECONDS = 0.6
DUE = 100 * (1 - 0.75 * STALL / SECONDS)
"""The place below which a latency of a fifth of the stall must not lie."""
HEAD = b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\ncontent-type: application/json\r\n\r\n%b"
REPLY = HEAD % (14, b'{"choices":[]}')


@asynccontextmanager
async def served(answer):
    """A server on this loop; `answer(request)` gives the bytes, None to hang up."""

    async def serve(reader, writer):
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                length = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
                told = await answer(await reader.readexactly(length))
                if told is None:
                    break
                writer.write(told)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # the client left
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    pool = Pool(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
    try:
        yield pool
    finally:
        await pool.aclose()
        server.close()
        await server.wait_closed()


async def send(answer, kind, plan, seconds):
    timeouts = Timeouts(connect=2, first_token=2, silence=2, total=4)
    async with served(answer) as pool:
        tallies = await Run(pool, timeouts, random.Random(1)).phase(plan, seconds)
    return tallies[kind.name]


def at(histogram, place):
    return histogram.get_value_at_percentile(place)


async def at_once(_request):
    return REPLY


def constant(kind):
    return [(place / RATE, kind) for place in range(int(RATE * SECONDS))]


async def test_a_stall_is_in_every_request_that_was_due_meanwhile():
    """The loop stands still for 100 ms, client and server: nothing can even be sent. Whoever times
    from the sending sees nothing of it; 20 of 120 requests were late, and are seen to be."""
    kind = Kind("a", b"{}")
    asyncio.get_running_loop().call_later(SECONDS / 2, time.sleep, STALL)
    told = await send(at_once, kind, constant(kind), SECONDS)
    assert told.sent == told.good == RATE * SECONDS
    assert at(told.latency, DUE) >= 0.2e6 * STALL, "of what was due in the stall, four in five"
    assert told.latency.get_max_value() >= 0.9e6 * STALL
    assert told.late.get_max_value() >= 0.9e6 * STALL, "and the runner says that it was late"
    assert at(told.service, DUE) < at(told.latency, DUE), "from the sending it is hidden"


async def test_a_server_that_stalls_once_is_late_for_all_who_came_meanwhile():
    kind, stalled = Kind("a", b"{}"), asyncio.Event()

    async def answer(_request):
        if not stalled.is_set():
            stalled.set()
            gate.append(asyncio.get_running_loop().time() + STALL)
        await asyncio.sleep(max(0, gate[0] - asyncio.get_running_loop().time()))
        return REPLY

    gate: list[float] = []
    told = await send(answer, kind, constant(kind), SECONDS)
    assert at(told.latency, DUE) >= 0.2e6 * STALL
    assert told.latency.get_max_value() >= 0.9e6 * STALL


async def test_a_stream_has_its_first_byte_its_gaps_and_its_end():
    head = (
        b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
    )
    ends = {b"[DONE]": "200", b"[OUT!]": "broken"}

    for last, ended in ends.items():

        async def serve(reader, writer, last=last):
            await reader.readuntil(b"\r\n\r\n")
            for data in (b"data: 1\n\n", b"data: 2\n\n", b"data: %b\n\n" % last):
                await asyncio.sleep(0.03)
                writer.write(head * (data[6] == 49) + b"%x\r\n%b\r\n" % (len(data), data))
            writer.write(b"0\r\n\r\n")
            writer.close()

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        pool = Pool(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
        run, kind = Run(pool, Timeouts(), random.Random(1)), Kind("s", b"{}", stream=True)
        told = (await run.phase([(0.0, kind)], 0.01))["s"]
        await pool.aclose()
        server.close()
        await server.wait_closed()
        assert told.ends == {ended: 1}
        assert told.good == (ended == "200")
        assert told.gap.get_total_count() == 2
        assert told.gap.get_min_value() > 25e3
        assert 25e3 < told.first.get_max_value() < told.latency.get_max_value()


async def test_what_breaks_what_is_late_and_who_leaves_is_no_goodput():
    async def answer(request):
        if request == b"broken":
            return None
        if request == b"refused":
            return REPLY.replace(b"200 OK", b"429 No")
        await asyncio.sleep(0.05)
        return REPLY

    async def only(body, **more):
        kind = Kind("a", body, **more)
        return await send(answer, kind, [(0.0, kind)], 0.0)

    assert (await only(b"{}")).good == 1
    late = await only(b"{}", within=0.001)
    assert (late.good, late.ends) == (0, {"200": 1})
    left = await only(b"{}", leave=(0.01, 0.01))
    assert (left.good, left.left, left.ends) == (0, 1, {"left": 1})
    refused = await only(b"refused")
    assert refused.ends == {"429": 1}
    broken = await only(b"broken")
    assert (broken.good, broken.sent) == (0, 1)
    failed = [each.figures(1)["failed"] for each in (late, left, refused, broken)]
    assert failed == [0, 0, 1, 1], "late is answered, and who left was not failed"
    assert sum(broken.ends.values()) == 1
    assert "200" not in broken.ends


@pytest.mark.parametrize(
    ("stream", "said", "ended"),
    [
        (False, b'{"choices":[]}', "200"),
        (False, b"{}", "broken"),
        (False, b'data: {"choices":[]}\n\ndata: [DONE]\n\n', "broken"),
        (True, b"data: {}\n\ndata: [DONE]\n\n", "200"),
        (True, b"{}", "broken"),
        (True, b'data: {"content": "data: [DONE]"}\n\n', "broken"),
    ],
)
async def test_whole_is_what_was_asked_for_to_its_end_whatever_its_head_says(stream, said, ended):
    async def answer(_request):
        return HEAD % (len(said), said)

    kind = Kind("a", b"{}", stream=stream)
    told = await send(answer, kind, [(0.0, kind)], 0.0)
    assert (told.ends, told.good) == ({ended: 1}, ended == "200")


async def test_goodput_is_what_a_server_can_do_and_not_what_it_was_offered():
    """One reply each 5 ms, 100 offered in 100 ms: 200 a second at most, however they are counted
    whose replies came after the phase."""
    line = asyncio.Lock()

    async def answer(_request):
        async with line:
            await asyncio.sleep(0.005)
        return REPLY

    read = scenario.read(
        {
            "about": "more than it can do",
            "classes": {"a": {}},
            "phases": [{"name": "p", "seconds": 0.1, "arrivals": {"constant": 1000}}],
        },
        "s",
        "s.yaml",
    )
    async with served(answer) as pool:
        side = Side(Run(pool, Timeouts(), random.Random(1)))
        told = await send_phase(side, read.phases[0], plan(read, read.phases[0], 0), bar=False)
    assert told["all"]["good"] == 100
    assert told["seconds"] > 0.5
    assert 0 < told["all"]["goodput"] < 200
    assert told["offered"] == 1000


def test_tallies_are_merged_and_written_with_their_histograms():
    from hdrh.histogram import HdrHistogram

    one, other = Tally(sent=2, good=1), Tally(sent=1, good=1)
    for value in (0.001, 0.002):
        note(one.latency, value)
    note(other.latency, 0.004)
    told = merged({"a": one, "b": other}).figures(seconds=2)
    assert (told["sent"], told["good"], told["goodput"]) == (3, 2, 1.0)
    assert told["latency"]["max"] == pytest.approx(4, rel=0.01)
    assert told["first_byte"] == {"n": 0}
    read = HdrHistogram.decode(told["hdr"]["latency"])
    assert read.get_total_count() == 3
    assert read.get_value_at_percentile(50) == pytest.approx(2000, rel=0.01)
