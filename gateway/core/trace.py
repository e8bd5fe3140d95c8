"""Trace context as W3C writes it (`traceparent`), with ids that the ledger has anyway.

A request's trace is the client's, or its own entry's id; a span's id is the second half of the id
of what it is about. Both can be found again from a row of the ledger.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from gateway.core.ledger import Origin

_PARENT = re.compile(r"00-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})")
_SAMPLED = 1
_HALF = (1 << 64) - 1
_CHANCE = 1 << 56
_STEP = 0x9E3779B97F4A7C15  # odd, so that no two steps from one id meet


@dataclass(frozen=True, slots=True)
class Trace:
    """Where a request's spans belong: `parent` is the client's span, 0 without one."""

    trace_id: int
    parent: int
    sampled: bool


def read_traceparent(header: str | None) -> str:
    """Return a client's `traceparent`, or nothing where it is not one."""
    return header if header and _PARENT.fullmatch(header) else ""


def sent_trace_id(header: str) -> str:
    """Return the trace of what `read_traceparent` has returned; nothing where that is nothing."""
    return header[3:35]


def trace_of(origin: Origin, share: float) -> Trace:
    """Return the trace of a request. A client that sends one decides itself whether it is kept;
    of the others `share` are."""
    found = _PARENT.fullmatch(origin.trace)
    if found:
        flags = int(found[3], 16)
        return Trace(int(found[1], 16), int(found[2], 16), bool(flags & _SAMPLED))
    own = _number(origin.entry_id)
    return Trace(own, 0, own % _CHANCE < share * _CHANCE)


def span_id(of: str, step: int = 0) -> int:
    """Return the id of the span about what has this UUID; or, by steps from 1, of its parts."""
    return (_number(of) + step * _STEP) & _HALF


def traceparent(trace: Trace, span: int) -> str:
    """Write the header by which what `span` calls goes on in the trace."""
    return f"00-{trace.trace_id:032x}-{span:016x}-{int(trace.sampled):02x}"


def _number(uuid: str) -> int:
    return int(uuid.replace("-", ""), 16)
