"""Server-sent events: legal oddities, any split, and the specification's own line rules."""

from __future__ import annotations

import re
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.upstreams.sse import Decoder, Event, EventTooLarge

ODDITIES = {
    "common": (b'data: {"a": 1}\n\n', [Event(b'{"a": 1}')]),
    "two in a block": (b"data: 1\n\ndata: 2\n\n", [Event(b"1"), Event(b"2")]),
    "crlf": (b"data: 1\r\n\r\ndata: 2\r\n\r\n", [Event(b"1"), Event(b"2")]),
    "cr": (b"data: 1\r\rdata: 2\r\r", [Event(b"1"), Event(b"2")]),
    "all line ends": (
        b"data: 1\r\n\ndata: 2\r\r\ndata: 3\n\r",
        [Event(b"1"), Event(b"2"), Event(b"3")],
    ),
    "no space": (b"data:1\n\n", [Event(b"1")]),
    "two spaces": (b"data:  1\n\n", [Event(b" 1")]),
    "multi-line": (b"data: {\ndata: }\n\n", [Event(b"{\n}")]),
    "mark": (b"\xef\xbb\xbfdata: 1\n\n", [Event(b"1")]),
    "mark only at the start": (b"data: 1\n\n\xef\xbb\xbfdata: 2\n\n", [Event(b"1")]),
    "comments": (b": hi\n:\ndata: 1\n: hi\n\n:\n\n", [Event(b"1")]),
    "other fields": (b"id: 7\nretry: 9\ndata: 1\nwhat: ever\n\n", [Event(b"1")]),
    "named": (b"event: error\ndata: 1\n\ndata: 2\n\n", [Event(b"1", b"error"), Event(b"2")]),
    "a name without data": (b"event: error\n\ndata: 2\n\n", [Event(b"2")]),
    "empty data": (b"data\n\ndata:\n\n", [Event(b""), Event(b"")]),
    "blank lines": (b"\n\n\ndata: 1\n\n\n\n\ndata: 2\n\n\n", [Event(b"1"), Event(b"2")]),
    "colons": (b"data: a: b:c\n\n", [Event(b"a: b:c")]),
    "not quite data": (b" data: 1\ndata : 1\ndatum: 1\nDATA: 1\n\n", []),
    "done": (b"data: 1\n\ndata: [DONE]\n\n", [Event(b"1"), Event(b"[DONE]")]),
    "split characters": ("data: 🌊é\n\n".encode(), [Event("🌊é".encode())]),
    "unfinished": (b"data: 1\n\ndata: 2\n", [Event(b"1")]),
}


def read(blocks, **options):
    decoder = Decoder(**options)
    return [event for block in blocks for event in decoder.feed(block)]


@pytest.mark.parametrize(("text", "expected"), ODDITIES.values(), ids=ODDITIES)
def test_an_oddity_reads_the_same_at_once_and_byte_by_byte(text, expected):
    assert Decoder().feed(text) == expected
    assert read(text[at : at + 1] for at in range(len(text))) == expected


def test_five_thousand_events_in_one_block():
    text = b"".join(b"data: %d\n\n" % number for number in range(5000))
    assert Decoder().feed(text) == [Event(b"%d" % number) for number in range(5000)]


@pytest.mark.parametrize(
    ("text", "left"),
    [
        (b"", False),
        (b"data: 1\n\n", False),
        (b"data: 1\r\n\r", False),
        (b": bye\n", False),
        (b"data: 1\n", True),
        (b"data: 1", True),
        (b"\xef\xbb", True),
    ],
)
def test_close_tells_of_an_unfinished_event(text, left):
    decoder = Decoder()
    decoder.feed(text)
    assert decoder.close() is left


# ------------------------------------------------------------------ any split

PARTS = [
    "data",
    "event",
    "id",
    ":",
    " ",
    "a",
    "🌊",
    "\n",
    "\n\n",
    "\r",
    "\r\n",
    "\ufeff",
    "data: x",
]
TEXTS = st.lists(st.sampled_from(PARTS), max_size=40).map(lambda parts: "".join(parts).encode())


def reference(text: bytes) -> list[Event]:
    """The specification's rules, line by line, over the whole stream at once."""
    lines = re.split(rb"\r\n|\n|\r", text.removeprefix(b"\xef\xbb\xbf"))[:-1]
    found, data, name = [], b"", b""
    for line in lines:
        field, _, value = line.partition(b":")
        value = value[1:] if value[:1] == b" " else value
        if not line:
            if data:
                found.append(Event(data[:-1], name))
            data = name = b""
        elif field == b"data":
            data += value + b"\n"
        elif field == b"event":
            name = value
    return found


@given(text=TEXTS, cuts=st.lists(st.integers(0, 120), max_size=12))
@example(text=b"data: x\r\n\r\n", cuts=[8, 9, 10])
def test_any_split_reads_as_the_specification_says(text, cuts):
    edges = sorted({0, len(text), *(cut for cut in cuts if cut < len(text))})
    assert read(text[a:b] for a, b in pairwise(edges)) == reference(text)


# ------------------------------------------------------------------ bounds

TOO_LARGE = {
    "a long line": b"data: " + b"x" * 100,
    "an ended one": b"data: " + b"x" * 100 + b"\n\n",
    "many lines": b"data: xxxxxxxxx\n" * 10 + b"\n",
    "empty lines count": b"data\n" * 100,
    "not even a field": b"x" * 101,
    "a comment": b":" + b"x" * 100 + b"\n",
}


@pytest.mark.parametrize("text", TOO_LARGE.values(), ids=TOO_LARGE)
@pytest.mark.parametrize("size", [1, 7, 1000])
def test_an_event_over_the_limit_is_refused(text, size):
    with pytest.raises(EventTooLarge, match="64"):
        read((text[at : at + size] for at in range(0, len(text), size)), limit=64)


def test_many_small_events_are_not_one_large_one():
    decoder = Decoder(limit=16)
    assert sum(len(decoder.feed(b"data: 12345\n\n: hello\n")) for _ in range(100)) == 100


def test_a_long_line_in_small_pieces_is_joined_once():
    """Each piece is kept as it came: re-joining at every feed would be quadratic."""
    decoder = Decoder()
    for _ in range(1000):
        decoder.feed(b"x" * 1000)
    assert len(decoder._line) == 1000
    assert decoder._line_size == 1_000_000
