"""One recorded request decided again, step by step, by the `next_step` that serves the traffic."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from gateway.core.cascade import Call, Consult, Deliver, GiveUp, next_step, worth_buying
from gateway.core.judging import is_answered, judged, weigh
from gateway.core.outcome import Attempt, Outcome
from gateway.core.plan import Plan, Tier
from gateway.core.verdict import BARRED, TRUSTED, Evidence, Finding
from router_models.replay.races import Races
from router_models.replay.recorded import Record, Try, repriced, same_plan, tier_facts
from router_models.replay.watched import Side, left_for, same_end

UNKNOWN: Mapping[str, str] = {
    "tier": "asks a tier that was not asked",
    "check": "wants a check that was not made",
    "stream": "turns on how a stream began, which is not kept",
    "early": "may have been left early where it was not, or the other way round",
    "deadline": "has another deadline, and the call was cut off or would be",
    "race": "starts two calls beside each other, and chance decides",
    "cut": "the client left, or the gateway failed",
    "scorer": "was scored by another scorer",
    "plan": "cannot be planned by this configuration",
    "step": "takes a step that is not replayed",
}
"""Why nobody can say what would have come of a request."""


_NOT_MADE = (*BARRED, "left")
"""Why a check that is in the evidence has not looked at the reply."""


@dataclass(frozen=True, slots=True)
class Again:
    """What a policy makes of a recorded request.

    `called` are the tiers it calls, in order; `served` is none where nothing is served; `above`
    says that it starts over the route's first tier. Money is in nano-dollars. Where `unknown`
    gives a reason, only the start is known.
    """

    start: str
    reason: str
    above: bool
    called: tuple[str, ...] = ()
    served: str = "none"
    escalated: bool = False
    degraded: bool = False
    cost: int = 0
    unknown: str = ""


class _Unknown(Exception):
    """Its text is a key of UNKNOWN."""


def decide_again(plan: Plan, record: Record, *, prices: bool = False) -> Again:
    """Run `plan` over what is recorded of a request. `prices` says that the plan's tiers have
    prices of their own, by which the recorded tokens are priced anew."""
    walk = _Walk(plan, record, prices=prices)
    start = plan.tiers[0].name
    # A plan expects a cost of every tier of its route, cheap to strong.
    again = Again(start, plan.reason, above=start != next(iter(plan.expected), start))
    try:
        outcome = walk.run()
    except _Unknown as unknown:
        return replace(again, called=tuple(walk.called), unknown=str(unknown))
    return replace(
        again,
        called=tuple(walk.called),
        served=outcome.served.tier.name if outcome.served else "none",
        escalated=outcome.escalated,
        degraded=outcome.degraded,
        cost=outcome.spent + record.scoring,
    )


@dataclass
class _Walk:
    plan: Plan
    record: Record
    prices: bool
    called: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._own = same_plan(self.plan, self.record.decided.plan)
        readings = self.record.decided.readings
        self._clock = readings[0] if readings else 0.0
        self._attempts: tuple[Attempt, ...] = ()
        self._made: list[Try] = []
        self._races = Races(self.record, known=self._own)
        self._kept: tuple[Evidence, ...] = ()
        """Of a bare call: what was found before it."""

    def run(self) -> Outcome:
        readings = self.record.decided.readings
        turn = 0
        while True:
            if self._own and turn >= len(readings):
                raise _Unknown("cut")  # nothing was decided after this
            elapsed = readings[turn] if self._own else self._clock
            turn += 1
            step = next_step(self.plan, self._attempts, elapsed)
            if not isinstance(step, Consult) and self._drop():
                continue  # the last attempt is another one now
            match step:
                case Call():
                    self._call(step)
                case Consult():
                    self._consult(step)
                case Deliver(attempt, degraded):
                    self._book(len(self.called))
                    return Outcome(self._attempts, attempt, degraded)
                case GiveUp(error):
                    self._book(len(self.called))
                    return Outcome(self._attempts, error=error)
                case _:
                    raise _Unknown("step")

    def _call(self, step: Call) -> None:
        tier, race = step.tier, step.race
        if step.bare:
            made = self._made[-1]
            if made.first is None:
                raise _Unknown("tier")
            self._kept = self._attempts[-1].evidence
            self._add(made, made.attempt, keep=self._attempts[:-1])
            self._kept = ()
            return
        if race is not None and not self._own:
            raise _Unknown("race")
        races, called = self._races, len(self.called)
        if races.drop_guess(step, called):
            self._book(0)  # it had been started beside the first call, and nothing before
            return
        if race is not None and race.by == "verdict":
            races.guess(race.tier, len(self._attempts))
        if race is not None and race.by == "first_token" and self.record.row["stream"]:
            races.at = len(self._attempts)
            self._book(called)
            if races.is_next(race.tier, called):
                tier = race.tier  # the second call was the first to speak
        made = self._next(tier)
        self._made.append(made)
        self.called.append(tier.name)
        self._add(made, made.first or made.attempt, keep=self._attempts)

    def _book(self, place: int) -> None:
        """Book what races have given up that was begun before the call of that number was over."""
        outrun = tuple(self._as_planned(each) for each in self._races.given_up(place))
        at = self._races.at
        self._attempts = (*self._attempts[:at], *outrun, *self._attempts[at:])

    def _as_planned(self, attempt: Attempt) -> Attempt:
        """The attempt at the plan's own tier."""
        tier = next(t for t in (*self.plan.tiers, *self.plan.below) if t.name == attempt.tier.name)
        attempt = repriced(attempt, tier) if self.prices else replace(attempt, tier=tier)
        return replace(attempt, fallen=tier in self.plan.below)

    def _next(self, tier: Tier) -> Try:
        """The next recorded try at this tier, of the same model in the same recipe."""
        tries = self.record.tries.get(tier.name, ())
        place = self.called.count(tier.name)
        recipe = tier.recipe.label if tier.recipe else ""
        if place >= len(tries):
            raise _Unknown("tier")
        made = tries[place]
        if made.model and (made.model, made.recipe) != (tier.model, recipe):
            raise _Unknown("tier")
        return made

    def _add(self, made: Try, attempt: Attempt, keep: tuple[Attempt, ...]) -> None:
        if made.cut:
            raise _Unknown("cut")
        attempt = self._before_drop(self._as_planned(attempt))
        tier = attempt.tier
        self._time(made, attempt)
        if attempt.failure is None and attempt.reply is not None:
            attempt = self._replied(made, attempt)
        elif not self._same(tier) and self.record.row["stream"] and made.begun:
            raise _Unknown("stream")  # broke off: before or after its first byte was let through?
        self._attempts = (*keep, attempt)

    def _time(self, made: Try, attempt: Attempt) -> None:
        """Let it take what it took. Another deadline may have cut it off, or let it go on."""
        before, now = self.record.decided.plan.deadline, self.plan.deadline
        was_cut = attempt.failure is not None and attempt.failure.kind == "timeout"
        if not self._own and now != before:
            late = self._clock + made.seconds >= now and not attempt.released
            if late or (was_cut and made.end >= before):
                raise _Unknown("deadline")
        self._clock += made.seconds

    # ------------------------------------------------------------------ how a reply was held

    def _replied(self, made: Try, attempt: Attempt) -> Attempt:
        """Return a reply as it is before any check of the whole of it."""
        tier = attempt.tier
        if not self.record.row["stream"]:
            whole = replace(attempt, evidence=self._kept, verdict=None, released=False)
            return self._judged(whole, made)
        if not self._own:
            self._require_same_end(made, attempt)
        if self._same(tier):
            if attempt.left or attempt.released:
                evidence = attempt.evidence if attempt.left else self._kept
                return self._judged(replace(attempt, evidence=evidence), made)
            return self._judged(replace(attempt, evidence=self._kept, verdict=None), made)
        return self._held_otherwise(made, attempt)

    def _held_otherwise(self, made: Try, attempt: Attempt) -> Attempt:
        """The same under another bar, hold or place in the plan."""
        tier = attempt.tier
        at_once = not self.plan.judges(tier) or self.plan.hold(tier).policy == "none"
        if at_once and not attempt.left:
            opened = replace(attempt, evidence=(), verdict=TRUSTED, released=True)
            return self._judged(opened, made)
        before, hold = self._before(tier), self.plan.hold(tier)
        if left_for(attempt.evidence):
            early = weigh(self.plan, tier, attempt.evidence, whole=False)
            return replace(attempt, verdict=early)
        partly = hold.policy != "reply"
        if partly and (before is None or self.record.decided.plan.hold(before) != hold):
            raise _Unknown("stream")
        if attempt.left and partly:
            verdict = weigh(self.plan, tier, attempt.evidence, whole=False)
            held_on = tier.bar.combiner and worth_buying(self.plan, tier, attempt.evidence, verdict)
            if not verdict.accepted and not held_on:
                return replace(attempt, verdict=verdict)
        if attempt.left or (attempt.released and partly):
            raise _Unknown("stream")
        return self._judged(replace(attempt, evidence=(), verdict=None, released=False), made)

    def _require_same_end(self, made: Try, attempt: Attempt) -> None:
        """Raise _Unknown where it may have been left early and was not, or the other way round."""
        before, plan = self._before(attempt.tier), self.record.decided.plan
        now = Side(self.plan, attempt.tier, (*self._attempts, attempt), self._clock)
        # As recorded, at the recorded prices; where it was only a shadow, nobody has watched it.
        recorded = tuple(each.attempt for each in self._made)
        then = Side(plan, before or attempt.tier, recorded, made.end)
        if not same_end(then, now, attempt.evidence):
            raise _Unknown("early")

    def _before(self, tier: Tier) -> Tier | None:
        """The tier as the recorded plan had it."""
        plan = self.record.decided.plan
        return next((t for t in (*plan.tiers, *plan.below) if t.name == tier.name), None)

    def _same(self, tier: Tier) -> bool:
        """Is a reply of this tier judged just as it was?"""
        before, plan = self._before(tier), self.record.decided.plan
        return (
            before is not None
            and tier_facts(plan, before) == tier_facts(self.plan, tier)
            and plan.judges(before) == self.plan.judges(tier)
            and plan.next_good(before) == self.plan.next_good(tier)
            and (
                tier.bar.combiner is None
                or plan.p_good.get(tier.name) == self.plan.p_good.get(tier.name)
            )
        )

    # ------------------------------------------------------------------ checks

    def _before_drop(self, attempt: Attempt) -> Attempt:
        """The attempt as the engine had it before it gave up the checks beside it: `_drop` books
        those, and takes a reading of its own for it."""
        if not self._own:
            return attempt  # nothing is given up again, and what it cost is in it
        found = (e for e in attempt.evidence if e.finding.reason != "left" or e in self._kept)
        return replace(attempt, evidence=tuple(found))

    def _drop(self) -> bool:
        """Book the checks that were begun beside the last draft and given up; were there any?"""
        if not (self._own and self._attempts):
            return False
        *before, last = self._attempts
        known = {item.check for item in last.evidence}
        left = tuple(
            item
            for item in self._made[-1].attempt.evidence
            if item.finding.reason == "left" and item.check not in known
        )
        self._attempts = (*before, replace(last, evidence=last.evidence + left))
        return bool(left)

    def _consult(self, step: Consult) -> None:
        *before, last = self._attempts
        made = self._made[-1]
        known = {item.check: item for item in made.attempt.evidence}
        if step.barred and not self._own:
            barred = Finding("abstain", step.barred)
            known |= {name: Evidence(name, barred) for name in step.checks}
        elif not self._own:
            known = {n: item for n, item in known.items() if item.finding.reason not in _NOT_MADE}
        if any(name not in known for name in step.checks):
            raise _Unknown("check")
        asked = tuple(known[name] for name in step.checks)
        self._clock += sum(item.seconds for item in asked)
        answered = replace(last, evidence=last.evidence + asked)
        self._attempts = (*before, self._judged(answered, made))

    def _judged(self, attempt: Attempt, made: Try) -> Attempt:
        """As the engine does; where nothing was judged otherwise, by what was found then."""
        whole = is_answered(attempt) and len(attempt.evidence) == len(made.attempt.evidence)
        held = not (attempt.left or attempt.released) and self.plan.judges(attempt.tier)
        if held and whole and self._same(attempt.tier):
            return replace(attempt, verdict=made.attempt.verdict)
        return judged(self.plan, attempt)
