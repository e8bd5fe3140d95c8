"""What every kind of upstream keeps, whatever its wire: asked of a simulated provider that speaks
that wire, with the same models, replies and faults behind each.

The live test of litellm runs this too, beside litellm's own newest release.
"""

from __future__ import annotations

from dataclasses import dataclass

from upstreams.asking import Heard

from gateway.config.settings import UpstreamSettings
from gateway.core.errors import UpstreamError
from gateway.core.native import Wire
from gateway.core.plan import Tier
from gateway.core.ports import UpstreamCall
from gateway.upstreams.opening import open_upstream
from gateway.upstreams.simulated import Behaviour, SimulatedUpstream

KEY = "sk-of-this-test"
FAULTS = (
    *("429,retry_after=7", "503,retry_after=8", "500", "400", "422"),
    "400,code=context_length_exceeded",
)
NONSENSE = ("html", "empty")
"""In place of a reply; litellm calls a plain one a fault of the server's."""
CUT = ("cut,after=2", "error_event,after=2", "malformed,after=2")
"""Faults of a stream that has begun."""


@dataclass(frozen=True)
class Kind:
    """One kind of upstream on one of its wires, and what its tiers call the model."""

    kind: str
    wire: Wire = "chat"
    model: str = "s-model"
    key_header: str = "authorization"
    proxy: str | None = None
    in_extra_body: bool = False
    """Does what is nobody's field have to go through `extra_body`?"""

    def fields(self, fault):
        told = {"simulate": fault}
        return {"extra_body": told} if self.in_extra_body else told

    def opened(self, server, key=KEY):
        if self.kind == "simulated":
            return SimulatedUpstream("u", Behaviour())
        own = {"api_key": key, "key_header": self.key_header, "proxy": self.proxy}
        return open_upstream(UpstreamSettings("u", self.kind, f"{server.url}/v1", **own))

    async def ask(self, upstream, *, stream=False, enough=10**9, **fields):
        """Make one call; returns what was heard of it."""
        said = [{"role": "user", "content": "Say hello."}]
        body = {"model": self.model, "messages": said, "stream": stream, **fields}
        if stream:
            body["stream_options"] = {"include_usage": True}
        heard = Heard(enough)

        def sent(upstream=""):
            heard.sent += 1

        tier = Tier("t", "u", self.model, wire=self.wire)
        try:
            await upstream.call(UpstreamCall("c", tier, body, stream, sent), heard.receive)
        except UpstreamError as error:
            heard.error = error
        return heard


async def keep(kind, server):
    """Ask for all that a gateway rests on; returns what one kind may not tell differently from
    another."""
    upstream = kind.opened(server)
    plain = await kind.ask(upstream)
    assert (plain.error, len(plain.deltas), plain.sent) == (None, 1, 1), (kind, plain.error)
    assert plain.text
    streamed = await kind.ask(upstream, stream=True)
    assert (streamed.error, streamed.text) == (None, plain.text)
    assert len(streamed.deltas) > 2
    uses = [[delta.usage for delta in heard.deltas if delta.usage] for heard in (plain, streamed)]
    assert all(len(each) == 1 for each in uses)
    assert uses[0][0].prompt == uses[1][0].prompt > 0
    assert uses[0][0].completion == uses[1][0].completion > 0
    left = await kind.ask(upstream, stream=True, enough=2)
    assert (left.error, len(left.deltas)) == (None, 2)
    assert len(left.text) < len(plain.text)
    told = {"text": plain.text, "used": (uses[0][0].prompt, uses[0][0].completion)}
    for fault in (*FAULTS, *NONSENSE):
        for stream in (False, True):
            heard = await kind.ask(upstream, stream=stream, **kind.fields(fault))
            assert (kind, fault, heard.sent) == (kind, fault, 1)  # nobody else asks again
            assert heard.deltas == []
            error = heard.error
            named = "" if fault in NONSENSE else error.kind
            told[fault, stream] = named, error.status, error.retry_after
    for fault in CUT:
        heard = await kind.ask(upstream, stream=True, **kind.fields(fault))
        assert heard.error is not None, (kind, fault)
        assert (heard.sent, len(heard.text) < len(plain.text)) == (1, True)
    await upstream.aclose()
    if kind.kind == "simulated":
        return told  # it asks for no key
    wrong = kind.opened(server, "sk-wrong")
    heard = await kind.ask(wrong)
    told["key"] = type(heard.error).__name__, "sk-wrong" in heard.error.message
    await wrong.aclose()
    return told
