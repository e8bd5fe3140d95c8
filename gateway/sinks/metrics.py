"""Metrics from finished ledger entries: bounded labels, exact money, counts that outlive reloads.

Every label value is a name from the configuration, a word of the core's or `other`: no client can
add a series. Money is summed in integer nano-dollars, so that it equals the ledger's to the last.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import lru_cache
from itertools import combinations, product
from typing import NamedTuple

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.metrics_core import Metric as Family

from gateway.core.ledger import Entry, Refusal, escalations
from gateway.core.money import NANO, UNPRICED, Price
from gateway.core.outcome import Attempt
from gateway.core.plan import Tier
from gateway.core.routing import Route
from gateway.core.shadow import Shadow
from gateway.sinks import catalogue
from gateway.sinks.calls import KEPT, Calls
from gateway.sinks.cells import Bins, Counts, Times
from gateway.sinks.names import (
    AGREEMENTS,
    FALLBACKS,
    KINDS,
    MOVE_REASONS,
    OUTCOMES,
    SHADOW_RESULTS,
    START_REASONS,
    STATUSES,
    Names,
    among,
    discard_reason,
    scorer_tiers,
)
from gateway.sinks.resilience import SHED, ResilienceCounts
from gateway.sinks.shapes import Shapes
from gateway.sinks.standing import Standing, Tuning

CONTENT_TYPE = CONTENT_TYPE_LATEST
"""Of what `render` returns."""
BINS = 10


class _Whole(NamedTuple):
    """Where a request is counted as a whole, with its labels."""

    route: str
    tier: str
    requests: list[int]
    decisions: list[int]
    baseline: list[int]
    durations: Bins
    overheads: Bins
    deciding: Bins


class Metrics:
    """All of the gateway's metrics. `observe` is a sink; it and `rebuild` belong to one thread,
    `render` may be called from any. What stands around upstreams tells `resilience`."""

    def __init__(
        self,
        routes: Iterable[Route],
        build: Mapping[str, str],
        figures: Callable[[], Mapping[str, float]] = dict,
        tuning: Tuning = dict,
        database: str = "",
    ) -> None:
        """`build` holds build_info's labels; `figures` is asked at each scrape for what
        `ledger_figures.FIGURES` names: those of the store in its `database`, and the log. So
        is `tuning`, for the metrics of catalogue.TUNING and .DEPLOYMENTS and the threshold: values
        by name and labels."""
        self.registry = CollectorRegistry()
        self.standing = Standing(figures, tuning, database)
        self._requests = Counts(catalogue.REQUESTS)
        self._decisions = Counts(catalogue.DECISIONS)
        self._escalations = Counts(catalogue.ESCALATIONS)
        self._verdicts = Counts(catalogue.VERDICTS)
        self._baseline = Counts(catalogue.BASELINE, NANO)
        self._discarded = Counts(catalogue.DISCARDED, NANO)
        self._difficulty = Counts(catalogue.DIFFICULTY)
        self._fallbacks = Counts(catalogue.FALLBACKS)
        self._candidates = Counts(catalogue.CANDIDATES)
        self._shadows = Counts(catalogue.SHADOWS)
        self._limited = Counts(catalogue.LIMITED)
        self._reloads = Counts(catalogue.RELOADS)
        self._restarts = Counts(catalogue.RESTARTS)
        self._durations = Times(catalogue.DURATIONS)
        self._first_tokens = Times(catalogue.FIRST_TOKENS)
        self._overheads = Times(catalogue.OVERHEADS)
        self._deciding = Times(catalogue.DECIDING)
        self._lags = Times(catalogue.LOOP_LAG)
        self.names = Names()
        """Which label values there may be."""
        self._calls, self._shapes = Calls(self.names), Shapes(self.names)
        self.resilience = ResilienceCounts()
        self._whole = lru_cache(KEPT)(self._whole_of)
        for result in ("ok", "failed"):
            self._reloads.begin(result)
        self._restarts.begin()
        for outcome in ("client_error", "internal_error"):
            self._requests.begin(self.names.route(""), "none", outcome)
        self._calls.unpriced.begin(self.names.model(""), "missing_price")  # passed through
        self.rebuild(routes, build)
        self.registry.register(self)

    def rebuild(
        self,
        routes: Iterable[Route],
        build: Mapping[str, str],
        alone: Iterable[Tier] = (),
        priced_at: float | None = None,
    ) -> None:
        """Take the names of a new configuration; the counts of old names stay.

        `alone` are the tiers of no route, which a client may still ask for by name; `priced_at` is
        the UNIX time of the oldest price in force, where that is known.
        """
        self.standing.begin(build, priced_at)
        for tier in alone:
            self.names.learn_alone(tier)
        for route in routes:
            self.names.learn(route)
            self.standing.begin_route(route)
            self._begin_route(route)
        self._whole.cache_clear()
        self._calls.forget()

    def observe(self, entry: Entry) -> None:
        """Count one finished request."""
        whole = self._whole(
            entry.route,
            entry.served_tier,
            entry.start_tier,
            entry.ending,
            entry.start_reason,
            entry.origin.stream,
            entry.baseline.basis,
        )
        route, tier = whole.route, whole.tier
        whole.requests[0] += 1
        whole.decisions[0] += 1
        whole.baseline[0] += entry.baseline.cost
        for move in escalations(entry.outcome) if len(entry.outcome.attempts) > 1 else ():
            ends = (route, self.names.tier(move.from_tier), self.names.tier(move.to_tier))
            self._escalations.add((*ends, move.cause, among(move.reason, MOVE_REASONS)))
        if entry.difficulty is not None:
            step = min(max(int(entry.difficulty.value * BINS), 0), BINS - 1)
            self._difficulty.add((route, str(step)))
        if entry.scoring or entry.fallback or entry.agreement:
            self._observe_scoring(route, entry)
        for attempt in entry.outcome.attempts:
            self._observe_attempt(route, attempt)
            if attempt is not entry.outcome.served and (spent := attempt.spent):
                self._discarded.add((route, discard_reason(attempt, entry)), spent)
        if entry.gateway_cost:
            self._calls.cost.add((route, "none", "none", "gateway"), entry.gateway_cost)
        timing = entry.timing
        whole.durations.observe(timing.total)
        if timing.first_token is not None:
            stream = "true" if entry.origin.stream else "false"
            self._first_tokens.observe((route, tier, stream), timing.first_token)
        whole.overheads.observe(timing.overhead)
        whole.deciding.observe(timing.decision)
        self._shapes.observe(entry, route, tier)

    def observe_shadow(self, shadow: Shadow) -> None:
        """Count what was asked in the shadow, once its request had been served."""
        route = self.names.route(shadow.route)
        self._shadows.add((route, shadow.result))
        if shadow.attempt is None:
            return
        tier, priced = shadow.attempt.tier, _is_set(shadow.attempt.tier.price)
        for call in shadow.attempt.calls:
            name = self.names.tier(tier.name)
            self._calls.observe(route, name, call, priced=priced, purpose="shadow")

    def enter(self, route: str) -> None:
        """Count a request in."""
        self.standing.moved(self.names.route(route), 1)

    def leave(self, route: str) -> None:
        """Count it out."""
        self.standing.moved(self.names.route(route), -1)

    def refuse(self, refused: Refusal) -> None:
        """Count a request that was turned away before it had a route."""
        outcome = "client_error" if refused.status < 500 else "internal_error"
        self._requests.add((self.names.route(""), "none", outcome))
        if refused.code in SHED:
            self.resilience.count("turned_away", SHED[refused.code])

    def limited(self, scope: str, limit: str, action: str, times: int = 1) -> None:
        """Count limits that were met, see gateway.limits.admission.Told."""
        self._limited.add((scope, limit, action), times)

    def reloaded(self, *, ok: bool) -> None:
        """Count a reload of the configuration."""
        self._reloads.add(("ok" if ok else "failed",))

    def lagged(self, seconds: float) -> None:
        """Note how late the event loop came round."""
        self._lags.observe((), seconds)

    def restarted(self) -> None:
        """Count a worker that was replaced."""
        self._restarts.add(())

    def render(self) -> bytes:
        """Write everything in Prometheus' text format."""
        return generate_latest(self.registry)

    def collect(self) -> Iterator[Family]:
        """Read everything for export: the registry calls this at each scrape."""
        yield from (p.family() for p in vars(self).values() if isinstance(p, Counts | Times))
        yield from self._calls.families()
        yield from self._shapes.families()
        yield from self.resilience.families()
        yield from self.standing.families()

    def _begin_route(self, route: Route) -> None:
        tiers = [tier.name for tier in route.tiers]
        for tier, outcome in product(("none", *tiers), OUTCOMES):
            self._requests.begin(route.name, tier, outcome)
        self._calls.cost.begin(route.name, "none", "none", "gateway")
        for lower, upper in combinations(tiers, 2):
            self._escalations.begin(route.name, lower, upper, "deferral", "low_confidence")
            self._escalations.begin(route.name, lower, upper, "fall_through", "timeout")
        for step in range(BINS):
            self._difficulty.begin(route.name, str(step))
        for basis in ("measured", "estimated"):
            self._baseline.begin(route.name, basis)
        self._discarded.begin(route.name, "low_confidence")
        for tier, verdict in product(tiers[:-1], ("accept", "defer")):
            self._verdicts.begin(route.name, tier, verdict)
        for rung in (*route.tiers, *scorer_tiers(route)):
            self._begin_tier(route.name, rung)
        self._begin_scorer(route)

    def _begin_scorer(self, route: Route) -> None:
        if not isinstance(route.scorer, str):
            for reason in FALLBACKS:
                self._fallbacks.begin(route.name, reason)
        if route.shadow:
            for result in SHADOW_RESULTS:
                self._shadows.begin(route.name, result)
        if route.candidate is not None:
            for agree in AGREEMENTS:
                self._candidates.begin(route.name, agree)

    def _begin_tier(self, route: str, tier: Tier) -> None:
        for upstream in tier.upstreams:
            self.resilience.begin(upstream, tier.model)
        for status in STATUSES:
            self._calls.attempts.begin(tier.name, tier.model, status)
        for kind in KINDS:
            self._calls.cost.begin(route, tier.name, tier.model, kind)
        for reason in ("missing_price", "missing_rate", "estimated_tokens"):
            self._calls.unpriced.begin(tier.model, reason)

    def _observe_scoring(self, route: str, entry: Entry) -> None:
        for call in entry.scoring:
            tier = self.names.tier(call.tier)
            self._calls.observe(route, tier, call, priced=True, purpose="score")
        if entry.fallback:
            self._fallbacks.add((route, among(entry.fallback, FALLBACKS)))
        if entry.agreement:
            self._candidates.add((route, among(entry.agreement, AGREEMENTS)))

    def _observe_attempt(self, route: str, attempt: Attempt) -> None:
        tier = self.names.tier(attempt.tier.name)
        for call in attempt.calls:
            self._calls.observe(route, tier, call, priced=_is_set(attempt.tier.price))
        if attempt.verdict is not None:
            verdict = "accept" if attempt.verdict.accepted else "defer"
            self._verdicts.add((route, tier, verdict))
        own = self._calls.checks(route, attempt.evidence)
        for call in attempt.checking:
            asked = self.names.tier(call.tier)
            self._calls.observe(route, asked, call, priced=True, purpose="check")
            own -= call.cost.total
        if own:
            model = self.names.model(attempt.tier.model)
            self._calls.cost.add((route, tier, model, "check"), own)

    def _whole_of(
        self, route: str, tier: str, start: str, ending: str, reason: str, stream: bool, basis: str
    ) -> _Whole:
        """Find what requests of a kind are counted in, whichever values they have."""
        route, tier, start = self.names.route(route), self.names.tier(tier), self.names.tier(start)
        kind = (route, tier, "true" if stream else "false")
        return _Whole(
            route,
            tier,
            self._requests.cell((route, tier, among(ending, OUTCOMES))),
            self._decisions.cell((route, start, among(reason, START_REASONS))),
            self._baseline.cell((route, basis)),
            self._durations.cell(kind),
            self._overheads.cell((route,)),
            self._deciding.cell((route,)),
        )


def _is_set(price: Price) -> bool:
    """Has anybody set it? One that was has a digest, mostly, and need not be compared."""
    return bool(price.digest) or price != UNPRICED
