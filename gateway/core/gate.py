"""Holds a tier's deltas back until there is a verdict, then lets them through or not at all.

Sans-IO: deltas go in, the deltas that may be sent now come out; the engine owns the sockets.

Two promises are kept here. Nothing of a draft leaves before its hold is over and its prefix has
been accepted; what never left can be dropped without a trace. And the not-sure marker never
leaves: a text's tail is kept back while it could still grow into the marker, and whatever
follows a marker is cut off with it.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from gateway.core.chat import Delta, Draft, Reply
from gateway.core.plan import Hold
from gateway.core.verdict import LAST_TIER, TRUSTED, Verdict

_SENTENCE = re.compile(r"[.!?](?:\s|$)|\n")
_SENTENCE_FLOOR = 24
"""Characters before a first sentence may count as one: `1.` or `Hm.` says nothing yet."""


class Gate:
    """One draft's gate.

    `judged` False opens it from the start (the last tier, or one fallen to). `judge_prefix`
    weighs an incomplete reply; `may_defer` says whether a deferral now would lead anywhere: if
    not, the draft is held on, since it may yet be the best there is.
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
    ) -> None:
        """`marker` is empty when the tier's recipe has none."""
        self.draft = Draft()
        self.verdict: Verdict | None = None
        self.deferred = False
        self.released = False
        self._held: list[Delta] = []
        self._filter = MarkerFilter(marker) if marker else None
        self._judge_prefix = judge_prefix
        self._may_defer = may_defer
        self._hold = hold if stream else Hold("reply")
        if stream and not judged:
            self.verdict = LAST_TIER
        elif stream and hold.policy == "none":
            self.verdict = TRUSTED

    @property
    def held(self) -> tuple[Delta, ...]:
        """What has come and not been let through."""
        return tuple(self._held)

    def feed(self, delta: Delta) -> list[Delta]:
        """Take one delta; return those that may be sent now, in order."""
        self.draft.add(delta)
        self._held.append(self._filter.clean(delta) if self._filter else delta)
        if self.verdict is None and self._due(delta):
            self._decide()
        return self._release()

    def _due(self, delta: Delta) -> bool:
        """Is the hold over?"""
        if any(piece.tool_calls for piece in delta.pieces):
            self._hold = Hold("reply")  # a call of a tool is checked whole or not at all
        if any(piece.finish for piece in delta.pieces):
            self._hold = Hold("reply")  # it is whole: the full verdict is one step away
        if self._hold.policy == "tokens":
            return self.draft.tokens >= self._hold.tokens
        if self._hold.policy == "sentence":
            return all(map(_has_sentence, self.draft.texts)) and bool(self.draft.texts)
        return False

    def _decide(self) -> None:
        verdict = self._judge_prefix(self.draft.reply(complete=False))
        if verdict.accepted:
            self.verdict = verdict
        elif self._may_defer():
            self.verdict, self.deferred = verdict, True
        else:
            self._hold = Hold("reply")

    def _release(self) -> list[Delta]:
        if self.verdict is None or not self.verdict.accepted:
            return []
        ready, self._held = self._held, []
        self.released = self.released or bool(ready)
        return ready


def _has_sentence(text: str) -> bool:
    return _SENTENCE.search(text, _SENTENCE_FLOOR) is not None


class MarkerFilter:
    """Cuts a marker, and what follows it, out of a stream of deltas split anywhere."""

    def __init__(self, marker: str) -> None:
        """`marker` is not empty."""
        self._marker = marker
        self._tails: dict[int, str] = {}
        self._cut: set[int] = set()

    def clean(self, delta: Delta) -> Delta:
        """Return the delta as the client may see it; the very same when nothing changes."""
        changed: dict[int, str] = {}
        for piece in delta.pieces:
            if piece.index in self._cut:
                text = ""
            else:
                text = self._pass(piece.index, piece.text, final=piece.finish is not None)
            if text != piece.text:
                changed[piece.index] = text
        return delta.retext(changed) if changed else delta

    def _pass(self, index: int, text: str, *, final: bool) -> str:
        seen = self._tails.pop(index, "") + text
        before, found, _ = seen.partition(self._marker)
        if found:
            self._cut.add(index)
            return before
        keep = 0 if final else _overlap(seen, self._marker)
        if keep:
            self._tails[index] = seen[-keep:]
        return seen[: len(seen) - keep]


def _overlap(text: str, marker: str) -> int:
    """Return the length of the longest tail of `text` that begins `marker`."""
    longest = min(len(text), len(marker) - 1)
    return next((n for n in range(longest, 0, -1) if text.endswith(marker[:n])), 0)
