"""Upstreams in memory for what stands around them: each call plays the next item of a script."""

from __future__ import annotations

import asyncio
from collections import Counter

from gateway.config import Resilience
from gateway.core.chat import Delta, Piece
from gateway.core.money import Price
from gateway.core.plan import Tier
from gateway.core.ports import UpstreamCall
from gateway.upstreams.balanced import Balanced
from gateway.upstreams.deployment import Deployment

SAID = Delta((Piece(0, "said"),))


class Clock:
    """A clock that is set by hand."""

    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


class Tally:
    """Hears what is counted."""

    def __init__(self):
        self.events, self.waits = Counter(), []

    def count(self, event, *labels):
        self.events[event, labels[-1]] += 1

    def waited(self, upstream, model, seconds):
        self.waits.append(seconds)


class Inner:
    """Plays a script, its last item again and again: an exception is raised (after a delta where
    it is the second of a pair), `ok` answers, an Event is waited for first."""

    def __init__(self, *script):
        self.script, self.calls = list(script) or ["ok"], []

    async def call(self, call, receive):
        call.on_sent()
        self.calls.append(call)
        item = self.script.pop(0) if len(self.script) > 1 else self.script[0]
        if isinstance(item, asyncio.Event):
            await item.wait()
        if isinstance(item, tuple):
            await receive(SAID)
            item = item[1]
        if isinstance(item, Exception):
            raise item
        await receive(SAID)

    async def aclose(self):
        """Nothing is open."""


class Bench:
    """Deployments `a`, `b`, ... of one model, balanced; their calls are written down."""

    def __init__(self, *inners, dice=lambda: 0.5, **how):
        self.clock, self.tally, self.inners = Clock(), Tally(), inners
        self.all = [
            Deployment(name, "m", inner, Resilience(**how), self.clock, self.tally)
            for name, inner in zip("abcdef", inners, strict=False)
        ]
        self.balanced = Balanced(self.all, self.clock, self.tally, dice)
        self.sent, self.retried, self.got = [], [], []

    def counted(self, event):
        return {label: n for (name, label), n in self.tally.events.items() if name == event}

    async def call(self, *, retried=True, price=None, stream=False, **fields):
        """Make one call; return its failure, if it failed."""
        call = UpstreamCall(
            call_id="c",
            tier=Tier("t", "|".join(each.name for each in self.all), "m", price or Price()),
            body={},
            stream=stream,
            on_sent=lambda upstream="": self.sent.append(upstream or self.all[0].name),
            on_retry=self.retried.append if retried else None,
            **fields,
        )

        async def receive(delta):
            self.got.append(delta)
            return True

        try:
            await self.balanced.call(call, receive)
        except Exception as error:  # noqa: BLE001 (it is what is asked for)
            return error
        return None
