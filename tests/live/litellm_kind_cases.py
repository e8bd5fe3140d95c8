"""What every kind of upstream keeps, tried on one with litellm beside it: run by
test_litellm_kind.py with litellm's folder as the argument."""

from __future__ import annotations

import asyncio
import sys

sys.path.append(sys.argv[1])  # behind our own libraries, which stay as they are locked

from gateway.config.settings import UpstreamSettings
from gateway.core.chat import Draft
from gateway.core.errors import UpstreamError
from gateway.core.plan import Tier
from gateway.core.ports import UpstreamCall
from gateway.upstreams.opening import open_upstream
from gateway.upstreams.simulated import Behaviour, serve_simulated

KEY = "sk-of-this-test"


async def ask(upstream, model, *, stream=False, enough=10**9, **fields):
    """Make one call; returns (error, text, usage, deltas, times marked)."""
    asked = {"model": model, "messages": [{"role": "user", "content": "Say hello."}], **fields}
    if stream:
        asked |= {"stream": True, "stream_options": {"include_usage": True}}
    got, sent = [], []

    async def receive(delta):
        got.append(delta)
        return len(got) < enough

    call = UpstreamCall(
        "c", Tier("t", "u", model), asked, stream, lambda upstream="": sent.append(1)
    )
    error = None
    try:
        await upstream.call(call, receive)
    except UpstreamError as failed:
        error = failed
    draft = Draft()
    for delta in got:
        draft.add(delta)
    usage = next((delta.usage for delta in got if delta.usage), None)
    return error, draft.reply(complete=True).text, usage, got, len(sent)


async def keeps_the_contract(kind, model, server):
    settings = UpstreamSettings("u", kind, f"{server.url}/v1", KEY)
    upstream = open_upstream(settings)
    error, plain, usage, got, sent = await ask(upstream, model)
    assert (error, len(got), sent) == (None, 1, 1), (kind, error)
    assert plain, kind
    assert usage.prompt > 0, kind
    assert usage.completion > 0, kind
    error, streamed, usage, got, _ = await ask(upstream, model, stream=True)
    assert (error, streamed == plain) == (None, True), (kind, error, streamed, plain)
    assert len(got) > 2, kind
    assert usage is not None, kind
    error, text, *_ = await ask(upstream, model, stream=True, enough=2)
    assert error is None, kind
    assert len(text) < len(plain), kind
    told = {}
    for fault in ("429", "500", "503", "400"):
        extra = {"extra_body": {"simulate": fault}} if kind == "litellm" else {"simulate": fault}
        error, _, _, _, sent = await ask(upstream, model, **extra)
        assert sent == 1, (kind, fault, sent)  # nobody but the gateway asks again
        told[fault] = (type(error).__name__, error.retry_after)
    await upstream.aclose()
    wrong = open_upstream(UpstreamSettings("u", kind, f"{server.url}/v1", "sk-wrong"))
    error, *_ = await ask(wrong, model)
    told["key"] = (type(error).__name__, "sk-wrong" in error.message)
    await wrong.aclose()
    return told


async def main():
    async with serve_simulated(Behaviour(), key=KEY) as server:
        ours = await keeps_the_contract("openai", "s-model", server)
        theirs = await keeps_the_contract("litellm", "openai/s-model", server)
        assert len(server.lines()) == 16  # one line a call, of either kind
    assert ours == theirs, (ours, theirs)
    assert "litellm" in sys.modules


asyncio.run(main())
sys.stdout.write("kept\n")
