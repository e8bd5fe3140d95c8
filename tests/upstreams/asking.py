"""One call of the OpenAI adapter to a scripted server, and what came of it."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass, field, replace

import orjson
from upstreams.scripted import LIMIT, Scripted, chunk, events, stream_head

from gateway.core.chat import Draft
from gateway.core.errors import UpstreamError
from gateway.core.plan import Tier
from gateway.core.ports import UpstreamCall
from gateway.upstreams.http1 import Timeouts
from gateway.upstreams.openai import OpenAIUpstream

KEY = "sk-live-4242424242424242"
PATIENT = Timeouts(connect=LIMIT, first_token=LIMIT, silence=LIMIT, total=LIMIT)
TIER = Tier(name="small", upstream="u", model="theirs")
BODY = {"model": "theirs", "messages": [{"role": "user", "content": "hi"}], "odd": [1, None]}
DONE = b"[DONE]"


def said(text, finish=None, **more):
    choice = {"index": 0, "delta": {"content": text}, "finish_reason": finish}
    return orjson.dumps({"id": "i", "model": "theirs-v2", "choices": [choice], **more})


END = said("", "stop")
REPLY = orjson.dumps(
    {
        "id": "i",
        "model": "theirs-v2",
        "choices": [
            {"index": 0, "message": {"role": "assistant", "content": "ab"}, "finish_reason": "stop"}
        ],
        "usage": {"prompt_tokens": 41, "completion_tokens": 17},
    }
)


@dataclass
class Heard:
    """What `receive` was given, and what it says to it."""

    enough: int = 10**9
    deltas: list = field(default_factory=list)
    error: UpstreamError | None = None
    sent: int = 0

    flows = False

    async def receive(self, delta):
        return self.take([delta])

    def take(self, deltas):
        self.deltas += deltas[: self.enough - len(self.deltas)]
        return len(self.deltas) < self.enough

    async def settle(self):
        return len(self.deltas) < self.enough

    @property
    def text(self):
        draft = Draft()
        for delta in self.deltas:
            draft.add(delta)
        return draft.reply(complete=True).text


@contextlib.asynccontextmanager
async def adapter(url, timeouts=PATIENT, key=KEY, **options):
    upstream = OpenAIUpstream("u", url, key, timeouts, limit=4, **options)
    try:
        yield upstream
    finally:
        assert upstream._pool.busy == 0
        await asyncio.wait_for(upstream.aclose(), LIMIT)
        assert upstream._pool.open == 0
        await asyncio.sleep(0)


async def ask(upstream, *, stream=False, heard=None, tier=TIER, body=BODY, **fields):
    """One call, its failure kept rather than raised."""
    heard = heard or Heard()

    def on_sent():
        heard.sent += 1

    call = UpstreamCall("c", tier, {**body, "stream": stream}, stream, on_sent, **fields)
    call = replace(call, intake=heard)
    try:
        async with asyncio.timeout(LIMIT):
            await upstream.call(call, heard.receive)
    except UpstreamError as error:
        heard.error = error
    return heard


async def answer(*script, stream=False, timeouts=PATIENT, eager=False, **fields):
    async with Scripted(*script, eager=eager) as server, adapter(server.url, timeouts) as upstream:
        return await ask(upstream, stream=stream, **fields)


AFTER_TWO = stream_head() + chunk(events(said("a"), said("b")))
