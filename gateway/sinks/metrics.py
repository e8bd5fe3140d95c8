"""Metrics from finished ledger entries: bounded labels, exact money, counts that outlive reloads.

Every label value is a name from the configuration, a word of the core's or `other`: no client can
add a series. Money is summed in integer nano-dollars, so that it equals the ledger's to the last.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import combinations, product

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.metrics_core import Metric as Family

from gateway.core.ledger import Entry, Refusal, escalations
from gateway.core.money import NANO, UNPRICED
from gateway.core.outcome import Attempt, CallRecord
from gateway.core.plan import Tier
from gateway.core.routing import Route
from gateway.core.shadow import Shadow
from gateway.core.verdict import ABSTENTIONS, Evidence
from gateway.sinks import catalogue
from gateway.sinks.cells import Counts, Times
from gateway.sinks.names import (
    AGREEMENTS,
    FAILURES,
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
        self._attempts = Counts(catalogue.ATTEMPTS)
        self._decisions = Counts(catalogue.DECISIONS)
        self._escalations = Counts(catalogue.ESCALATIONS)
        self._checks = Counts(catalogue.CHECKS)
        self._abstentions = Counts(catalogue.CHECK_ABSTENTIONS)
        self._check_seconds = Times(catalogue.CHECK_SECONDS)
        self._check_cost = Counts(catalogue.CHECK_COST, NANO)
        self._verdicts = Counts(catalogue.VERDICTS)
        self._errors = Counts(catalogue.UPSTREAM_ERRORS)
        self._tokens = Counts(catalogue.TOKENS)
        self._cost = Counts(catalogue.COST, NANO)
        self._baseline = Counts(catalogue.BASELINE, NANO)
        self._discarded = Counts(catalogue.DISCARDED, NANO)
        self._unpriced = Counts(catalogue.UNPRICED)
        self._difficulty = Counts(catalogue.DIFFICULTY)
        self._fallbacks = Counts(catalogue.FALLBACKS)
        self._candidates = Counts(catalogue.CANDIDATES)
        self._shadows = Counts(catalogue.SHADOWS)
        self._limited = Counts(catalogue.LIMITED)
        self._reloads = Counts(catalogue.RELOADS)
        self._restarts = Counts(catalogue.RESTARTS)
        self._durations = Times(catalogue.DURATIONS)
        self._first_tokens = Times(catalogue.FIRST_TOKENS)
        self._upstream = Times(catalogue.UPSTREAM_DURATIONS)
        self._overheads = Times(catalogue.OVERHEADS)
        self._deciding = Times(catalogue.DECIDING)
        self._lags = Times(catalogue.LOOP_LAG)
        self.names = Names()
        """Which label values there may be."""
        self._shapes, self.resilience = Shapes(self.names), ResilienceCounts()
        for result in ("ok", "failed"):
            self._reloads.begin(result)
        self._restarts.begin()
        for outcome in ("client_error", "internal_error"):
            self._requests.begin(self.names.route(""), "none", outcome)
        self._unpriced.begin(self.names.model(""), "missing_price")  # of what is passed through
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

    def observe(self, entry: Entry) -> None:
        """Count one finished request."""
        route = self.names.route(entry.route)
        tier, start = map(self.names.tier, (entry.served_tier, entry.start_tier))
        self._requests.add((route, tier, among(entry.ending, OUTCOMES)))
        self._decisions.add((route, start, among(entry.start_reason, START_REASONS)))
        for move in escalations(entry.outcome):
            ends = (route, self.names.tier(move.from_tier), self.names.tier(move.to_tier))
            self._escalations.add((*ends, move.cause, among(move.reason, MOVE_REASONS)))
        if entry.difficulty is not None:
            step = min(max(int(entry.difficulty.value * BINS), 0), BINS - 1)
            self._difficulty.add((route, str(step)))
        self._observe_scoring(route, entry)
        for attempt in entry.outcome.attempts:
            self._observe_attempt(route, attempt)
            if attempt is not entry.outcome.served and (spent := attempt.spent):
                self._discarded.add((route, discard_reason(attempt, entry)), spent)
        if entry.gateway_cost:
            self._cost.add((route, "none", "none", "gateway"), entry.gateway_cost)
        self._baseline.add((route, entry.baseline.basis), entry.baseline.cost)
        self._observe_times(entry, route, tier)

    def observe_shadow(self, shadow: Shadow) -> None:
        """Count what was asked in the shadow, once its request had been served."""
        route = self.names.route(shadow.route)
        self._shadows.add((route, shadow.result))
        if shadow.attempt is None:
            return
        tier, priced = shadow.attempt.tier, shadow.attempt.tier.price != UNPRICED
        for call in shadow.attempt.calls:
            name = self.names.tier(tier.name)
            self._observe_call(route, name, call, priced=priced, purpose="shadow")

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
        yield from self._shapes.families()
        yield from self.resilience.families()
        yield from self.standing.families()

    def _begin_route(self, route: Route) -> None:
        tiers = [tier.name for tier in route.tiers]
        for tier, outcome in product(("none", *tiers), OUTCOMES):
            self._requests.begin(route.name, tier, outcome)
        self._cost.begin(route.name, "none", "none", "gateway")
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
            self._attempts.begin(tier.name, tier.model, status)
        for kind in KINDS:
            self._cost.begin(route, tier.name, tier.model, kind)
        for reason in ("missing_price", "missing_rate", "estimated_tokens"):
            self._unpriced.begin(tier.model, reason)

    def _observe_scoring(self, route: str, entry: Entry) -> None:
        for call in entry.scoring:
            tier = self.names.tier(call.tier)
            self._observe_call(route, tier, call, priced=True, purpose="score")
        if entry.fallback:
            self._fallbacks.add((route, among(entry.fallback, FALLBACKS)))
        if entry.agreement:
            self._candidates.add((route, among(entry.agreement, AGREEMENTS)))

    def _observe_attempt(self, route: str, attempt: Attempt) -> None:
        tier = self.names.tier(attempt.tier.name)
        for call in attempt.calls:
            self._observe_call(route, tier, call, priced=attempt.tier.price != UNPRICED)
        if attempt.verdict is not None:
            verdict = "accept" if attempt.verdict.accepted else "defer"
            self._verdicts.add((route, tier, verdict))
        for item in attempt.evidence:
            self._observe_check(route, item)
        for call in attempt.checking:
            asked = self.names.tier(call.tier)
            self._observe_call(route, asked, call, priced=True, purpose="check")
        own = attempt.check_cost - sum(call.cost.total for call in attempt.checking)
        if own:
            model = self.names.model(attempt.tier.model)
            self._cost.add((route, tier, model, "check"), own)

    def _observe_check(self, route: str, item: Evidence) -> None:
        check, finding = self.names.check(item.check), item.finding
        self._checks.add((route, check, finding.result))
        if item.cost:
            self._check_cost.add((route, check), item.cost)
        if self.names.waits(item.check):
            self._check_seconds.observe((route, check), item.seconds)
            if finding.result == "abstain" and finding.reason:
                self._abstentions.add((route, check, among(finding.reason, ABSTENTIONS)))

    def _observe_call(
        self, route: str, tier: str, call: CallRecord, *, priced: bool, purpose: str = ""
    ) -> None:
        """`purpose` is the kind that all of its cost is of, where that is not told by kind."""
        model = self.names.model(call.model)
        self._attempts.add((tier, model, among(call.status, STATUSES)))
        if call.status == "failed":
            self._errors.add((tier, model, among(call.error, FAILURES)))
            self._upstream.observe((tier, model, "error"), call.seconds)
        elif call.status == "ok":
            self._upstream.observe((tier, model, "ok"), call.seconds)
        if call.usage.estimated:
            self._unpriced.add((model, "estimated_tokens"))
        if not call.price.knows(call.usage.service):
            self._unpriced.add((model, "missing_rate"))
        if not priced:
            self._unpriced.add((model, "missing_price"))
        self._observe_tokens(tier, model, call)
        parts = (call.cost.total,) if purpose else call.cost.amounts
        for kind, amount in zip((purpose,) if purpose else KINDS, parts, strict=False):
            if amount:
                self._cost.add((route, tier, model, kind), amount)

    def _observe_tokens(self, tier: str, model: str, call: CallRecord) -> None:
        usage = call.usage
        for name, tokens in (
            ("input", usage.prompt),
            ("output", usage.completion),
            ("cached_input", usage.cached),
            ("cache_creation_input", usage.cache_write),
            ("reasoning", usage.reasoning),
        ):
            if tokens:
                self._tokens.add((tier, model, name), tokens)

    def _observe_times(self, entry: Entry, route: str, tier: str) -> None:
        timing = entry.timing
        stream = "true" if entry.origin.stream else "false"
        self._durations.observe((route, tier, stream), timing.total)
        if timing.first_token is not None:
            self._first_tokens.observe((route, tier, stream), timing.first_token)
        self._overheads.observe((route,), timing.overhead)
        self._deciding.observe((route,), timing.decision)
        self._shapes.observe(entry, route, tier)
