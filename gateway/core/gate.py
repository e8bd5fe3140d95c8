"""Holds a tier's deltas back until there is a verdict, then lets them through or not at all.

Sans-IO: deltas go in, the deltas that may be sent now come out; the engine owns the sockets.

Two promises are kept here. Nothing of a draft leaves before its hold is over and its prefix has
been accepted; what never left can be dropped without a trace. And the not-sure marker never
leaves: a delta waits while its text could still grow into the marker, and whatever follows a
marker is cut off with it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence

from gateway.core.chat import Delta, Draft, Piece, Reply, forwarded
from gateway.core.early import Watch
from gateway.core.marker import MarkerFilter, texts_of
from gateway.core.plan import Hold
from gateway.core.verdict import LAST_TIER, TRUSTED, Finding, Verdict

_SENTENCE = re.compile(r"[.!?](?:\s|$)|[\n\u3002\uff01\uff1f\uff61]")
"""A stop with a space after it, or at the end of what has come; a line's end; a stop of Chinese
or Japanese, which no space follows."""
_SENTENCE_FLOOR = 24
"""Characters before a first sentence may count as one: `1.` or `Hm.` says nothing yet."""
_WHOLE = Hold("reply")


class Gate:
    """One draft's gate.

    `judged` False opens it from the start (the last tier, or one fallen to). `judge_prefix`
    weighs an incomplete reply, in which each of `choices` has begun; `may_defer` says whether a
    deferral now would lead anywhere: if not, the draft is held on, since it may yet be the best
    there is. `watch` follows what is held; `lost` hears what it finds, and returns a verdict where
    that is enough to defer the draft.
    """

    def __init__(
        self,
        hold: Hold,
        judged: bool,
        stream: bool,
        judge_prefix: Callable[[Reply], Verdict],
        may_defer: Callable[[], bool],
        marker: str = "",
        choices: int = 1,
        watch: Watch | None = None,
        lost: Callable[[Finding], Verdict | None] | None = None,
        forwarded: bool = False,
    ) -> None:
        """`marker` is empty when the tier's recipe has none; `forwarded` says that whoever gets the
        deltas sends them on just as they came, where they are not altered."""
        self.draft = Draft()
        self.verdict: Verdict | None = None
        self.deferred = False
        self.released = False
        self.takes_text = False
        """May what is but a piece of text come by `say`, once it is held?"""
        self._held: list[Delta] = []
        self._visible = False
        self._filter = MarkerFilter(marker) if marker else None
        self._judge_prefix = judge_prefix
        self._may_defer = may_defer
        self._watch, self._lost = watch, lost
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

    def say(self, index: int, text: str, raw: bytes) -> list[Delta]:
        """Take a delta that is but a piece of a choice's text, where it `takes_text`; `raw` is its
        JSON. As `feed`, for a fraction of what that takes."""
        self.draft.say(index, text)
        self._held.append(forwarded(raw))
        if self.verdict is None:
            if self._watch is not None:
                self._look_for_loss(self._watch.say(index, text))
            if self._sentences is not None:
                self._sentences.say(index, text)
            self._decide_when_due()
            if self.verdict is None:
                return []
        return self._release()

    def _weigh(self, delta: Delta) -> None:
        """Has it been lost by what has come, or is its hold over?"""
        calls = whole = False
        for piece in delta.pieces:
            if piece.tool_calls:
                calls = True
            if piece.finish:
                whole = True
        if self._watch is not None and not whole:  # else the full verdict is one step away
            self._look_for_loss(self._watch.hear(delta))
        if calls or whole:
            self._hold = _WHOLE  # a call of a tool is checked whole or not at all
        if self._sentences is not None:
            self._sentences.hear(delta.pieces)
        self._decide_when_due()

    def end(self) -> list[Delta]:
        """Hear that the draft is whole; return what may be sent now and only waited for more."""
        if self._filter:
            self._hold_back(self._filter.flush())
        return self._release()

    def _hold_back(self, deltas: Sequence[Delta]) -> None:
        if not self._visible:
            for each in deltas:
                if _is_begun(each):
                    self._visible = True
                    break
            self.takes_text = self._visible and self._forwarded and self._filter is None
        self._held += [each.to_forward() for each in deltas] if self._forwarded else deltas

    def _look_for_loss(self, finding: Finding | None) -> None:
        """Leave what is lost already."""
        if finding is None or self._lost is None:
            return
        verdict = self._lost(finding)
        if verdict is not None and self._may_defer():
            self.verdict, self.deferred = verdict, True
        else:
            self._watch = None

    def _decide_when_due(self) -> None:
        """Decide by its prefix, once its hold is over, and unless that is decided."""
        if self._hold.policy == "reply" or self.verdict is not None:
            return
        draft, sentences = self.draft, self._sentences
        if len(draft.begun) < self._choices:
            return
        if draft.tokens >= self._hold.tokens if sentences is None else sentences.all_said:
            self._decide()

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
            self.say(piece.index, piece.text)

    def say(self, index: int, text: str) -> None:
        if index not in self._lengths:
            self._without.add(index)
        before = self._lengths.get(index, 0)
        self._lengths[index] = before + len(text)
        # A stop at the end of what has come counts, so that none lies across two pieces.
        if _SENTENCE.search(text, max(0, _SENTENCE_FLOOR - before)):
            self._without.discard(index)

    @property
    def all_said(self) -> bool:
        return bool(self._lengths) and not self._without


def says_something(delta: Delta) -> bool:
    """Is there anything in it that a model has said?"""
    said = any(piece.text or piece.refusal or piece.tool_calls for piece in delta.pieces)
    return said or any(True for _ in texts_of(delta))


def _is_begun(delta: Delta) -> bool:
    """Would a client see the reply begin in it? Not in a role, nor in a chunk of no choice."""
    for choice in delta.payload.get("choices") or () if delta.raw != b"" else ():
        said = choice.get("delta" if "delta" in choice else "message")
        if choice.get("finish_reason"):
            return True
        for name, value in said.items() if isinstance(said, (dict, Mapping)) else ():
            if value and name != "role":
                return True
    return False
