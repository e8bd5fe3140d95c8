"""Cuts the not-sure marker out of a draft's deltas, wherever they are split."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from gateway.core.chat import Delta
from gateway.core.recipes import marker_at, marker_overlap
from gateway.core.shortening import call_number

_ASIDES = ("refusal", "reasoning_content", "reasoning")
"""Texts beside a choice's content in which a model may write the marker too."""
Place = tuple[int, str | int]
"""Where a text is: its choice's index, and the name of its field or a call of a tool's number."""


class MarkerFilter:
    """Cuts a marker, and what follows it in the same text, out of deltas split anywhere.

    A delta whose text may begin a marker waits, with all that come after it, until that is
    known, so that what holds no marker passes just as it came.
    """

    def __init__(self, marker: str) -> None:
        """`marker` is not empty."""
        self._marker = marker
        self._waiting: list[Delta] = []
        self._tails: dict[Place, str] = {}
        """Of each text, the end that may begin a marker."""
        self._cut: set[Place] = set()

    def feed(self, delta: Delta) -> list[Delta]:
        """Take one delta; return those that may pass, in order."""
        if not (self._tails or self._cut) and self._is_without(delta):
            return [delta]
        self._waiting.append(delta)
        for place, text in texts_of(delta):
            self._look(place, text)
        ended = {piece.index for piece in delta.pieces if piece.finish}
        for place in [at for at in self._tails if at[0] in ended]:
            self._end(place)
        return [] if self._tails else self.flush()

    def flush(self) -> list[Delta]:
        """Return what waits: nothing that could make it a marker will come."""
        for place in list(self._tails):
            self._end(place)
        ready, self._waiting = self._waiting, []
        return [self._scrubbed(delta) for delta in ready]

    def _is_without(self, delta: Delta) -> bool:
        """Is there no text that could begin the marker, to be seen at once? Its own bracket is the
        only one there is, the list of choices', and none is escaped. (Most tokens: 7 us less.)"""
        raw = delta.raw
        return (
            raw is not None
            and delta.native is None
            and bool(delta.pieces)
            and self._marker[0] == "["
            and raw.count(b"[") == 1
            and b"\\u" not in raw
        )

    def _end(self, place: Place) -> None:
        """Nothing more of this text will come: drop the marker that it was cut off in."""
        tail = self._tails.pop(place)
        if marker_at(tail, self._marker) >= 0:
            self._drop(place, len(tail))

    def _scrubbed(self, delta: Delta) -> Delta:
        """Take the marker out of whatever other field a server has put it in, in its own dialect
        too."""
        own, mark = delta.native, self._marker.encode()
        if own is not None and mark in own.data:
            delta = delta._replace(native=replace(own, data=own.data.replace(mark, b"")))
        if delta.raw is not None and mark not in delta.raw:
            return delta
        payload = _without(delta.payload, self._marker)
        return delta if payload == delta.payload else delta._replace(raw=None, payload=payload)

    def _look(self, place: Place, text: str) -> None:
        if place in self._cut:
            self._drop(place, len(text))
            return
        seen = self._tails.pop(place, "") + text
        at = seen.find(self._marker)
        if at >= 0:
            self._cut.add(place)
            self._drop(place, len(seen) - at)
        elif keep := marker_overlap(seen, self._marker):
            self._tails[place] = seen[-keep:]

    def _drop(self, place: Place, count: int) -> None:
        """Drop the last `count` characters of a text from the deltas that wait."""
        for turn in reversed(range(len(self._waiting))):
            if not count:
                return
            delta = self._waiting[turn]
            text = next((text for at, text in texts_of(delta) if at == place), "")
            drop = min(count, len(text))
            if drop:
                self._waiting[turn] = delta.shorten(*place, text[: len(text) - drop])
                count -= drop


def _without(value: Any, marker: str) -> Any:
    if isinstance(value, str):
        return value.replace(marker, "")
    if isinstance(value, Mapping):
        return {name: _without(inner, marker) for name, inner in value.items()}
    if isinstance(value, list):
        return [_without(inner, marker) for inner in value]
    return value


def texts_of(delta: Delta) -> Iterator[tuple[Place, str]]:
    """Yield each text that is there, and where it is."""
    for choice in delta.payload.get("choices") or ():
        said = choice.get("delta" if "delta" in choice else "message")
        for name in _ASIDES if isinstance(said, Mapping) else ():
            if isinstance(said.get(name), str) and said[name]:
                yield (choice.get("index", 0), name), said[name]
    for piece in delta.pieces:
        if piece.text:
            yield (piece.index, "content"), piece.text
        for position, call in enumerate(piece.tool_calls):
            arguments = (call.get("function") or {}).get("arguments")
            if arguments:
                yield (piece.index, call_number(call, position)), arguments
