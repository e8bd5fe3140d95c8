"""From a route, a request's signals and its difficulty to a plan: hard rules first, then score."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from gateway.core.asking import Asks
from gateway.core.caching import Caching
from gateway.core.capable import capable, fitting, require_able
from gateway.core.chat import CHARS_PER_TOKEN
from gateway.core.difficulty import Difficulty, start_index
from gateway.core.errors import BadRequest, CeilingTooLow
from gateway.core.limits import Limits
from gateway.core.money import dollars, new_usage
from gateway.core.plan import Plan, StartReason, Tier, new_plan
from gateway.core.quick import changer, quick
from gateway.core.recipes import Recipe
from gateway.core.scorer_spec import ScorerSpec
from gateway.core.session import NOTHING, Past, cached_at, wanted_start
from gateway.core.signals import Signals

Mode = Literal["enforce", "observe", "off"]
ASSUMED_REPLY_TOKENS = 256
"""A reply's expected length where the client set no bound."""


Yardstick = Literal["own", "artefact"]


@dataclass(frozen=True, slots=True)
class Target:
    """What a route's threshold is to bring about, from live traffic; `share` or `quality` is set.

    `share` is the part of the traffic, over 0 and under 1, that starts over the first tier, seen
    over the last `window` scores. `quality` is what is served on average, as a part of the
    strongest tier's: promised in expectation, or, given a `confidence`, in all but 1 - confidence
    of the calibrations; `until` is the threshold for as long as nothing can be promised.
    """

    share: float | None = None
    quality: float | None = None
    confidence: float | None = None
    window: int = 1000
    until: float = 0.0

    @property
    def start(self) -> float:
        """The threshold before anything is known."""
        return self.until if self.share is None else 1.0 - self.share


@dataclass(frozen=True, slots=True)
class Speculation:
    """Where the second tier is started beside the first: `band` holds the difficulties, the second
    excluded; `after` so many seconds."""

    band: tuple[float, float] = (0.6, 0.8)
    after: float = 0.0


@dataclass(frozen=True, slots=True)
class Route:
    """A waterfall: its tiers, cheap to strong, and its policy.

    `thresholds` has at most one entry for each tier over the first, and never falls; with a
    `target` it is what the route starts with. `baseline_policy` is as in
    core.baseline, `baseline_reply` how long the baseline tier's replies are by the tier that served
    instead, taking its for 1. `reference` says among whose traffic a score is
    ranked: the gateway's own, once there is enough, or what the scorer came with. `deadline` is
    in seconds, `ceiling` in nano-dollars. `enforce_share` is the share of traffic, 0..1, that
    the policy decides for; the rest is observed. `latch` is for how many seconds a session keeps
    to the tier it last escalated to (None: it does not); a share of its requests, `probe`, starts
    lower all the same. `cache` is for how many seconds a provider keeps a prompt in its cache
    (None: that is not reckoned with). `candidate` is a scorer that is tried on
    the same traffic and decides nothing: a word or an artefact's folder. `shadow` is the share of
    the observed traffic, 0..1, on which the tier that the policy would have started at is asked
    too, for the record. `keepalive` is after how many seconds a stream that is still
    held is opened, and kept open (None: it is not).
    """

    name: str
    tiers: tuple[Tier, ...]
    aliases: tuple[str, ...] = ()
    scorer: ScorerSpec = "default"
    thresholds: tuple[float, ...] = (0.8,)
    target: Target | None = None
    reference: Yardstick = "own"
    baseline: str = ""
    baseline_policy: Literal["same_prompt", "bare_prompt"] = "same_prompt"
    baseline_reply: Mapping[str, float] = field(default_factory=dict)
    mode: Mode = "enforce"
    enforce_share: float = 1.0
    deadline: float = 60.0
    ceiling: int | None = None
    fall_down: bool = True
    latch: float | None = 600.0
    probe: float = 0.1
    cache: float | None = 300.0
    candidate: str | None = None
    shadow: float = 0.0
    speculate: Speculation | None = None
    keepalive: float | None = None
    limits: Limits | None = None
    caching: Caching | None = None
    asking: tuple[tuple[Tier, str, Asks], ...] = field(init=False, repr=False, compare=False)
    """The tiers' checks that ask a model; made of `tiers`."""

    def __post_init__(self) -> None:
        """Gather once what would be looked for at each request."""
        asking = [
            (tier, spec.name, spec.asks)
            for tier in self.tiers
            for spec in tier.bar.checks
            if spec.asks is not None
        ]
        object.__setattr__(self, "asking", tuple(asking))

    def tier(self, name: str) -> Tier | None:
        """Return the tier of that name, if the route has it."""
        for tier in self.tiers:
            if tier.name == name:
                return tier
        return None

    @property
    def baseline_tier(self) -> Tier:
        """The tier every saving is measured against."""
        return self.tier(self.baseline) or self.tiers[-1]

    def reply_ratio(self, tier: str) -> float:
        """How long the baseline tier's replies are, taking those of `tier` for 1."""
        return self.baseline_reply.get(tier, 1.0)


