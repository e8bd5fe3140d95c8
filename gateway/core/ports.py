"""What the engine needs from the outside world. Adapters fit these shapes; nobody inherits."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from math import inf
from typing import Any, Literal, Protocol, TypeVar, runtime_checkable

from gateway.core.chat import ChatRequest, Choice, Delta, Reply
from gateway.core.difficulty import Difficulty
from gateway.core.errors import UpstreamError
from gateway.core.ledger import Entry
from gateway.core.money import Usage
from gateway.core.native import NativeRequest
from gateway.core.outcome import CallRecord
from gateway.core.plan import Tier
from gateway.core.quick import maker, quick
from gateway.core.shadow import Shadow
from gateway.core.signals import Signals
from gateway.core.streaming import Intake
from gateway.core.verdict import Finding

Answer = TypeVar("Answer")
Purpose = Literal["serve", "score", "check", "shadow"]
"""What a call is made for: an answer, a scorer's own word, the record alone."""
Receive = Callable[[Delta], Awaitable[bool]]
"""Takes one delta; False means: enough, close the upstream now."""


class OnSent(Protocol):
    """Hears that a call is about to leave, and to which upstream."""

    def __call__(self, upstream: str = "") -> None:
        """Write it down; an empty name is the tier's own upstream."""
        ...


def _unheard(_: str) -> None:
    """Nobody asks."""


@quick
@dataclass(frozen=True, slots=True)
class UpstreamCall:
    """One request for an upstream's wire.

    `body` is what to send, already in the tier's recipe and with the tier's model name.
    `strip_usage` and `strip_logprobs` tell what we asked for and the client did not: it must not
    reach the client. `timeout` bounds the whole call, in seconds (the engine itself ends a call
    whose request's deadline passes). `on_sent` is to be called in the instant before the
    request's first byte leaves, and again if it must be sent anew: that is one call more; it takes
    the name of the upstream, where that is not the tier's own. `trace` is a `traceparent` to send
    along. `native` is the client's own request where the tier speaks its dialect. `on_dropped`
    hears the names of harmless parameters that the tier cannot take, `on_named` what the upstream
    calls the request, where it says.

    For what stands around an upstream: `start_within` are the seconds in which a reply must begin
    (infinite: nobody waits); `on_retry` hears why a call has failed that is now made once more
    (without it none is); `displaced` says that it is made because another tier did not
    serve (see `Plan.is_displaced`), and `affinity` names its conversation, whose prompt a provider
    may have in its cache, for whoever asks. `intake` takes what follows a stream's first delta, for
    an upstream that hands it on in the moment in which it reads it; else `receive` takes it too.
    """

    call_id: str
    tier: Tier
    body: Mapping[str, Any]
    stream: bool
    on_sent: OnSent
    strip_usage: bool = False
    strip_logprobs: bool = False
    timeout: float = inf
    trace: str = ""
    native: NativeRequest | None = None
    on_dropped: Callable[[Sequence[str]], None] = lambda _: None
    start_within: float = inf
    on_retry: Callable[[UpstreamError], None] | None = None
    displaced: bool = False
    affinity: Callable[[], str] = str
    on_named: Callable[[str], None] = _unheard
    intake: Intake | None = None


new_upstream_call = maker(UpstreamCall)


class Upstream(Protocol):
    """An endpoint that serves models."""

    async def call(self, call: UpstreamCall, receive: Receive) -> None:
        """Make one call and push its deltas into `receive`; a plain reply is one delta.

        Returns at the reply's proper end, or as soon as `receive` says False, with the
        connection closed. Raises UpstreamError; after a cancel the connection is closed at once.
        """
        ...

    async def aclose(self) -> None:
        """Close every connection."""
        ...


@runtime_checkable
class Counts(Protocol):
    """An upstream that counts a request's tokens without answering it."""

    async def count(self, call: UpstreamCall) -> int:
        """Return the tokens of the call's prompt. Raises UpstreamError."""
        ...


class Scorer(Protocol):
    """Scores how hard a request is. Pure and quick: it runs on the event loop."""

    @property
    def label(self) -> str:
        """Its `name@version`."""
        ...

    def score(self, signals: Signals) -> Difficulty:
        """Score one request."""
        ...


Send = Callable[[OnSent], Awaitable[tuple[Answer, Usage | None]]]
"""Makes one call: what it is given is to be called as `UpstreamCall.on_sent` is. Returns what came
back, and what the upstream says it used."""


class Calls(Protocol):
    """Makes a scorer's or a check's own calls for one request: each is marked before it leaves,
    timed, priced and recorded, however it ends."""

    async def make(self, tier: Tier, guess: Usage, seconds: float, send: Send[Answer]) -> Answer:
        """Make one call at `tier`, expected to use `guess`, within `seconds`.

        Raises UpstreamError; a cancel passes through, and what was spent is recorded all the same.
        """
        ...


@dataclass(frozen=True, slots=True)
class Assessment:
    """What a scorer that waits came to. `fallback` is why it is only its base's word, in one
    bounded word; empty when it is its own."""

    difficulty: Difficulty
    fallback: str = ""


