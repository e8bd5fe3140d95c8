"""Bodies of so many pieces that reading them would hold up everybody else."""

from __future__ import annotations

import json

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.api import http
from gateway.core.errors import BadRequest

MANY = 100_001


@pytest.mark.parametrize(
    "sprawl",
    [
        b"[" + b"[]," * MANY + b"[]]",
        b"[" + b'{"a": 1},' * MANY + b"0]",
        b'["\\\\",' + b"[]," * MANY + b"0]",
        b'["\\"",' + b"[]," * MANY + b"0]",
        b"[" + b"0," * 2_000_001 + b"0]",
    ],
)
def test_many_pieces_are_refused_unread(monkeypatch, sprawl):
    monkeypatch.setattr(http.orjson, "loads", lambda _: pytest.fail("it was read"))
    with pytest.raises(BadRequest, match="objects and lists"):
        http.json_object(b'{"a":' + sprawl + b"}")


@pytest.mark.parametrize("text", ["[{,", '"[', "\\[", '\\"[', '["[,\\'])
def test_text_may_hold_whatever_it_likes(text):
    body = {"a": text * 800_000, "b": [text] * 1000}
    assert http.json_object(orjson.dumps(body)) == body


JSON = st.recursive(
    st.text('[]{},":\\ a', max_size=6) | st.integers(0, 9),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text('[{,"\\'), inner, max_size=3)
    ),
    max_leaves=12,
)


def pieces(value):
    """How many objects and lists a value is made of."""
    if not isinstance(value, dict | list):
        return 0
    return 1 + sum(map(pieces, value.values() if isinstance(value, dict) else value))


@given(st.dictionaries(st.text(max_size=3), JSON, max_size=4), st.integers(0, 12), st.booleans())
@settings(max_examples=150, deadline=None)
def test_what_is_counted_is_what_there_is(body, most, ascii_only):
    raw = json.dumps(body, ensure_ascii=ascii_only).encode("utf-8", "surrogatepass")
    refused = False
    try:
        http._refuse_sprawl(raw, most)
    except BadRequest:
        refused = True
    assert refused == (pieces(body) > most)
