"""What is remembered of conversations: where they escalated to, and who has them in its cache."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace
from hashlib import sha256

import orjson

from gateway.core.chat import ChatRequest
from gateway.core.ledger import Entry, escalations
from gateway.core.outcome import Attempt
from gateway.core.routing import Route
from gateway.core.session import NOTHING, Past
from gateway.engine import Job

KEPT = 10_000
"""Conversations; the least recently used go first."""
SMALLEST_CACHE = 1_024
"""Tokens: providers cache no shorter prompt."""
_INSTRUCTING = ("system", "developer")


class Conversation:
    """Says, when it is first asked, what a request's conversation is known by: that is needed
    where something was remembered or is to be, as of few requests, and hashes a prompt."""

    __slots__ = ("_asked", "_name")

    def __init__(self, request: ChatRequest, key: str, session: str) -> None:
        self._asked = request, key, session
        self._name = ""

    def __call__(self) -> str:
        """Return the name; see `conversation`."""
        if not self._name:
            self._name = conversation(*self._asked)
        return self._name


def conversation(request: ChatRequest, key: str, session: str) -> str:
    """Name a request's conversation so that no other key's can be mistaken for it.

    By the session that the client names; else by a digest of its instructions and first user
    message, which every request of a conversation repeats. It stays in memory.
    """
    if session:
        return f"{key}\0{session}"
    told = [
        (message.get("role"), message.get("content"))
        for message in request.messages
        if message.get("role") in _INSTRUCTING
    ]
    asked = (m.get("content") for m in request.messages if m.get("role") == "user")
    digest = sha256(orjson.dumps([told, next(asked, None)])).hexdigest()[:32]
    return f"{key}\0\0{digest}"


def goes_on(request: ChatRequest) -> bool:
    """Has the conversation had an answer before? Without one, a digest of how it begins says only
    that somebody asked the same."""
    for message in request.messages:  # a generator costs as much as ten of them
        if message.get("role") == "assistant":
            return True
    return False


@dataclass(frozen=True, slots=True)
class _Remembered:
    """`latched` names a tier, until `until`; `kept` counts the requests since the last probe that
    the latch has held; `warm` served last, at `served_at`, a prompt of `history` tokens."""

    latched: str = ""
    until: float = 0.0
    kept: int = 0
    warm: str = ""
    history: int = 0
    served_at: float = 0.0


class Sessions:
    """The conversations of one process. `clock` is monotonic, in seconds."""

    def __init__(self, clock: Callable[[], float]) -> None:
        """Start with none."""
        self._clock = clock
        self._known: OrderedDict[tuple[str, str], _Remembered] = OrderedDict()

    def past(
        self, route: Route, who: Callable[[], str], request: ChatRequest, *, named: bool
    ) -> Past:
        """Return what is remembered for a request of the conversation `who`. `named` says that the
        client gave it its name. Changes nothing."""
        begun = goes_on(request)
        known = self._known.get((route.name, who())) if named or begun else None
        if known is None:
            return NOTHING
        now = self._clock()
        names = [tier.name for tier in route.tiers]
        fresh = route.latch is not None and now < known.until and known.latched in names
        latched = names.index(known.latched) if fresh else 0
        warm = begun and route.cache is not None and now < known.served_at + route.cache
        history = known.history if warm and known.warm in names else 0
        return Past(
            latched=latched,
            probe=latched > 0 and _is_due(known.kept, route.probe) and _is_turn(request),
            warm=known.warm if history else "",
            history=history,
        )

    def note(self, job: Job, entry: Entry) -> None:
        """Remember what came of a request that was served."""
        served, route = entry.outcome.served, job.route
        if served is None or job.plan.reason in {"override", "mode"}:
            return
        worth = entry.outcome.escalated or _is_cached(served)
        if not worth and not self._known:
            return  # as nearly always: nothing was, and nothing is worth a place
        place = (route.name, job.conversation())
        before = self._known.get(place)
        if before is None:
            if not worth:
                return
            before = _Remembered()
        after = self._latched(_warmed(before, served, self._clock()), job, entry)
        if after == _Remembered(served_at=after.served_at):
            self._known.pop(place, None)  # nothing worth a place
            return
        self._known[place] = after
        self._known.move_to_end(place)
        if len(self._known) > KEPT:
            self._known.popitem(last=False)

    def _latched(self, known: _Remembered, job: Job, entry: Entry) -> _Remembered:
        """A latch rises with an escalation that was not only the quicker, is kept up to its end,
        and is gone once a probe has shown that a lower tier is good enough again."""
        route, outcome, past = job.route, entry.outcome, job.past
        if route.latch is None:
            return replace(known, latched="", kept=0)
        had_to = any(move.cause != "hedge" for move in escalations(outcome))
        if had_to and outcome.escalated and not outcome.degraded:
            return replace(
                known, latched=entry.served_tier, until=self._clock() + route.latch, kept=0
            )
        if past.latched and job.plan.reason == "probe" and not outcome.degraded:
            late = outcome.served.late if outcome.served else None
            good = late is None or late.accepted
            return replace(known, latched="" if good else known.latched, kept=0)
        if past.latched and job.plan.reason == "latch":
            return replace(known, kept=known.kept + 1)
        return known


def _warmed(known: _Remembered, served: Attempt, now: float) -> _Remembered:
    """Whose cache the conversation is in now: the tier's that served, if its provider gives a
    price for that."""
    worth = _is_cached(served)
    return replace(
        known,
        warm=served.tier.name if worth else "",
        history=_prompt(served) if worth else 0,
        served_at=now,
    )


def _is_cached(served: Attempt) -> bool:
    price = served.tier.price
    cheaper = price.cached_input is not None and price.cached_input < price.input
    return cheaper and _prompt(served) >= SMALLEST_CACHE


def _prompt(served: Attempt) -> int:
    return served.calls[-1].usage.prompt if served.calls else 0


def _is_due(kept: int, share: float) -> bool:
    """Has a share of them come to a whole one? Rounded, so that ten times a tenth is one."""
    return round((kept + 1) * share, 9) >= 1


def _is_turn(request: ChatRequest) -> bool:
    """Does the user speak, and no tool? A loop of tools is not for trying things out."""
    return request.messages[-1].get("role") == "user"
