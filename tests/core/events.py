"""Events of a stream, as an upstream's adapter would hand them over, and what a client reads."""

from __future__ import annotations

import json

from gateway.core.chat import Delta, Piece

MARKER = "[unsure:0123456789abcdef]"
HEARTBEAT = Delta()


def event(text="", index=0, finish=None, tool_calls=(), **said):
    """One event as an upstream's adapter would hand it over."""
    calls = {"tool_calls": list(tool_calls)} if tool_calls else {}
    delta = {"content": text, **calls, **said}
    payload = {"choices": [{"index": index, "delta": delta, "finish_reason": finish}]}
    refusal = said.get("refusal", "")
    piece = Piece(index, text, refusal, finish, tool_calls=tuple(tool_calls))
    return Delta((piece,), None, json.dumps(payload).encode(), payload)


def event_of(choices):
    """One event of which an adapter has made out nothing."""
    payload = {"choices": choices}
    return Delta((), None, json.dumps(payload).encode(), payload)


def said(deltas):
    return "".join(piece.text for delta in deltas for piece in delta.pieces)
