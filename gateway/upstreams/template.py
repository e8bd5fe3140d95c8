"""Reads the chunks of a stream that differ from one before them in their text alone.

Nearly all of a stream's are like that, and seeing that one is takes a small part of what reading
its JSON does. What comes out is the same to the letter: where there is any doubt, nothing does.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from orjson import JSONDecodeError, dumps, loads

from gateway.core.chat import Delta, Piece
from gateway.core.streaming import DATA

_PROBE = "~a probe~"
_WRITTEN = rb"~a\u0020probe~"
"""The probe as no writer of JSON would write it: does it come out as it stands, or anew?"""
_CONTENT = re.compile(rb'"content": ?("(?:[^"\\]|\\.)*")')
_EVENT, _END = b"data: ", b"\n\n"
_PADDED = b'"}' + _END
_PADDINGS = frozenset({"obfuscation", "p"})
"""What providers call a string that is never twice the same, put there against onlookers."""
TRIES = 4
"""How often a stream's chunks may turn out to be of another form, until it is left at that."""


@dataclass(frozen=True, slots=True)
class _Form:
    """A chunk around its text: `before` and `after` are its event's bytes, up to its `padding` if
    it ends in one, `seen_before` and `seen_after` those that the client may see. They end and begin
    with a quote, and are at `head` and `tail`; `place` is where the text is, in its quotes.
    `is_anew` says that the client sees it written anew, `is_whole` that it sees all of the event.
    What is read is `payload`, with `choice` in it, and `said` in that."""

    before: bytes
    after: bytes
    seen_before: bytes
    seen_after: bytes
    payload: Mapping[str, Any]
    choice: Mapping[str, Any]
    said: Mapping[str, Any]
    padding: str
    index: int
    head: slice
    place: slice
    tail: slice
    is_anew: bool
    is_whole: bool


class Template:
    """One stream's. `read` is how an event's data is read where no form is known."""

    __slots__ = ("_form", "_read", "_tries")

    def __init__(self, read: Callable[[bytes], Delta | None]) -> None:
        self._read = read
        self._form: _Form | None = None
        self._tries = TRIES

    def read(self, block: bytes) -> Delta | None:
        """Read a block that is one whole event of the form that is known; None if it is not."""
        quoted = self.quote(block)
        form = self._form
        if quoted is None or form is None:
            return None
        index, text, event = quoted
        choice = {**form.choice, "delta": {**form.said, "content": text}}
        payload = {**form.payload, "choices": [choice]}
        if form.padding:
            at = block.rindex(form.after) + len(form.after)
            payload[form.padding] = block[at : -len(_PADDED)].decode()
        return Delta((Piece(index, text),), None, event[DATA], payload)

    def quote(self, block: bytes) -> tuple[int, str, bytes] | None:
        """Read as much of it as `Intake.pass_on` wants: its choice's index, its text, and the event
        that the client may see."""
        form = self._form
        # By slices: `startswith` and `endswith` read their arguments at 300 instructions more each.
        if form is None or block[form.head] != form.before:
            return None
        if form.padding:
            said = _before_padding(form, block)
        elif block[form.tail] == form.after:
            said = block[form.place]
        else:
            return None
        try:
            text = loads(said)  # all of it, from quote to quote: or it was not one text
        except JSONDecodeError:
            return None
        return form.index, text, block if form.is_whole else _seen(form, said, block)

    def learn(self, block: bytes, delta: Delta) -> None:
        """Learn the form of a block which is one event, and was read as this delta."""
        if not self._tries or len(delta.pieces) != 1 or not delta.raw or delta.usage is not None:
            return
        piece = delta.pieces[0]
        if not piece.text or piece != Piece(piece.index, piece.text) or not _is_bare(block):
            return
        form = self._form
        if form is not None and block.startswith(form.before) and form.after in block:
            return  # only its text was out of the ordinary
        self._tries -= 1
        self._form = self._form_of(block, delta, piece)

    def _form_of(self, block: bytes, delta: Delta, piece: Piece) -> _Form | None:
        """Put something else in the text's place: is that what is read then, and nothing else?"""
        place = _place(block, piece.text)
        if place is None or _PROBE.encode() in block or _WRITTEN in block:
            return None
        before, after = block[: place.start], block[place.stop :]
        read = self._read((before + _WRITTEN + after)[DATA])
        if read is None or read.raw is None:
            return None
        is_anew = _WRITTEN not in read.raw
        raw_before, found, raw_after = read.raw.partition(_PROBE.encode() if is_anew else _WRITTEN)
        (choice,) = delta.payload["choices"]
        said = {**choice["delta"], "content": _PROBE}
        payload = {**delta.payload, "choices": [{**choice, "delta": said}]}
        same = read.payload == payload and read.pieces == (Piece(piece.index, _PROBE),)
        if not (same and found):
            return None
        seen_before, seen_after = _EVENT + raw_before, raw_after + _END
        *_, (name, padding) = delta.payload.items()
        if name in _PADDINGS and isinstance(padding, str) and padding.isalnum():
            end = padding.encode() + _PADDED
            if not (after.endswith(end) and seen_after.endswith(end)):
                return None
            after, seen_after = after[: -len(end)], seen_after[: -len(end)]
        else:
            name = ""
        return _Form(
            before,
            after,
            seen_before,
            seen_after,
            delta.payload,
            choice,
            choice["delta"],
            name,
            piece.index,
            slice(len(before)),
            slice(len(before) - 1, 1 - len(after)),
            slice(-len(after), None),
            is_anew=is_anew,
            is_whole=(before, after) == (seen_before, seen_after),
        )


def _before_padding(form: _Form, block: bytes) -> bytes:
    """Return the text of an event that ends in padding, in its quotes; nothing if it is not one of
    this form."""
    said, found, rest = block[form.place.start :].partition(form.after)
    return said + b'"' if found and _is_padding(rest) else b""


def _seen(form: _Form, said: bytes, block: bytes) -> bytes:
    """Take out of an event of this form what the client is not to see."""
    rest = block[form.place.start + len(said) - 1 + len(form.after) :]
    seen = dumps(loads(said)) if form.is_anew else said
    return b"".join((form.seen_before, seen[1:-1], form.seen_after, rest))


def _is_padding(rest: bytes) -> bool:
    """Is it some letters and digits, and then the end?"""
    return rest.endswith(_PADDED) and rest[: -len(_PADDED)].isalnum()


def _is_bare(block: bytes) -> bool:
    """Is it one event of one line of data, and nothing else?"""
    lines = block.startswith(_EVENT) and block.endswith(_END) and block.count(b"\n") == len(_END)
    return lines and b"\r" not in block


def _place(block: bytes, text: str) -> slice | None:
    """Return where the text is, as it stands in a chunk's JSON; None where that is not clear."""
    found = []
    for match in _CONTENT.finditer(block):
        with suppress(JSONDecodeError):
            if loads(match[1]) == text:
                found.append(slice(match.start(1) + 1, match.end(1) - 1))
    return found[0] if len(found) == 1 else None