class Assessor(Protocol):
    """A scorer that has to wait for somebody: a model, an endpoint, a thread. It refines what its
    base, a Scorer, has said at once, and falls back to that."""

    @property
    def label(self) -> str:
        """Its `name@version`."""
        ...

    def settle(self, base: Difficulty) -> Difficulty | None:
        """Return its word where the base's settles it; None where it has to be asked."""
        ...

    def estimate(self, signals: Signals) -> int:
        """Estimate what asking costs, in nano-dollars."""
        ...

    async def assess(
        self, signals: Signals, base: Difficulty, seconds: float, calls: Calls
    ) -> Assessment:
        """Score one request within `seconds`. Raises nothing of its own; a cancel ends it."""
        ...


@dataclass(frozen=True, slots=True)
class Question:
    """A reply that is to be examined: to which request of the client's, and of which tier. `reply`
    returns it once it is there: a check may begin beside the draft. `heard` are the samples of the
    answer that checks of this tier's replies have drawn so far; who draws more adds them."""

    request: ChatRequest
    tier: Tier
    signals: Signals
    reply: Callable[[], Awaitable[Reply]]
    heard: list[Choice] = field(default_factory=list)


class Examiner(Protocol):
    """A check that has to wait for somebody: a model, a process, a thread."""

    async def examine(self, question: Question, seconds: float, calls: Calls) -> Finding:
        """Examine a reply within `seconds`. Raises nothing of its own: what cannot be told is an
        abstention, whose reason is one of verdict.ABSTENTIONS. A cancel ends it at once, and
        leaves nothing running."""
        ...


@dataclass(frozen=True, slots=True)
class Scored:
    """A request of the past, as tuning sees it. `number` rises with the order of arrival in the
    ledger; `score`, `value`, `profile` and `unlike` as in Difficulty; `above` says whether the
    policy started it over the first tier; `threshold` is the first one that was in force."""

    number: int
    score: float
    value: float
    above: bool
    threshold: float | None
    profile: str = ""
    unlike: bool | None = None


@dataclass(frozen=True, slots=True)
class Labelled:
    """A request whose reply is known to be good or bad at several tiers: `good` maps a tier to a
    label, 0..1. `number` and `score` as in Scored; of one that the scorer has `met` in training it
    knows the answer, and its label promises nothing of others."""

    number: int
    score: float
    good: Mapping[str, float]
    met: bool = False


@dataclass(frozen=True, slots=True)
class TuningRow:
    """One state of a route's tuning as the ledger keeps it: `state` is JSON, `made_at` a UNIX time
    in seconds, `number` the row's own, rising."""

    number: int
    route: str
    scorer: str
    made_at: float
    state: str


class Archive(Protocol):
    """What the ledger remembers for tuning, shared by all workers. Everything here blocks: call it
    in a thread. Raises OSError when the ledger is not to be had."""

    def stamp(self) -> object:
        """Return what is another value once anything has been written, for next to nothing; None
        where that cannot be told."""
        ...

    def recent(self, route: str, scorer: str, limit: int) -> list[Scored]:
        """Return the newest scored requests, oldest first. A request that was given a tier, or
        whose score is unknown, is not among them: they say nothing of the policy's traffic."""
        ...

    def has_scored(self, route: str, scorer: str, after: int, many: int) -> bool:
        """Are there so many of those whose number is over `after`? Nobody waits for it: it is asked
        several times a second."""
        ...

    def labelled(self, route: str, scorer: str, limit: int) -> list[Labelled]:
        """Return the newest labelled requests, oldest first."""
        ...

    def tunings(self) -> Mapping[str, TuningRow]:
        """Return the newest state of each route."""
        ...

    def put_tuning(self, row: TuningRow, after: int) -> bool:
        """Add a state (its `number` is given here), unless the route's newest is no longer
        `after` (0: none): another worker was first, and False is returned."""
        ...


class Journal(Protocol):
    """Where calls are marked before they leave, so that even kill -9 loses none."""

    def open(self, call: OpenCall) -> int:
        """Mark a call as under way; returns its slot. Must not block or wait."""
        ...

    def settle(self, slot: int, record: CallRecord) -> None:
        """Write down how it ended."""
        ...

    def append(self, entry: Entry, slots: tuple[int, ...]) -> None:
        """Keep the request's entry, then free its calls' slots."""
        ...

    def append_shadow(self, shadow: Shadow, slots: tuple[int, ...]) -> None:
        """Add an attempt made in the shadow to its request's record, then free its calls' slots."""
        ...


@quick
@dataclass(frozen=True, slots=True)
class OpenCall:
    """What must be known of a call that may never come back. `cost_estimate` is in nano-dollars,
    `opened_at` a UNIX time in seconds."""

    call_id: str
    entry_id: str
    route: str
    tier: str
    upstream: str
    model: str
    opened_at: float
    prompt_estimate: int
    completion_estimate: int
    cost_estimate: int
    purpose: Purpose = "serve"
    price_version: str = ""
    price_hash: str = ""


new_open_call = maker(OpenCall)
Sink = Callable[[Entry], None]
"""A reader of finished entries: metrics, log."""
ShadowSink = Callable[[Shadow], None]
"""A reader of what was asked in the shadow."""
