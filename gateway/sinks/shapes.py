"""How large and how quick requests are, as a whole and call by call; which had no need of one."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.metrics_core import Metric as Family

from gateway.core.ledger import Entry
from gateway.core.money import NANO
from gateway.core.outcome import CallRecord
from gateway.sinks import catalogue
from gateway.sinks.cells import Counts, Times
from gateway.sinks.names import Names


class Shapes:
    """Fed with each entry; its labels are bounded by `names`."""

    def __init__(self, names: Names) -> None:
        self._names = names
        self._cache_hits = Counts(catalogue.CACHE_HITS)
        self._costs = Times(catalogue.REQUEST_COSTS)
        self._inputs = Times(catalogue.INPUT_SIZES)
        self._outputs = Times(catalogue.OUTPUT_SIZES)
        self._first_tokens = Times(catalogue.UPSTREAM_FIRST_TOKENS)
        self._between = Times(catalogue.BETWEEN)

    def observe(self, entry: Entry, route: str, tier: str) -> None:
        """Note one finished request by its labels; `tier` is the one that served."""
        self._costs.observe((tier,), entry.cost / NANO)
        served = entry.outcome.served
        if served is not None and served.said_again is not None:
            self._cache_hits.add((route,))
        if served is not None and served.calls:
            usage = served.calls[-1].usage
            self._inputs.observe((tier,), usage.prompt)
            self._outputs.observe((tier,), usage.completion)
        if entry.origin.stream:
            for attempt in entry.outcome.attempts:
                for call in attempt.calls:
                    self._observe_stream(call)

    def _observe_stream(self, call: CallRecord) -> None:
        if call.status != "ok" or call.first_token is None:
            return
        labels = self._names.tier(call.tier), self._names.model(call.model)
        self._first_tokens.observe(labels, call.first_token)
        if call.usage.completion > 1:
            gaps = call.usage.completion - 1
            self._between.observe(labels, max(0.0, call.seconds - call.first_token) / gaps)

    def families(self) -> Iterator[Family]:
        """Read everything for export."""
        for part in (
            self._first_tokens,
            self._between,
            self._costs,
            self._inputs,
            self._outputs,
            self._cache_hits,
        ):
            yield part.family()
