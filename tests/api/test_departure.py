"""Who works for a client that hangs up is cancelled, with no task to hear of it."""

from __future__ import annotations

import asyncio

import pytest

from gateway.api.departure import GONE, Departure

GOES, SAYS = {"type": "http.disconnect"}, {"type": "http.request", "body": b""}


class Client:
    """Its messages come when they are put; `turns` makes receiving one give others their turn."""

    def __init__(self, turns: int = 0) -> None:
        self.messages: asyncio.Queue[dict[str, object]] = asyncio.Queue()
        self.turns, self.closed = turns, 0

    async def receive(self) -> dict[str, object]:
        try:
            for _ in range(self.turns):
                await asyncio.sleep(0)
            return await self.messages.get()
        except GeneratorExit:
            self.closed += 1
            raise


@pytest.mark.parametrize("turns", [0, 2])
async def test_it_cancels_whoever_is_inside_and_ends_there(turns):
    client, ran = Client(turns), []
    asyncio.get_running_loop().call_later(0.01, client.messages.put_nowait, SAYS)
    asyncio.get_running_loop().call_later(0.02, client.messages.put_nowait, GOES)
    with Departure(client.receive):
        try:
            await asyncio.sleep(5)
        except asyncio.CancelledError as cancelled:
            ran.append(cancelled.args)
            raise
    await asyncio.sleep(0)
    task = asyncio.current_task()
    assert (ran, task.cancelling(), client.closed) == ([(GONE,)], 0, 0)


async def test_it_leaves_nothing_behind_where_nobody_goes():
    client, before = Client(), asyncio.all_tasks()
    with Departure(client.receive):
        await asyncio.sleep(0)
        assert asyncio.all_tasks() == before
    client.messages.put_nowait(GOES)
    for _ in range(3):
        await asyncio.sleep(0)
    assert (client.closed, client.messages.qsize()) == (1, 1)


async def test_a_client_that_had_left_before_does_not_cancel_what_never_waits():
    client = Client()
    client.messages.put_nowait(GOES)
    with Departure(client.receive):
        pass
    for _ in range(3):
        await asyncio.sleep(0)
    assert asyncio.current_task().cancelling() == 0


async def test_the_server_s_own_cancel_is_an_end_too():
    client = Client()

    async def work() -> str:
        with Departure(client.receive):
            await asyncio.sleep(5)
        return "ended"

    task = asyncio.create_task(work())
    await asyncio.sleep(0)
    task.cancel("drained")
    assert (await task, client.closed) == ("ended", 1)
