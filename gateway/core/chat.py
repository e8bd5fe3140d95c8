"""What goes in and what comes out: one request, the pieces of a reply, a draft, a reply.

The shapes on the wire are OpenAI's chat completions; every field the client sent is kept.
"""

from __future__ import annotations

from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from io import StringIO
from typing import Any, Final, NamedTuple

from gateway.core.believing import believed
from gateway.core.money import Usage
from gateway.core.native import NativeEvent, NativeRequest
from gateway.core.quick import quick
from gateway.core.shortening import call_number, shortened

Message = Mapping[str, Any]
CHARS_PER_TOKEN = 4
"""The rule of thumb behind every estimate of tokens; what rests on it is marked estimated."""


class ChatRequest:
    """A client's chat completion. `body` is every field it sent, known to us or not; `native` is
    the request as it came, where that was in another dialect. `stream`: does the client want
    events? `messages` are the conversation as sent, `tools` those offered. These are asked for so
    often that they are read once."""

    __slots__ = ("body", "messages", "native", "stream", "tools")

    def __init__(self, body: Mapping[str, Any], native: NativeRequest | None = None) -> None:
        self.body: Final = body
        self.native: Final = native
        self.stream: Final = bool(body.get("stream"))
        self.messages: Final[Sequence[Message]] = body.get("messages", ())
        self.tools: Final[Sequence[Mapping[str, Any]]] = body.get("tools") or ()

    @property
    def model(self) -> str:
        """The route or tier asked for."""
        return str(self.body["model"])

    @property
    def wants_usage(self) -> bool:
        """Did the client itself ask a stream for its usage chunk?"""
        options = self.body.get("stream_options")
        return isinstance(options, Mapping) and bool(options.get("include_usage"))

    @property
    def wants_logprobs(self) -> bool:
        """Did the client itself ask for token log-probabilities?"""
        return bool(self.body.get("logprobs"))

    @property
    def choices(self) -> int:
        """How many choices (`n`) it wants."""
        return int(self.body.get("n") or 1)

    @property
    def max_tokens(self) -> int | None:
        """The client's bound on the reply's tokens, under either of its names."""
        bound = self.body.get("max_completion_tokens") or self.body.get("max_tokens")
        return int(bound) if bound else None


_NOTHING: Mapping[str, Any] = {}
"""A mapping that can be written as JSON, as every payload; nobody writes into one."""


@quick
@dataclass(frozen=True, slots=True)
class Piece:
    """One choice's part of a delta; `more` says that it holds what none of these fields does, such
    as thoughts, notes or a call in the words of old."""

    index: int = 0
    text: str = ""
    refusal: str = ""
    finish: str | None = None
    logprobs: tuple[float, ...] = ()
    tool_calls: tuple[Mapping[str, Any], ...] = ()
    more: bool = False


class Delta(NamedTuple):
    """One piece of a reply on its way: an event's data, or the whole body of a plain reply.

    `raw` is the JSON to forward as it is; None means that `payload` was edited and must be
    written anew; `b""` means that nothing of it is for the client (it carried only what we had
    asked for). A plain reply is a stream of one delta. `native` is what it was read from, where
    that was in another dialect.
    """

    pieces: tuple[Piece, ...] = ()
    usage: Usage | None = None
    raw: bytes | None = b""
    payload: Mapping[str, Any] = _NOTHING
    native: NativeEvent | None = None

    def to_forward(self) -> Delta:
        """The same for whoever sends `raw` and asks nothing else: what was read of a token's event
        is five times its size, and a held stream keeps all of them."""
        return forwarded(self.raw) if self.raw else self

    def shorten(self, index: int, name: str | int, text: str) -> Delta:
        """Replace one choice's text in the field `name` by a beginning of it.

        A number names a call of a tool, whose arguments are meant. The log-probabilities of the
        tokens that are cut off from the content go with them.
        """
        choices = [
            shortened(choice, name, text) if choice.get("index", 0) == index else choice
            for choice in self.payload.get("choices", ())
        ]
        pieces = self.pieces
        if name == "content":
            pieces = tuple(
                replace(piece, text=text) if piece.index == index else piece for piece in pieces
            )
        payload = {**self.payload, "choices": choices}
        return self._replace(pieces=pieces, raw=None, payload=payload)


def forwarded(raw: bytes) -> Delta:
    """Return a delta for whoever sends `raw` and asks nothing else. (By its own class, 1,500
    instructions more: that calls a function by keywords.)"""
    return tuple.__new__(Delta, ((), None, raw, _NOTHING, None))


@quick
@dataclass(frozen=True, slots=True)
class Choice:
    """One complete choice of a reply. `logprobs` are natural logarithms, one a token; `more` is as
    a piece's."""

    text: str = ""
    refusal: str = ""
    finish: str | None = None
    logprobs: tuple[float, ...] = ()
    tool_calls: tuple[Mapping[str, Any], ...] = ()
    more: bool = False


@quick
@dataclass(frozen=True, slots=True)
class Reply:
    """A reply as far as it came: complete, or the prefix of one."""

    choices: tuple[Choice, ...]
    complete: bool = True

    @property
    def text(self) -> str:
        """The first choice's text."""
        return self.choices[0].text if self.choices else ""