@quick
@dataclass(frozen=True, slots=True)
class Overrides:
    """What a request asked of the policy. A ceiling or deadline can only lower the route's."""

    tier: str | None = None
    thresholds: tuple[float, ...] | None = None
    mode: Mode | None = None
    ceiling: int | None = None
    deadline: float | None = None


change_overrides = changer(Overrides)


def make_plan(
    route: Route,
    signals: Signals,
    difficulty: Difficulty,
    overrides: Overrides = Overrides(),
    past: Past = NOTHING,
    down: Collection[str] = (),
) -> Plan:
    """Decide where a request starts and what may follow.

    `past` is what is remembered of its conversation; `down` names tiers whose breaker is open: a
    request starts over them, where there is anything over them. Raises BadRequest when no tier can
    take the request, CeilingTooLow when none is expected to fit its dollar ceiling.
    """
    ceiling = _lower(route.ceiling, overrides.ceiling)
    deadline = overrides.deadline or route.deadline
    deadline = route.deadline if deadline > route.deadline else deadline  # noqa: FURB136 (hot: no call)
    expected = expected_costs(route.tiers, signals, past)
    tiers, below, reason, speculate = _ladder(
        route, signals, difficulty, overrides, past, down, expected
    )
    plan = new_plan(
        tiers,
        below,
        reason,
        deadline,
        ceiling,
        expected,
        {
            t.name: p
            for at, t in enumerate(route.tiers)
            if (p := difficulty.good_at(at)) is not None
        },
        _check_costs(route, signals),
        signals.choices,
        speculate=speculate,
    )
    return _within_ceiling(plan)


def _ladder(
    route: Route,
    signals: Signals,
    difficulty: Difficulty,
    overrides: Overrides,
    past: Past,
    down: Collection[str],
    expected: Mapping[str, int],
) -> tuple[tuple[Tier, ...], tuple[Tier, ...], StartReason, float | None]:
    """Return a plan's tiers and those below, why it starts where it does, and what it speculates
    on: the tier that the request is bound to, or else the policy's choice."""
    if pinned := _pinned(route, overrides):
        require_able(pinned[0], signals)
        return (pinned[0],), (), pinned[1], None
    able = capable(route.tiers, signals)
    usable = fitting(able, signals)
    scored = start_index(difficulty.value, overrides.thresholds or route.thresholds)
    wanted, why = wanted_start(route.tiers, scored, past, expected)
    start, reason = _start(route, usable, able, wanted)
    reason = why if reason == "score" else reason
    at = usable.index(start)
    if start.name in down and (up := [t for t in usable[at:] if t.name not in down]):
        start, reason, at = up[0], "breaker", usable.index(up[0])
    below = tuple(reversed(usable[:at])) if route.fall_down else ()
    return tuple(usable[at:]), below, reason, _speculate(route, difficulty, start)


