"""OpenTelemetry's own metrics for generative AI, counted of every call; exported over OTLP only.

Names, attributes and boundaries are those of its semantic conventions for generative AI (still in
development there). The counters of tokens are the newer ones, the histogram the older.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from gateway.core.ledger import Entry
from gateway.core.money import Usage
from gateway.core.outcome import CallRecord
from gateway.core.shadow import Shadow
from gateway.sinks.catalogue import Metric
from gateway.sinks.cells import Counts, Times
from gateway.sinks.spans import OPERATION, PROVIDER

_OF = ("gen_ai.operation.name", "gen_ai.provider.name", "gen_ai.request.model")
_BOUNDS = tuple(round(0.01 * 2**n, 2) for n in range(14))
TOKENS = Metric(
    "gen_ai.client.token.usage",
    "histogram",
    (*_OF, "gen_ai.token.type"),
    "Number of input and output tokens used.",
    tuple(float(4**n) for n in range(14)),
)
DURATION = Metric(
    "gen_ai.client.operation.duration",
    "histogram",
    (*_OF, "error.type"),
    "How long a call took.",
    _BOUNDS,
)
FIRST_CHUNK = Metric(
    "gen_ai.client.operation.time_to_first_chunk",
    "histogram",
    _OF,
    "How long a streamed call took to its first chunk.",
    _BOUNDS,
)
_USAGE = "gen_ai.client.inference.usage."
USED: dict[str, Callable[[Usage], int]] = {
    "input_tokens": lambda usage: usage.prompt,
    "output_tokens": lambda usage: usage.completion,
    "cache_read.input_tokens": lambda usage: usage.cached,
    "cache_write.input_tokens": lambda usage: usage.cache_write,
    "reasoning.output_tokens": lambda usage: usage.reasoning,
}
"""What is counted of a call's usage; the last three are parts of the first two."""
UNITS = {TOKENS.name: "{token}", DURATION.name: "s", FIRST_CHUNK.name: "s"}


class GenAi:
    """Fed with each entry and each shadow; `model` bounds a model's name."""

    def __init__(self, model: Callable[[str], str]) -> None:
        """Begin with nothing."""
        self._model = model
        self._tokens = Times(TOKENS)
        self._durations = Times(DURATION)
        self._first_chunks = Times(FIRST_CHUNK)
        self._used = {
            name: Counts(
                Metric(_USAGE + name, "counter", (*_OF, "gen_ai.token.modality"), "Tokens used.")
            )
            for name in USED
        }

    @property
    def histograms(self) -> tuple[Times, ...]:
        """Those there are."""
        return self._tokens, self._durations, self._first_chunks

    @property
    def counters(self) -> Iterable[Counts]:
        """Those there are."""
        return self._used.values()

    def observe(self, entry: Entry) -> None:
        """Count the calls of one finished request."""
        for call in entry.calls:
            self._observe(call, stream=entry.origin.stream)

    def observe_shadow(self, shadow: Shadow) -> None:
        """Count the calls of what was asked in the shadow."""
        for call in shadow.attempt.calls if shadow.attempt else ():
            self._observe(call, stream=False)

    def _observe(self, call: CallRecord, *, stream: bool) -> None:
        of = OPERATION, PROVIDER, self._model(call.model)
        failed = (call.error or "other") if call.status == "failed" else ""
        self._durations.observe((*of, failed), call.seconds)
        if stream and call.first_token is not None:
            self._first_chunks.observe(of, call.first_token)
        if not call.usage.estimated:  # no guesses, say the conventions
            self._tokens.observe((*of, "input"), call.usage.prompt)
            self._tokens.observe((*of, "output"), call.usage.completion)
            for name, count in USED.items():
                self._used[name].add((*of, "unknown"), count(call.usage))
