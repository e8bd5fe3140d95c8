"""What is known of one request while it is under way, and how its record is closed."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from gateway.core.baseline import reckon
from gateway.core.chat import ChatRequest, Delta, Reply
from gateway.core.decided import Decided, new_decided
from gateway.core.difficulty import Difficulty
from gateway.core.dispatch import as_asked_of
from gateway.core.ledger import Entry, Origin, new_entry, new_timing, status_of
from gateway.core.outcome import Attempt, CallRecord, Outcome
from gateway.core.plan import Plan, Tier
from gateway.core.ports import (
    Assessor,
    Counts,
    Examiner,
    Journal,
    Purpose,
    ShadowSink,
    Sink,
    Upstream,
)
from gateway.core.quick import maker, quick
from gateway.core.routing import Overrides, Route
from gateway.core.session import NOTHING, Past
from gateway.core.signals import Signals
from gateway.core.streaming import Client, Head
from gateway.core.verdict import ABSTAIN, Check, Evidence, new_evidence
from gateway.engine.deadline import Deadlines

LOGGER = logging.getLogger("waterfall")
LONGEST_KEPT = 1_000_000
"""Characters of the longest prompt that is kept."""


@dataclass(frozen=True, slots=True)
class Undecided:
    """A scorer that has yet to be asked, and what its base said."""

    assessor: Assessor
    base: Difficulty


@quick
@dataclass(frozen=True, slots=True)
class Scoring:
    """The calls that a scorer made, the slots of their marks, and the seconds they took."""

    calls: tuple[CallRecord, ...] = ()
    slots: tuple[int, ...] = ()
    waited: float = 0.0


@quick
@dataclass(frozen=True, slots=True)
class Job:
    """One request, planned. `arrived` and `decision` are on the engine's clock, in seconds.

    `asked`, `past` and `thresholds` are what the plan was made with; `would` is as in Decided.
    `undecided` says that the plan is only the base's, and whom `Engine.assess` must ask.
    `difficulty` is None where nobody scores, as for a tier of no route. `candidate`, `agreement`,
    `fallback` and `propensity` are as in Entry, `down` as in Decided. `conversation` names it as
    the API knows it, for whoever asks.
    """

    request: ChatRequest
    origin: Origin
    route: Route
    mode: str
    signals: Signals
    difficulty: Difficulty | None
    plan: Plan
    threshold: float | None
    arrived: float
    decision: float = 0.0
    asked: Overrides = field(default_factory=Overrides)
    past: Past = NOTHING
    thresholds: tuple[float, ...] = ()
    would: Plan | None = None
    undecided: Undecided | None = None
    scoring: Scoring = Scoring()
    fallback: str = ""
    candidate: Difficulty | None = None
    agreement: str = ""
    purpose: Purpose = "serve"
    conversation: Callable[[], str] = str
    propensity: float = 1.0
    down: tuple[str, ...] = ()


new_job = maker(Job)


@dataclass(frozen=True, slots=True)
class Parts:
    """Everything that driving a request needs. `clock` is monotonic, `wall` UNIX time, both in
    seconds; `marker` is the process's not-sure marker, `config` the configuration's digest.
    `keep_prompts` says whether the record holds what the scorer read; `examiners` are the checks
    that wait; `counters` count tokens, by upstream; `shadow_sinks` hear of attempts made in the
    shadow; `trace` writes the trace context that a call takes along, by its id; `gateway_cost` is
    what the gateway itself is said to cost for a request, in nano-dollars; `prompt_hash` tells
    equal prompts."""

    upstreams: Mapping[str, Upstream]
    checks: Mapping[str, Check]
    journal: Journal
    sinks: Sequence[Sink]
    marker: str
    clock: Callable[[], float]
    wall: Callable[[], float]
    new_id: Callable[[], str]
    config: str = ""
    keep_prompts: bool = False
    examiners: Mapping[str, Examiner] = field(default_factory=dict)
    counters: Mapping[str, Counts] = field(default_factory=dict)
    shadow_sinks: Sequence[ShadowSink] = ()
    gateway_cost: int = 0
    trace: Callable[[Origin, str], str] = lambda _, __: ""
    prompt_hash: Callable[[ChatRequest], str] = lambda _: ""
    deadlines: Deadlines = field(default_factory=Deadlines)


class _Nobody:
    """The client of what no client hears of; fits core.streaming.Client."""

    takes_events = False

    async def start(self, head: Head) -> None:
        raise AssertionError(head)

    async def send(self, deltas: Sequence[Delta]) -> None:
        raise AssertionError(deltas)

    def pour(self, deltas: Sequence[Delta]) -> bool:
        raise AssertionError(deltas)

    def pass_on(self, event: bytes) -> bool:
        raise AssertionError(event)

    async def drained(self) -> None:
        raise AssertionError


NOBODY = _Nobody()


class Run:
    """One request under way."""

    def __init__(self, parts: Parts, job: Job, client: Client) -> None:
        """Begin with nothing tried."""
        self.parts, self.job, self.client = parts, job, client
        self.stream = job.request.stream
        self.attempts: tuple[Attempt, ...] = ()
        self.slots: list[int] = [*job.scoring.slots]
        self.first_token: float | None = None
        self.waited = job.scoring.waited
        self.paused = 0.0
        self.readings: list[float] = []
        """The clock at each decision, for the record."""

    def reading(self) -> float:
        """Seconds since the request arrived, noted as what a decision was made on."""
        now = self.parts.clock() - self.job.arrived
        self.readings.append(now)
        return now

    def elapsed(self) -> float:
        """Seconds since the request arrived."""
        return self.parts.clock() - self.job.arrived

    async def start(self, outcome: Outcome) -> None:
        """Tell the client who serves it; the first byte follows at once."""
        since = self.parts.clock()
        self.first_token = since - self.job.arrived
        try:
            await self.client.start(Head(self.job.plan, outcome))
        finally:
            self.paused += self.parts.clock() - since

    async def send(self, deltas: Sequence[Delta]) -> None:
        """Send what the client may see."""
        since = self.parts.clock()
        try:
            await self.client.send(deltas)
        finally:
            self.paused += self.parts.clock() - since

    async def drained(self) -> None:
        """Wait for the client, to whom more was poured than it takes at once."""
        since = self.parts.clock()
        try:
            await self.client.drained()
        finally:
            self.paused += self.parts.clock() - since

    def ask(self, tier: Tier, names: Iterable[str], reply: Reply) -> list[Evidence]:
        """Put checks to a reply, in turn; one that raises has nothing to say, and is logged."""
        clock, checks = self.parts.clock, self.parts.checks
        asked = as_asked_of(tier, self.job.request)
        evidence = []
        since = clock()
        for name in names:
            try:
                finding = checks[name](asked, reply)
            except Exception:
                told = "The check %s failed on the reply of the entry %s."
                LOGGER.exception(told, name, self.job.origin.entry_id)
                finding = ABSTAIN
            now = clock()
            evidence.append(new_evidence(name, finding, now - since))
            since = now
        return evidence

    def _decided(self) -> Decided:
        job = self.job
        return new_decided(
            plan=job.plan,
            thresholds=job.thresholds,
            asked=job.asked,
            past=job.past,
            signals=job.signals,
            readings=tuple(self.readings),
            would=job.would,
            down=job.down,
        )

    def record(self, outcome: Outcome) -> Entry:
        """Keep the entry and free the calls' marks; then let every sink read it.

        What fails here is logged and does not fail the request, which has been paid for: the
        marks of an entry that could not be kept stay, so that recovery finds its calls.
        """
        parts, job = self.parts, self.job
        total = self.elapsed()
        served = outcome.served is not None
        first = self.first_token if self.stream else (total if served else None)
        plan = job.plan
        entry = new_entry(  # so many that not all go by name; see `maker`
            job.origin,
            job.route.name,
            job.mode,
            outcome,
            new_timing(total, first, self.waited, job.decision, self.paused),
            status_of(outcome),
            plan.tiers[0].name,
            plan.reason,
            job.difficulty,
            job.threshold,
            reckon(job.route, outcome, job.signals.prompt_tokens),
            parts.config,
            prompt=job.signals if parts.keep_prompts and _may_be_kept(job.signals) else None,
            candidate=job.candidate,
            agreement=job.agreement,
            scoring=job.scoring.calls,
            fallback=job.fallback,
            decided=self._decided() if _was_decided(outcome) else None,
            propensity=job.propensity,
            gateway_cost=parts.gateway_cost,
            prompt_hash=parts.prompt_hash(job.request),
        )
        try:
            parts.journal.append(entry, tuple(self.slots))
        except Exception:
            LOGGER.exception("The entry %s was not kept.", job.origin.entry_id)
        for sink in parts.sinks:
            try:
                sink(entry)
            except Exception:
                LOGGER.exception("A sink could not read the entry %s.", job.origin.entry_id)
        return entry


def _was_decided(outcome: Outcome) -> bool:
    """What was only said again went through no decision that could be made again."""
    return outcome.served is None or outcome.served.said_again is None


def _may_be_kept(signals: Signals) -> bool:
    """A prompt without bound must not cost the spool the entry that it belongs to."""
    return len(signals.text) <= LONGEST_KEPT
