"""One reply as a row of steps in time, before any wire: what the server writes to a socket and
the upstream in process turns into deltas."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from random import Random
from typing import Any, Literal

from gateway.upstreams.simulated.behaviour import Pace
from gateway.upstreams.simulated.generate import Speech
from gateway.upstreams.simulated.render import DONE, events, plain_body, usage_event, usage_json
from gateway.upstreams.simulated.script import Fault

JSON = "application/json"
EVENTS = "text/event-stream"


class Mark(Enum):
    """Moments of a reply: its head leaves; it is whole; the connection ends, or is reset."""

    HEAD = "head"
    END = "end"
    FIN = "fin"
    RESET = "reset"


@dataclass(frozen=True, slots=True)
class Wait:
    """Time passes, in seconds; `tokens` are generated meanwhile, unseen."""

    seconds: float
    tokens: int = 0


@dataclass(frozen=True, slots=True)
class Part:
    """An event's data, or (a piece of) a body. `tokens` are new with it; `usage` is told in it."""

    data: bytes
    tokens: int = 0
    usage: Mapping[str, Any] | None = None


Step = Mark | Wait | Part
FOREVER = Wait(math.inf)


@dataclass(frozen=True, slots=True)
class Show:
    """A reply to be performed. `promised` is the body's announced length where it is not the
    true one; `framing` is how odd the wire is where the steps are not: raw says that the parts of a
    stream are whole events."""

    steps: tuple[Step, ...]
    status: int = 200
    content_type: str = JSON
    headers: tuple[tuple[str, str], ...] = ()
    promised: int | None = None
    framing: Literal["", "odd", "drip", "raw"] = ""
    drip: float = 0.0
    fault: Fault | None = None

    @property
    def streams(self) -> bool:
        """Is it a stream of events?"""
        return self.content_type == EVENTS


def error_show(status: int, body: bytes, headers: tuple[tuple[str, str], ...] = ()) -> Show:
    """Answer with an error."""
    return Show((Mark.HEAD, Part(body), Mark.END), status, JSON, headers)


def stage(
    speech: Speech,
    body: Mapping[str, Any],
    call_id: str,
    created: int,
    pace: Pace,
    random: Random | None,
) -> Show:
    """Set a speech in time: plain or streamed, as the body asks. Without `random` it is instant."""
    tops = int(body.get("top_logprobs") or 0)
    told = usage_json(speech.usage)
    if not body.get("stream"):
        whole = Part(plain_body(speech, call_id, created, tops), 0, told)
        waits = _total(pace, speech.usage.completion, random)
        return Show((Wait(waits, speech.usage.completion), Mark.HEAD, whole, Mark.END))
    steps: list[Step] = [Wait(_first(pace, random)), Mark.HEAD]
    for data, tokens in events(speech, call_id, created, tops):
        if random and tokens and pace.per_token:
            steps.append(Wait(_gap(pace, random)))
        steps.append(Part(data, tokens))
    if _wants_usage(body):
        steps.append(Part(usage_event(speech, call_id, created), 0, told))
    return Show((*steps, Part(DONE), Mark.END), content_type=EVENTS)


def _wants_usage(body: Mapping[str, Any]) -> bool:
    options = body.get("stream_options")
    return isinstance(options, Mapping) and bool(options.get("include_usage"))


def _first(pace: Pace, random: Random | None) -> float:
    return pace.first_token * random.lognormvariate(0.0, pace.first_sigma) if random else 0.0


def _gap(pace: Pace, random: Random) -> float:
    return pace.per_token * random.lognormvariate(0.0, pace.token_sigma)


def _total(pace: Pace, tokens: int, random: Random | None) -> float:
    if random is None:
        return 0.0
    first = _first(pace, random)
    return first + sum(_gap(pace, random) for _ in range(tokens)) if pace.per_token else first
