"""A client that leaves a held, speculated or hedged reply leaves nothing running a second later,
and what it had cost is booked. Over real sockets on both sides."""

from __future__ import annotations

import asyncio

import orjson
import pytest
from api.serving import CHAT, LARGE, LIMIT, SMALL, ask_for, config
from app.serving import Wire, listening, posted, until

from gateway.store import read
from gateway.upstreams.simulated import Behaviour, Length, Model, Pace, serve_simulated

SLOW = Behaviour(default=Model(length=Length(500, 0.0, 1_000), pace=Pace(0.02, 0.0, 0.02, 0.0)))
"""Ten seconds a reply."""
SILENT = {"simulate": {SMALL: "hang"}}
GUESS = {"band": [0, 1]}
WAYS = {
    "held": ({}, {}, [SMALL]),
    "held behind comments": ({"routes__waterfall__keepalive_after": "10ms"}, {}, [SMALL]),
    "speculated": ({"routes__waterfall__speculate": GUESS}, {}, [LARGE, SMALL]),
    "hedged": ({"tiers__small__hedge": {"after": "20ms"}}, SILENT, [SMALL, SMALL]),
    "hedged, and heard": (
        {"tiers__small__hedge": {"after": "20ms", "tier": "next"}},
        SILENT,
        [LARGE, SMALL],
    ),
    "in sight": ({"tiers__small__hold": "none"}, {}, [SMALL]),
}


async def booked(served):
    """The one request's record, with its calls."""
    store = served.gateway.store
    await until(lambda: not served.gateway.switch.service.in_flight.count)
    assert await asyncio.to_thread(store.flush, LIMIT)
    return read.request(store.path, "leaver")


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize(("changes", "fields", "models"), WAYS.values(), ids=WAYS)
async def test_a_client_that_leaves(tmp_path, changes, fields, models, stream):
    if not stream and "hedge" in str(changes):
        models = [SMALL]  # a plain reply has no first token to wait for
    async with serve_simulated(SLOW) as server:
        document = config(
            upstreams={"sim": {"base_url": f"{server.url}/v1"}},
            routes__waterfall__threshold=1,
            **changes,
        )
        async with listening(tmp_path, document) as served:
            before = asyncio.all_tasks()
            async with Wire(served.base_url) as wire:
                asked = orjson.dumps(ask_for(stream=stream, **fields))
                await wire.send(posted(asked, CHAT, x_request_id="leaver"))
                await until(lambda: sorted(line["model"] for line in server.lines()) == models)
                await asyncio.sleep(0.1)
                assert "complete" not in {line["outcome"] for line in server.lines()}
            async with asyncio.timeout(1):
                while "open" in {line["outcome"] for line in server.lines()}:  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
                while served.gateway.switch.service.in_flight.count:  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
            left = {task.get_coro().__qualname__ for task in asyncio.all_tasks() - before}
            whole = await booked(served)
    assert not {name for name in left if not name.startswith(("Server", "Wire"))}, left
    assert (whole["outcome"], whole["status"]) == ("cancelled", 499)
    assert sorted(call["model"] for call in whole["calls"]) == models
    assert whole["cost"] == sum(call["cost"] for call in whole["calls"]) > 0
    assert all(call["cost"] > 0 for call in whole["calls"])
