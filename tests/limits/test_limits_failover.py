"""A real pair of Redis servers behind one address, as a cloud's service has it: the replica takes
over, what was spent is spent, and who had connected comes along."""

from __future__ import annotations

import asyncio
import contextlib
import time

import pytest
from shared.redis_server import RedisServer, needs_redis

from gateway.core.allowance import Terms
from gateway.limits.accounts import Accounts
from gateway.shared.redis import RedisShared

pytestmark = [pytest.mark.live, needs_redis]
BUDGET = Terms("budget", 1_000)


class Address:
    """One port that leads to whoever has the role; connections stay where they are."""

    def __init__(self, leads_to):
        self.leads_to = leads_to

    async def __aenter__(self):
        self._server = await asyncio.start_server(self._join, "127.0.0.1", 0)
        port = self._server.sockets[0].getsockname()[1]
        self.url = f"redis://127.0.0.1:{port}/0"
        return self

    async def __aexit__(self, *_):
        self._server.close()

    async def _join(self, reader, writer):
        try:
            up, down = await asyncio.open_connection("127.0.0.1", self.leads_to.port)
        except OSError:
            writer.close()
            return
        await asyncio.gather(pumped(reader, down), pumped(up, writer))


async def pumped(reader, writer):
    with contextlib.suppress(OSError):
        while block := await reader.read(65_536):
            writer.write(block)
            await writer.drain()
    writer.close()


async def said(server, line, wanted):
    """Ask again until a server says so."""
    async with asyncio.timeout(20):
        while wanted not in await asyncio.to_thread(server.say, line):  # noqa: ASYNC110
            await asyncio.sleep(0.02)


async def spend(account, times):
    passed = 0
    for _ in range(times):
        got = await account.take(1, 1)
        account.settle(got, got)
        passed += got
    return passed


async def test_a_replica_takes_over_twice(tmp_path):
    first, second = RedisServer(tmp_path).start(), RedisServer(tmp_path).start()
    try:
        second.say(f"REPLICAOF 127.0.0.1 {first.port}")
        await said(second, "INFO replication", b"master_link_status:up")
        async with Address(first) as address:
            shared = [RedisShared(address.url, 0.5) for _ in range(2)]
            workers = [
                Accounts(each, name, time.monotonic, 0.5)
                for each, name in zip(shared, "ab", strict=True)
            ]
            accounts = [each.get("x", BUDGET, "open", 60) for each in workers]
            passed = sum([await spend(each, 200) for each in accounts])
            assert passed == 400
            await said(first, "WAIT 1 5000", b":1")
            # The primary steps back, and keeps its connections: it answers, but takes no writes.
            second.say("REPLICAOF NO ONE")
            first.say(f"REPLICAOF 127.0.0.1 {second.port}")
            address.leads_to = second
            await said(first, "INFO replication", b"master_link_status:up")
            passed += sum([await spend(each, 100) for each in accounts])
            await all_up(workers)
            assert all(each.line.failures for each in workers), "they were told of it"
            # It dies, and the other one, which has followed it, takes over again.
            await said(second, "WAIT 1 5000", b":1")
            second.stop()
            first.say("REPLICAOF NO ONE")
            address.leads_to = first
            passed += sum([await spend(each, 50) for each in accounts])
            await all_up(workers)
            passed += sum([await spend(each, 1_000) for each in accounts])
            assert 1_000 - 2 * BUDGET.block <= passed <= 1_000, "nothing is forgotten"
            for each in workers:
                await each.aclose()
            for each in shared:
                await each.aclose()
    finally:
        first.stop()
        second.stop()


async def all_up(workers):
    """Wait until it answers everybody again, and has been told everything."""
    async with asyncio.timeout(20):
        while True:
            for each in workers:
                await each.report()
            if all(each.line.up for each in workers):
                return
            await asyncio.sleep(0.1)