class _CallDraft:
    """A call of a tool on its way, in lists: a text that grows is copied at each piece."""

    __slots__ = ("arguments", "call_id", "name")

    def __init__(self) -> None:
        self.call_id: str | None = None
        self.name: list[str] = []
        self.arguments: list[str] = []

    def add(self, part: Mapping[str, Any]) -> None:
        function = part.get("function") or {}
        self.call_id = part.get("id") or self.call_id
        self.name.append(function.get("name") or "")
        self.arguments.append(function.get("arguments") or "")

    def call(self) -> Mapping[str, Any]:
        return {
            "id": self.call_id,
            "name": "".join(self.name),
            "arguments": "".join(self.arguments),
        }


class _ChoiceDraft:
    __slots__ = ("finish", "logprobs", "more", "refusal", "text", "tool_calls")

    def __init__(self) -> None:
        # As bytes, more or less: a list of tokens takes 20 times what is in them.
        self.text = StringIO()
        self.refusal: list[str] = []
        self.logprobs = array("d")
        self.finish: str | None = None
        self.tool_calls: dict[int, _CallDraft] = {}
        self.more = False

    def add(self, piece: Piece) -> None:
        if piece.text:
            self.text.write(piece.text)
        if piece.refusal:
            self.refusal.append(piece.refusal)
        if piece.logprobs:
            self.logprobs.extend(piece.logprobs)
        if piece.finish is not None:
            self.finish = piece.finish or self.finish
        if piece.more:
            self.more = True
        if piece.tool_calls:
            self._call(piece)

    def _call(self, piece: Piece) -> None:
        for position, part in enumerate(piece.tool_calls):
            number = call_number(part, position)
            if number not in self.tool_calls:
                self.tool_calls[number] = _CallDraft()
            self.tool_calls[number].add(part)

    def choice(self) -> Choice:
        return Choice(
            self.text.getvalue(),
            "".join(self.refusal),
            self.finish,
            tuple(self.logprobs),
            self._called() if self.tool_calls else (),
            self.more,
        )

    def _called(self) -> tuple[Mapping[str, Any], ...]:
        return tuple(self.tool_calls[number].call() for number in sorted(self.tool_calls))

    def tokens(self) -> int:
        """Estimate from what was said, however it was split: a plain reply and a stream of the
        same words are of the same length."""
        if self.logprobs:
            return len(self.logprobs)
        whole = self.choice()
        said = [whole.text, whole.refusal]
        said += [call["name"] + call["arguments"] for call in whole.tool_calls]
        return -(-sum(map(len, said)) // CHARS_PER_TOKEN)


class Draft:
    """A reply still arriving: deltas in, a `Reply` out."""

    def __init__(self) -> None:
        """Start with nothing."""
        self._choices: dict[int, _ChoiceDraft] = {}
        self.begun: set[int] = set()
        """The choices that have said something."""
        self.usage: Usage | None = None
        self.tokens = 0
        """Tokens seen: as counted by log-probabilities, else one for each piece with content."""

    def add(self, delta: Delta) -> None:
        """Take one more delta."""
        for piece in delta.pieces:
            choice = self._choices.get(piece.index)
            if choice is None:
                choice = self._choices[piece.index] = _ChoiceDraft()
            choice.add(piece)
            if piece.text or piece.refusal or piece.tool_calls:
                self.begun.add(piece.index)
                self.tokens += len(piece.logprobs) or 1
            else:
                self.tokens += len(piece.logprobs)
        if delta.usage is not None:
            self.usage = _fuller(self.usage, delta.usage)

    def say(self, index: int, text: str) -> None:
        """Take one more delta, which is but a piece of text."""
        if text and index in self.begun:
            self._choices[index].text.write(text)
            self.tokens += 1
        else:
            self.add(Delta((Piece(index, text),)))

    @property
    def texts(self) -> tuple[str, ...]:
        """Each choice's text so far, in order of their index."""
        return tuple(self._choices[index].text.getvalue() for index in sorted(self._choices))

    def reply(self, *, complete: bool) -> Reply:
        """Freeze what has arrived."""
        choices = []
        for index in sorted(self._choices):
            choices.append(self._choices[index].choice())
        return Reply(tuple(choices), complete)

    def spent(self, prompt_estimate: int, context: int | None = None) -> Usage:
        """What was used: as reported where that can be, else estimated from the prompt and what has
        arrived; see `believing`. `context` is the model's window in tokens, where it is known."""
        choices = len(self._choices) if self.tokens else 0
        return believed(self.usage, prompt_estimate, self._said, choices, context)

    def _said(self) -> int:
        return sum(choice.tokens() for choice in self._choices.values())


def _fuller(first: Usage | None, second: Usage | None) -> Usage | None:
    """Return what was reported last, unless it takes back what had been used before."""
    if first is None or second is None:
        return second or first
    before, after = first.prompt + first.completion, second.prompt + second.completion
    return second if after >= before else first