def expected_costs(tiers: Sequence[Tier], signals: Signals, past: Past) -> dict[str, int]:
    """Estimate one call at each tier, in nano-dollars: prompt, recipe, and for each choice a reply
    of the client's own bound or of a common length. Only the tier that has the conversation in
    its provider's cache gets the cache's price: any other is charged what a switch loses."""
    prompt, said = signals.prompt_tokens, reply_tokens(signals)
    bare = new_usage(prompt, said)
    costs = {}
    for tier in tiers:
        usage = bare
        if tier.recipe is not None or tier.name == past.warm:
            added = recipe_tokens(tier.recipe)
            usage = new_usage(prompt + added, said, cached_at(tier, prompt, past))
        costs[tier.name] = tier.price.total(usage)
    return costs


def expected_cost(tier: Tier, signals: Signals, past: Past = NOTHING) -> int:
    """Estimate one call at one tier."""
    return expected_costs((tier,), signals, past)[tier.name]


def _check_costs(route: Route, signals: Signals) -> dict[tuple[str, str], int]:
    """Price every check that asks a model, for this request."""
    length = signals.max_tokens or ASSUMED_REPLY_TOKENS
    read = signals.prompt_tokens
    costs = {}
    for tier, check, asks in route.asking:
        costs[tier.name, check] = asks.cost(tier.price, read, length, signals.choices)
    return costs


def reply_tokens(signals: Signals) -> int:
    """Estimate the tokens of all choices that are made for a reply."""
    many = signals.choices if signals.choices > signals.made else signals.made  # noqa: FURB136 (hot: no call)
    return (signals.max_tokens or ASSUMED_REPLY_TOKENS) * many


def recipe_tokens(recipe: Recipe | None, *, escalated: bool = False) -> int:
    """Estimate the tokens a recipe adds to a prompt, its hand-over note where that is an
    escalation's."""
    if recipe is None:
        return 0
    recipe = recipe.handed_over() if escalated else recipe
    texts = (recipe.before, recipe.after, recipe.output, *(t for ex in recipe.examples for t in ex))
    return sum(len(text) for text in texts) // CHARS_PER_TOKEN


def _lower(first: int | None, second: int | None) -> int | None:
    if first is None or second is None:
        return second if first is None else first
    return min(first, second)


def _pinned(route: Route, overrides: Overrides) -> tuple[Tier, StartReason] | None:
    if overrides.tier is not None:
        tier = route.tier(overrides.tier)
        if tier is None:
            names = ", ".join(each.name for each in route.tiers)
            message = f"Route {route.name!r} has no tier {overrides.tier[:100]!r}. It has: {names}."
            raise BadRequest(message, param="x-waterfall-tier")
        return tier, "override"
    if (overrides.mode or route.mode) != "enforce":
        return route.baseline_tier, "mode"
    return None


def _start(
    route: Route, usable: list[Tier], capable: list[Tier], wanted: int
) -> tuple[Tier, StartReason]:
    target = route.tiers[wanted]
    if target in usable:
        return target, "score"
    higher = [tier for tier in route.tiers[wanted:] if tier in usable]
    start = higher[0] if higher else usable[-1]
    return start, "context" if target in capable else "rule"


def _speculate(route: Route, difficulty: Difficulty, start: Tier) -> float | None:
    """Return after how many seconds the tier over the route's first is started too, if at all."""
    wanted = route.speculate
    if wanted is None or start is not route.tiers[0]:
        return None
    low, high = wanted.band
    return wanted.after if low <= difficulty.value < high else None


def _within_ceiling(plan: Plan) -> Plan:
    """Start lower when the ceiling does not reach the start; refuse when it reaches nothing."""
    ceiling = plan.ceiling
    if ceiling is None or plan.expected[plan.tiers[0].name] <= ceiling:
        return plan
    for position, tier in enumerate(plan.below):
        if plan.expected[tier.name] <= ceiling:
            tiers = (tier, *reversed(plan.below[:position]), *plan.tiers)
            below = plan.below[position + 1 :]
            return replace(plan, tiers=tiers, below=below, reason="budget")
    cheapest = min(plan.expected[tier.name] for tier in (*plan.tiers, *plan.below))
    message = (
        f"No tier is expected to answer within ${dollars(ceiling)}: the cheapest needs about "
        f"${dollars(cheapest)}. Raise the ceiling, or set a smaller max_tokens."
    )
    raise CeilingTooLow(message, param="x-waterfall-max-cost-usd")
