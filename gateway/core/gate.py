"""Holds a tier's deltas back until there is a verdict, then lets them through or not at all.

Sans-IO: deltas go in, the deltas that may be sent now come out; the engine owns the sockets.

Two promises are kept here. Nothing of a draft leaves before its hold is over and its prefix has
been accepted; what never left can be dropped without a trace. And the not-sure marker never
leaves: a delta waits while its text could still grow into the marker, and whatever follows a
marker is cut off with it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from gateway.core.chat import Delta, Draft, Piece, Reply
from gateway.core.plan import Hold
from gateway.core.recipes import marker_at, marker_overlap
from gateway.core.shortening import call_number
from gateway.core.verdict import LAST_TIER, TRUSTED, Verdict

_SENTENCE = re.compile(r"[.!?](?:\s|$)|[\n\u3002\uff01\uff1f\uff61]")
"""A stop with a space after it, or at the end of what has come; a line's end; a stop of Chinese
or Japanese, which no space follows."""
_SENTENCE_FLOOR = 24
"""Characters before a first sentence may count as one: `1.` or `Hm.` says nothing yet."""
_ASIDES = ("refusal", "reasoning_content", "reasoning")
"""Texts beside a choice's content in which a model may write the marker too."""
_WHOLE = Hold("reply")
_Place = tuple[int, str | int]
"""Where a text is: its choice's index, and the name of its field or a call of a tool's number."""


class Gate:
    """One draft's gate.

    `judged` False opens it from the start (the last tier, or one fallen to). `judge_prefix`
    weighs an incomplete reply, in which each of `choices` has begun; `may_defer` says whether a
    deferral now would lead anywhere: if not, the draft is held on, since it may yet be the best
    there is. `lost` hears each delta that is held, and returns a verdict as soon as what has come
    is enough to defer it.
    """

    def __init__(
        self,
        hold: Hold,
        *,
        judged: bool,
        stream: bool,
        judge_prefix: Callable[[Reply], Verdict],
        may_defer: Callable[[], bool],
        marker: str = "",
        choices: int = 1,
        lost: Callable[[Delta], Verdict | None] | None = None,
        forwarded: bool = False,
    ) -> None:
        """`marker` is empty when the tier's recipe has none; `forwarded` says that whoever gets the
        deltas sends them on just as they came, where they are not altered."""
        self.draft = Draft()
        self.verdict: Verdict | None = None
        self.deferred = False
        self.released = False
        self._held: list[Delta] = []
        self._visible = False
        self._filter = MarkerFilter(marker) if marker else None
        self._judge_prefix = judge_prefix
        self._may_defer = may_defer
        self._lost = lost
        self._forwarded = forwarded and stream
        self._hold = hold if stream else _WHOLE
        self._choices = choices
        self._sentences = _Sentences() if self._hold.policy == "sentence" else None
        if stream and not judged:
            self.verdict = LAST_TIER
        elif stream and hold.policy == "none":
            self.verdict = TRUSTED

    @property
    def held(self) -> tuple[Delta, ...]:
        """What has come and not been let through."""
        return tuple(self._held)

    @property
    def is_open(self) -> bool:
        """May whatever comes from now on be sent just as it came?"""
        return self.released and self._filter is None

    def feed(self, delta: Delta) -> list[Delta]:
        """Take one delta; return those that may be sent now, in order."""
        self.draft.add(delta)
        if self._filter is not None:
            self._hold_back(self._filter.feed(delta))
        elif self.released:
            return [delta]
        elif self._visible:  # nearly every one that is held
            self._held.append(delta.to_forward() if self._forwarded else delta)
        else:
            self._hold_back((delta,))
        if self.verdict is None:
            self._weigh(delta)
        return self._release()

    def _weigh(self, delta: Delta) -> None:
        """Has it been lost by what has come, or is its hold over?"""
        calls = whole = False
        for piece in delta.pieces:
            if piece.tool_calls:
                calls = True
            if piece.finish:
                whole = True
        if self._lost is not None and not whole:  # else the full verdict is one step away
            self._look_for_loss(delta, self._lost)
        if calls or whole:
            self._hold = _WHOLE  # a call of a tool is checked whole or not at all
        if self._hold.policy != "reply" and self.verdict is None and self._due(delta):
            self._decide()

    def end(self) -> list[Delta]:
        """Hear that the draft is whole; return what may be sent now and only waited for more."""
        if self._filter:
            self._hold_back(self._filter.flush())
        return self._release()

    def _hold_back(self, deltas: Sequence[Delta]) -> None:
        if not self._visible:
            self._visible = any(map(_is_begun, deltas))
        self._held += [each.to_forward() for each in deltas] if self._forwarded else deltas

    def _due(self, delta: Delta) -> bool:
        """Is the hold over?"""
        hold, draft = self._hold, self.draft
        sentences = self._sentences
        if sentences is not None:
            sentences.hear(delta.pieces)
        if len(draft.begun) < self._choices:
            return False
        return draft.tokens >= hold.tokens if sentences is None else sentences.all_said

    def _look_for_loss(self, delta: Delta, lost: Callable[[Delta], Verdict | None]) -> None:
        """Leave what is lost already."""
        verdict = lost(delta)
        if verdict is not None and self._may_defer():
            self.verdict, self.deferred = verdict, True
        elif verdict is not None:
            self._lost = None

    def _decide(self) -> None:
        verdict = self._judge_prefix(self.draft.reply(complete=False))
        if verdict.accepted:
            self.verdict = verdict
        elif self._may_defer():
            self.verdict, self.deferred = verdict, True
        else:
            self._hold = _WHOLE

    def _release(self) -> list[Delta]:
        if self.verdict is None or not self.verdict.accepted:
            return []
        if not self._visible:
            return []  # nobody has said anything: a failure now is still an ordinary one
        ready, self._held = self._held, []
        self.released = True
        return ready


