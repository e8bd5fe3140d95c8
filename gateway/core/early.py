"""Follows a held draft as it comes, and says when it is lost already.

Sans-IO and incremental: what each piece costs does not grow with the draft, but for the
logarithm in a heap.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from heapq import heappop, heappush, heappushpop

from gateway.core.chat import ChatRequest, Choice, Delta, Piece, Reply
from gateway.core.verdict import Bar, Finding

LOW_SHARE = 0.1
"""The quantile of the tokens' log-probabilities that is followed."""
LEAST_TOKENS = 16
"""Tokens before their log-probabilities say anything."""
OPENING = 160
"""Characters in which a refusal shows itself."""
_WINDOW = 1_200
"""Characters of a text's end in which a loop is looked for."""
_STEP = 32
"""Characters between two looks for a loop."""
_NEEDLE = 24
"""Characters of a text's end that must have been said before, if it loops."""
_STRETCH = 240
_TIMES = 4
"""A loop is at least so many characters, and the same thing at least so many times over."""
_CANDIDATES = 8
"""Earlier places of the needle that are tried."""

DOUBT = Finding("fail", "low_confidence")
LOOP = Finding("fail", "repetition")
PROSE = Finding("fail", "schema_invalid", broken=True)

_ANY_JSON = '{["-0123456789tfn'


class Watch:
    """One draft's watch.

    `refuses` is the check for a refusal; it is put to the choices' openings as they grow.
    """

    def __init__(self, bar: Bar, request: ChatRequest, refuses: Callable[[Reply], Finding]) -> None:
        """Follow what the bar's `early` names."""
        checks = {spec.name for spec in bar.checks}
        self._early = bar.early
        self._refuses = refuses if bar.early.refusal and "refusal" in checks else None
        wants_format = bar.early.format and "format" in checks
        self._starts = _json_starts(request) if wants_format else ""
        self._choices: dict[int, _Choice] = {}

    def hear(self, delta: Delta) -> Finding | None:
        """Take one more delta; return what is wrong as soon as that is clear."""
        for piece in delta.pieces:
            finding = self._hear(piece)
            if finding is not None:
                return finding
        return None

    def _hear(self, piece: Piece) -> Finding | None:
        finding = self.say(piece.index, piece.text, piece.refusal)
        if finding is None and piece.logprobs:
            return DOUBT if self._doubts(self._choices[piece.index], piece.logprobs) else None
        return finding

    def say(self, index: int, text: str, refusal: str = "") -> Finding | None:
        """Take one more piece of a choice's text, and of its refusal; as `hear`."""
        choice = self._choices.get(index)
        if choice is None:
            choice = self._choices[index] = _Choice()
        if self._starts and choice.begins_otherwise(text, self._starts):
            return PROSE
        if self._refuses is not None and choice.opens(text, refusal):
            finding = self._refuses(choice.opening())
            if finding.result == "fail":
                return finding
        if self._early.repetition and choice.tail.loops(text):
            return LOOP
        return None

    def _doubts(self, choice: _Choice, logprobs: tuple[float, ...]) -> bool:
        least = self._early.logprob
        if least is None:
            return False
        low = choice.low
        for logprob in logprobs:
            low.add(logprob)
        return low.count >= LEAST_TOKENS and math.exp(min(0.0, low.value)) < least


class _Choice:
    """What is kept of one choice."""

    def __init__(self) -> None:
        self.low, self.tail = LowQuantile(LOW_SHARE), Tail()
        self._text, self._refusal = "", ""
        self._begun = False

    def opens(self, text: str, refusal: str) -> bool:
        """Take what belongs to the opening; has it grown?"""
        text = text[: OPENING - len(self._text)]
        if text:
            self._text += text
        if refusal:
            self._refusal = self._refusal or refusal[:OPENING]
        return bool(text or refusal)

    def opening(self) -> Reply:
        return Reply((Choice(self._text, self._refusal),), complete=False)

    def begins_otherwise(self, text: str, starts: str) -> bool:
        """Is the first of its characters, spaces aside, none of these?"""
        said = "" if self._begun else text.lstrip()
        self._begun = self._begun or bool(said)
        return bool(said) and said[0] not in starts


class LowQuantile:
    """A running quantile, exact: that at place int(share * n) of n sorted values."""

    def __init__(self, share: float) -> None:
        """`share` is 0 up to, not with, 1."""
        self._share = share
        self._low: list[float] = []
        self._high: list[float] = []
        self.count = 0

    def add(self, value: float) -> None:
        """Take one more value, in O(log n)."""
        self.count += 1
        heappush(self._low, -heappushpop(self._high, value))
        if len(self._low) > int(self._share * self.count) + 1:
            heappush(self._high, -heappop(self._low))

    @property
    def value(self) -> float:
        """The quantile of what has come; there must be something."""
        return -self._low[0]


class Tail:
    """The end of a text, in which the same thing over and over is looked for."""

    def __init__(self) -> None:
        """Start with nothing."""
        self._text = ""
        self._new: list[str] = []
        self._unseen = 0

    def loops(self, text: str) -> bool:
        """Take one more piece; does the text end in a loop?"""
        self._new.append(text)
        self._unseen += len(text)
        if self._unseen < _STEP:
            return False
        self._text = "".join((self._text, *self._new))[-_WINDOW:]
        self._new.clear()
        self._unseen = 0
        return _ends_in_a_loop(self._text)


def _ends_in_a_loop(text: str) -> bool:
    """Try the distances at which the text's last characters were said before as its period."""
    needle, end = text[-_NEEDLE:], len(text) - 1
    for _ in range(_CANDIDATES):
        at = text.rfind(needle, 0, end)
        period = len(text) - _NEEDLE - at
        stretch = max(_STRETCH, _TIMES * period)
        if at < 0 or stretch > len(text):
            return False
        if text[-stretch:-period] == text[period - stretch :]:
            return True
        end = at + _NEEDLE - 1
    return False


def _json_starts(request: ChatRequest) -> str:
    """Return what the JSON that was asked for may begin with; empty where none has to be.

    Where tools are offered a reply may say a word before it calls one, and is held to no format.
    """
    wanted = request.body.get("response_format")
    kind = wanted.get("type") if isinstance(wanted, Mapping) else None
    if not isinstance(wanted, Mapping) or kind not in ("json_object", "json_schema"):
        return ""
    if request.tools:
        return ""
    inner = wanted.get("json_schema") if kind == "json_schema" else None
    schema = inner.get("schema") if isinstance(inner, Mapping) else None
    plain_object = not isinstance(schema, Mapping) or schema.get("type") == "object"
    return "{" if plain_object else _ANY_JSON
