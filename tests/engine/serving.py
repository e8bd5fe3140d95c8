"""One request through the real engine: a watchful journal, a client's line, and the story."""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from itertools import count

import orjson
from engine.scripted import Scripted, happen
from sample_rows import whole_row as row

from gateway.api.reply import PlainReply, StreamedReply
from gateway.checks import all_checks
from gateway.core.chat import ChatRequest
from gateway.core.difficulty import Difficulty
from gateway.core.ledger import Entry, Origin
from gateway.core.money import Price
from gateway.core.plan import Hold, Plan, Tier
from gateway.core.recipes import Recipe
from gateway.core.routing import Route, Speculation, make_plan
from gateway.core.session import Past
from gateway.core.signals import measure
from gateway.core.verdict import Bar, CheckSpec
from gateway.engine import Engine, Job, Parts
from gateway.upstreams.sse import Decoder

MARKER = "[unsure:0f1e2d3c4b5a6978]"
BAR = Bar(checks=tuple(CheckSpec(name) for name in ("shape", "refusal", "unsure")))
UNSURE = Recipe("unsure", 1, not_sure=True)
SMALL = Tier("small", "near", "mini-1", Price(1_000_000, 3_000_000), bar=BAR)
MEDIUM = Tier("medium", "near", "midi-1", Price(50_000_000, 150_000_000), bar=BAR)
LARGE = Tier("large", "near", "maxi-1", Price(2_000_000_000, 6_000_000_000), bar=BAR)
TIERS = (SMALL, MEDIUM, LARGE)


# ------------------------------------------------------------------ journal and client


class Watch:
    """A journal that holds the engine to its order: open, settle, append, each once."""

    def __init__(self):
        self.open_calls, self.settled, self.entries, self.freed = {}, {}, [], []
        self.shadows = []

    def open(self, call):
        slot = len(self.open_calls)
        self.open_calls[slot] = call
        return slot

    def settle(self, slot, record):
        assert slot not in self.settled, "settled twice"
        assert record.call_id == self.open_calls[slot].call_id
        self.settled[slot] = record

    def append(self, entry, slots):
        assert set(slots) == set(self.open_calls) == set(self.settled), "appended too early"
        self.entries.append(entry)
        self.freed += slots

    def append_shadow(self, shadow, slots):
        assert set(slots) <= set(self.settled)
        self.shadows.append(shadow)
        self.freed += slots


@dataclass
class Line:
    """The client's side of an ASGI connection. `hook` is called before each message is taken."""

    hook: object = None
    messages: list = field(default_factory=list)

    async def send(self, message):
        if self.hook is not None:
            await happen(self.hook)
        self.messages.append(message)

    @property
    def status(self):
        return next((m["status"] for m in self.messages if "status" in m), None)

    @property
    def headers(self):
        found = next((m["headers"] for m in self.messages if "headers" in m), [])
        return {name.decode(): value.decode() for name, value in found}

    @property
    def data(self):
        return b"".join(m.get("body", b"") for m in self.messages)


@dataclass(frozen=True)
class Story:
    """What came of one request."""

    entry: Entry
    upstream: Scripted
    watch: Watch
    line: Line
    plan: Plan

    @property
    def called(self):
        """The tiers called, in order; `!` marks a bare call."""
        bare = {call.call_id for call in self.entry.calls if call.bare}
        return " ".join(c.tier.name + "!" * (c.call_id in bare) for c in self.upstream.calls)

    @property
    def text(self):
        """The first choice's text as the client has it."""
        return "".join(text for index, text in texts(self.line.data) if index == 0)

    @property
    def ending(self):
        """Who served, or how it failed."""
        outcome = self.entry.outcome
        if outcome.served is None:
            return "cancelled" if outcome.cancelled else type(outcome.error).__name__
        return self.entry.served_tier + " degraded" * outcome.degraded

    @property
    def row(self):
        return row(self.entry)


def texts(data):
    """Yield (choice index, text) of what a client got: events or a body."""
    payloads = [orjson.loads(data)] if data[:1] == b"{" else events(data)
    for payload in payloads:
        for choice in payload.get("choices", ()):
            said = choice.get("delta") or choice.get("message") or {}
            yield choice["index"], said.get("content") or ""


def events(data):
    """The JSON of every event that a client got."""
    return [orjson.loads(e.data) for e in Decoder().feed(data) if e.data != b"[DONE]"]


# ------------------------------------------------------------------ one request


@dataclass(frozen=True)
class Setting:
    """Everything about one request but what the upstreams say."""

    tiers: tuple = TIERS
    stream: bool = False
    value: float = 0.0
    thresholds: tuple = (0.5,)
    deadline: float = 60.0
    ceiling: int | None = None
    fall_down: bool = True
    body: dict = field(default_factory=dict)
    p_good: tuple = ()
    sinks: tuple = ()
    hook: object = None
    checks: dict = field(default_factory=dict)
    examiners: dict = field(default_factory=dict)
    speculate: Speculation | None = None
    latched: int = 0


def holding(hold, *tiers, **more):
    """These tiers under one hold."""
    kind = Hold(*hold) if isinstance(hold, tuple) else Hold(hold)
    return tuple(replace(tier, hold=kind, **more) for tier in tiers or TIERS)


def job_for(setting):
    """Plan one request as the API would."""
    route = Route(
        "waterfall",
        setting.tiers,
        thresholds=setting.thresholds,
        deadline=setting.deadline,
        ceiling=setting.ceiling,
        fall_down=setting.fall_down,
        speculate=setting.speculate,
    )
    asked = {"model": "waterfall", "messages": [{"role": "user", "content": "question"}]}
    request = ChatRequest({**asked, **({"stream": True} if setting.stream else {}), **setting.body})
    signals, difficulty = measure(request), Difficulty(setting.value, p_good=setting.p_good)
    return Job(
        request=request,
        origin=Origin("entry-1", "request-1", 1_700_000_000.0, stream=setting.stream),
        route=route,
        mode="enforce",
        signals=signals,
        difficulty=difficulty,
        plan=make_plan(route, signals, difficulty, past=Past(latched=setting.latched)),
        threshold=setting.thresholds[0],
        arrived=time.perf_counter(),
    )


def prepare(setting, scripts):
    """Return the engine, its job, its client and what watches them."""
    upstream, watch, line, ids = Scripted(scripts), Watch(), Line(setting.hook), count(1)
    parts = Parts(
        upstreams={"near": upstream},
        checks={**all_checks(MARKER), **setting.checks},
        journal=watch,
        sinks=setting.sinks,
        marker=MARKER,
        clock=time.perf_counter,
        wall=lambda: 1_700_000_000.0,
        new_id=lambda: f"call-{next(ids)}",
        examiners=setting.examiners,
    )
    if setting.stream:
        reply = StreamedReply(line.send, [], frozenset(), details=False)
    else:
        reply = PlainReply(line.send, [], frozenset())
    return Engine(parts), job_for(setting), reply, (upstream, watch, line)


async def serve(setting, scripts):
    """Serve one request to its end and tell its story."""
    engine, job, reply, (upstream, watch, line) = prepare(setting, scripts)
    entry = await engine.run(job, reply)
    assert watch.entries == [entry], "the entry is kept, once, before the last byte leaves"
    await reply.finish(entry)
    return Story(entry, upstream, watch, line, job.plan)