class _Sentences:
    """Which choices have said their first sentence; each text is searched once, as it comes."""

    def __init__(self) -> None:
        self._lengths: dict[int, int] = {}
        self._without: set[int] = set()

    def hear(self, pieces: Iterable[Piece]) -> None:
        for piece in pieces:
            if piece.index not in self._lengths:
                self._without.add(piece.index)
            before = self._lengths.get(piece.index, 0)
            self._lengths[piece.index] = before + len(piece.text)
            # A stop at the end of what has come counts, so that none lies across two pieces.
            if _SENTENCE.search(piece.text, max(0, _SENTENCE_FLOOR - before)):
                self._without.discard(piece.index)

    @property
    def all_said(self) -> bool:
        return bool(self._lengths) and not self._without


class MarkerFilter:
    """Cuts a marker, and what follows it in the same text, out of deltas split anywhere.

    A delta whose text may begin a marker waits, with all that come after it, until that is
    known, so that what holds no marker passes just as it came.
    """

    def __init__(self, marker: str) -> None:
        """`marker` is not empty."""
        self._marker = marker
        self._waiting: list[Delta] = []
        self._tails: dict[_Place, str] = {}
        """Of each text, the end that may begin a marker."""
        self._cut: set[_Place] = set()

    def feed(self, delta: Delta) -> list[Delta]:
        """Take one delta; return those that may pass, in order."""
        if not (self._tails or self._cut) and self._is_without(delta):
            return [delta]
        self._waiting.append(delta)
        for place, text in _texts(delta):
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

    def _end(self, place: _Place) -> None:
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

    def _look(self, place: _Place, text: str) -> None:
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

    def _drop(self, place: _Place, count: int) -> None:
        """Drop the last `count` characters of a text from the deltas that wait."""
        for turn in reversed(range(len(self._waiting))):
            if not count:
                return
            delta = self._waiting[turn]
            text = next((text for at, text in _texts(delta) if at == place), "")
            drop = min(count, len(text))
            if drop:
                self._waiting[turn] = delta.shorten(*place, text[: len(text) - drop])
                count -= drop


def says_something(delta: Delta) -> bool:
    """Is there anything in it that a model has said?"""
    said = any(piece.text or piece.refusal or piece.tool_calls for piece in delta.pieces)
    return said or any(True for _ in _texts(delta))


def _is_begun(delta: Delta) -> bool:
    """Would a client see the reply begin in it? Not in a role, nor in a chunk of no choice."""
    if delta.raw == b"":
        return False
    for choice in delta.payload.get("choices") or ():
        said = choice.get("delta" if "delta" in choice else "message")
        rest = said.items() if isinstance(said, Mapping) else ()
        if choice.get("finish_reason") or any(value for name, value in rest if name != "role"):
            return True
    return False


def _without(value: Any, marker: str) -> Any:
    if isinstance(value, str):
        return value.replace(marker, "")
    if isinstance(value, Mapping):
        return {name: _without(inner, marker) for name, inner in value.items()}
    if isinstance(value, list):
        return [_without(inner, marker) for inner in value]
    return value


def _texts(delta: Delta) -> Iterator[tuple[_Place, str]]:
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
