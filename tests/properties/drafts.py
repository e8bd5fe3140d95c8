"""Random waterfalls: tiers, what each of them says and how it is cut up, and what goes wrong.

Every tier writes in letters of its own, so that a letter on the client's line says whose it is.
"""

from __future__ import annotations

import asyncio
from contextvars import ContextVar
from dataclasses import dataclass, replace

from engine.scripted import Unsent, chunk, usage
from engine.serving import MARKER, UNSURE, Setting
from hypothesis import strategies as st

from gateway.core.errors import (
    ContentRefused,
    ContextTooLong,
    UpstreamBusy,
    UpstreamDown,
    UpstreamRejected,
    UpstreamTimeout,
)
from gateway.core.money import Price
from gateway.core.plan import Hold, Tier
from gateway.core.verdict import ABSTAIN, PASS, Bar, CheckSpec, Finding

LETTERS = ("αβγδ", "жзиы", "אבגד", "カキクケ")
"""Each tier's alphabet; whoever writes its first letter is deferred, however little was said."""
BAR = Bar(checks=tuple(CheckSpec(name) for name in ("shape", "unsure", "taste", "sure")))
FAULTS = (
    UpstreamDown("reset", kind="server"),
    UpstreamTimeout("silence"),
    UpstreamBusy("busy"),
    UpstreamRejected("bad"),
    ContextTooLong("long"),
    ContentRefused("no"),
)


def taste(request, reply):
    """Fail a reply with a bad letter anywhere in it: a prefix is enough."""
    said = "".join(c.text + str(c.tool_calls) + c.refusal for c in reply.choices)
    if any(letters[0] in said for letters in LETTERS):
        return Finding("fail", "refusal")
    return PASS if reply.complete else ABSTAIN


def sure(request, reply):
    """Be less sure of a reply the longer it is."""
    if not reply.complete:
        return ABSTAIN
    return Finding("pass", confidence=1 / (1 + len(reply.text) / 16))


@dataclass(frozen=True)
class Waterfall:
    """A setting, what each tier says, and at which message the client hangs up (None: never)."""

    setting: Setting
    scripts: dict
    hangs_up: int | None = None


REQUEST = ContextVar("request")
"""The task in which the request is served."""


async def cancel():
    """The client hangs up here."""
    REQUEST.get().cancel()
    await asyncio.sleep(0)


@st.composite
def tier(draw, place):
    kind = draw(st.sampled_from(["reply", "tokens", "tokens", "sentence", "none"]))
    return Tier(
        f"tier-{place}",
        "near",
        f"model-{place}",
        Price(10**6 * 10**place, 3 * 10**6 * 10**place, request=place),
        recipe=draw(st.sampled_from([None, UNSURE])),
        bar=BAR,
        hold=Hold(kind, draw(st.integers(1, 3))),
        context=draw(st.sampled_from([None, 10_000, 20_000])),
    )


def texts(letters, *, told):
    """A text in these letters, perhaps with what begins like the marker; whole if it is told."""
    words = st.text(letters, min_size=1, max_size=9)
    plain = st.lists(words | st.sampled_from([" ", ". ", ".\n", "["]), max_size=8).map("".join)
    whole = [MARKER, MARKER + letters[1:], "[" + MARKER, MARKER[:7] + MARKER]
    extra = st.sampled_from(["", "", MARKER[:7], *(whole if told else ())])
    first = st.sampled_from(["", letters[0]])
    return st.tuples(first, plain, extra, st.text(letters[1:], max_size=4)).map("".join)


def cut_up(draw, text):
    cuts = sorted(draw(st.sets(st.integers(1, max(1, len(text) - 1)), max_size=5)))
    return [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]


@st.composite
def choice(draw, index, letters, *, told, finished):
    """One choice's chunks."""
    chunks = [chunk("", index=index, role="assistant")] if draw(st.booleans()) else []
    if draw(st.integers(0, 4)) == 4:
        thought = draw(texts(letters, told=told))
        name = draw(st.sampled_from(["reasoning", "reasoning_content"]))
        chunks += [chunk(index=index, **{name: part}) for part in cut_up(draw, thought)]
    said = cut_up(draw, draw(texts(letters, told=told)))
    logprobs = draw(st.sampled_from([None, None, -0.25]))
    chunks += [chunk(part, index=index, logprobs=logprobs) for part in said]
    for at in range(draw(st.sampled_from([0, 0, 0, 1, 2]))):
        for part in cut_up(draw, draw(st.text(letters, min_size=1, max_size=9))):
            call = {"index": at, "function": {"arguments": part}}
            chunks.append(chunk(index=index, tool_calls=[call]))
    if finished or draw(st.integers(0, 3)) < 3:
        finish = draw(st.sampled_from(["stop", "stop", "stop", "length"]))
        chunks.append(chunk(index=index, finish=finish))
    return chunks or [chunk("", index=index)]


def interleaved(draw, several):
    several, out = [list(each) for each in several], []
    while any(several):
        out.append(draw(st.sampled_from([each for each in several if each])).pop(0))
    return out


@st.composite
def script(draw, letters, choices, *, told, calm):
    """What a tier says, to its end or to a fault; a calm one fails before its first word or not."""
    letters = draw(st.sampled_from([letters, letters[1:]]))
    said = [draw(choice(index, letters, told=told, finished=calm)) for index in range(choices)]
    events = interleaved(draw, said)
    if calm or draw(st.booleans()):
        events.append(usage(draw(st.integers(0, 99)), draw(st.integers(0, 99))))
    fault = draw(st.sampled_from([None] * 2 * len(FAULTS) + list(FAULTS)))
    if calm:
        return events if fault is None else [fault]
    at = draw(st.integers(0, len(events)))
    if draw(st.integers(0, 5)) == 5:
        events.insert(draw(st.integers(0, len(events))), {})  # a heartbeat
    if fault is not None:
        events[at:] = [Unsent(fault)] if at == 0 and draw(st.booleans()) else [fault]
    elif draw(st.integers(0, 15)) == 15:
        events.insert(at, cancel)
    return events


@st.composite
def waterfalls(draw, *, calm=False):
    """A whole waterfall. A calm one breaks nothing off, is never cancelled, and is held whole."""
    count = draw(st.integers(2, 4))
    tiers = tuple(draw(tier(place)) for place in range(count))
    if calm:
        tiers = tuple(replace(each, hold=Hold("reply")) for each in tiers)
    choices = draw(st.sampled_from([1, 1, 1, 2, 3]))
    body = {"n": choices, "stream_options": {"include_usage": True}}
    if draw(st.booleans()):
        body["logprobs"] = True
    setting = Setting(
        tiers=tiers,
        stream=True,
        value=draw(st.sampled_from([0.0, 0.0, 0.0, 0.5, 1.0])),
        thresholds=(0.4, 0.9)[: count - 1],
        fall_down=draw(st.booleans()),
        ceiling=draw(st.sampled_from([None, None, 5_000_000])),
        body=body if calm or draw(st.booleans()) else {"n": choices},
        p_good=draw(st.sampled_from([(), (0.5, 0.75), (0.9, 0.9)])),
        checks={"taste": taste, "sure": sure},
    )
    scripts = {
        each.name: [
            draw(script(LETTERS[place], choices, told=each.recipe is not None, calm=calm))
            for _ in range(draw(st.integers(1, 2)))
        ]
        for place, each in enumerate(tiers)
    }
    hangs_up = None if calm else draw(st.sampled_from([None] * 12 + [0, 1, 3]))
    return Waterfall(setting, scripts, hangs_up)
