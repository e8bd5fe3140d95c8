"""Values to JSON bytes, whatever a client or an upstream has put into them."""

from __future__ import annotations

import json

import orjson


def encode(value: object) -> bytes:
    """Write JSON as UTF-8; what UTF-8 cannot hold (a lone surrogate) becomes a question mark."""
    try:
        return orjson.dumps(value)
    except TypeError:
        return json.dumps(value, ensure_ascii=False, default=str).encode("utf-8", "replace")
