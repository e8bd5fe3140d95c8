"""A tier's own limits, before the upstream that it is at."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gateway.core.chat import Delta, Piece
from gateway.core.limits import Limits
from gateway.core.money import Usage
from gateway.core.plan import Tier
from gateway.core.ports import UpstreamCall
from gateway.limits import limited
from gateway.limits.accounts import Accounts
from gateway.shared import MemoryShared

TIER = Tier("small", "near", "m", limits=Limits(tpm=1_000))
WORDS = [Delta((Piece(0, "a word a"),)) for _ in range(10)]


class Streaming:
    """Hands its deltas on in one of the two ways there are."""

    def __init__(self, deltas):
        self.deltas = deltas

    async def call(self, call, receive):
        call.on_sent()
        first, *rest = self.deltas
        assert await receive(first)
        if call.intake is None:
            for delta in rest:
                assert await receive(delta)
        else:
            assert call.intake.take(rest)
            assert await call.intake.settle()


class Taker:
    """Takes all there is."""

    def __init__(self):
        self.had = []

    async def receive(self, delta):
        self.had.append(delta)
        return True

    def take(self, deltas):
        self.had += deltas
        return True

    async def settle(self):
        return True


@pytest.mark.parametrize("poured", [False, True])
@pytest.mark.parametrize(
    ("deltas", "used"),
    [
        pytest.param([*WORDS, Delta(usage=Usage(300, 200))], 500, id="as reported"),
        pytest.param(WORDS, 21, id="as estimated: one of the prompt, two of each delta"),
    ],
)
async def test_what_a_stream_used_is_settled_whichever_way_it_came(poured, deltas, used):
    accounts = Accounts(MemoryShared(lambda: 50.0), "me", lambda: 50.0, 1.0)
    upstream = limited({"near": Streaming(deltas)}, [TIER], accounts, lambda: 50.0, print)["near"]
    taker = Taker()
    call = UpstreamCall("c", TIER, {"messages": []}, True, lambda _="": None)
    try:
        await upstream.call(replace(call, intake=taker if poured else None), taker.receive)
        (account,) = accounts._known.values()
        assert taker.had == deltas
        assert account.remaining() == 1_000 - used
    finally:
        await accounts.aclose()
