"""Replies of Anthropic's Messages as its documentation shows them, with unmistakable numbers."""

from __future__ import annotations

import orjson

THOUGHT = {"type": "thinking", "thinking": "Two wheels.", "signature": "c2lnbmVk"}
CALL = {"type": "tool_use", "id": "toolu_7", "name": "weather", "input": {"place": "Ulm", "k": 3}}
USED = {
    "input_tokens": 41,
    "cache_creation_input_tokens": 300,
    "cache_read_input_tokens": 2000,
    "output_tokens": 17,
}
MESSAGE = {
    "id": "msg_01",
    "type": "message",
    "role": "assistant",
    "model": "claude-theirs",
    "content": [THOUGHT, {"type": "text", "text": "I shall look."}, CALL],
    "stop_reason": "tool_use",
    "stop_sequence": None,
    "usage": {**USED, "service_tier": "standard"},
    "odd": [1, None],
}


def stream_of(*blocks, stop="end_turn", sequence=None, size=3):
    """The events of a message: each block in pieces of `size` characters."""
    started = {**MESSAGE, "content": [], "stop_reason": None, "usage": {**USED, "output_tokens": 1}}
    told = [{"type": "message_start", "message": started}, {"type": "ping"}]
    for index, block in enumerate(blocks):
        told += _block(index, block, size)
    ended = {"stop_reason": stop, "stop_sequence": sequence}
    told.append({"type": "message_delta", "delta": ended, "usage": {"output_tokens": 17}})
    return [*told, {"type": "message_stop"}]


def _block(index, block, size):
    kind = block["type"]
    empty = {"text": {"text": ""}, "tool_use": {"input": {}}}
    empty["thinking"] = {"thinking": "", "signature": ""}
    begun = {**block, **empty.get(kind, {})}
    yield {"type": "content_block_start", "index": index, "content_block": begun}
    if kind == "tool_use":
        text = orjson.dumps(block["input"]).decode()
        yield from _pieces(index, "input_json_delta", "partial_json", text, size)
    elif kind == "text":
        yield from _pieces(index, "text_delta", "text", block["text"], size)
    elif kind == "thinking":
        yield from _pieces(index, "thinking_delta", "thinking", block["thinking"], size)
        yield from _pieces(index, "signature_delta", "signature", block["signature"], 10**6)
    yield {"type": "content_block_stop", "index": index}


def _pieces(index, kind, field, text, size):
    for place in range(0, len(text), size):
        delta = {"type": kind, field: text[place : place + size]}
        yield {"type": "content_block_delta", "index": index, "delta": delta}


def named(events):
    """Events as their bytes on the wire, one each."""
    return [b"event: %b\ndata: %b\n\n" % (e["type"].encode(), orjson.dumps(e)) for e in events]
