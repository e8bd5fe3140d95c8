"""Every metric the gateway exports: name, kind, labels, meaning. docs/metrics.md is held to it."""

from __future__ import annotations

from gateway.sinks.catalogue_upstreams import (
    BREAKER_CHANGES,
    DEPLOYMENTS,
    EJECTIONS,
    LOOP_BLOCKED,
    QUEUE_SECONDS,
    REQUESTS_SHED,
    RETRIES,
    UPSTREAM_SHED,
)
from gateway.sinks.metric import (
    BETWEEN_TOKENS,
    COSTS,
    DECISION,
    DURATION,
    FIRST_TOKEN,
    LAG,
    OVERHEAD,
    PREFIX,
    SIZES,
    Metric,
)
from gateway.sinks.metric import counter as _counter
from gateway.sinks.metric import gauge as _gauge
from gateway.sinks.metric import histogram as _histogram

__all__ = ["CATALOGUE", "PREFIX", "TUNING", "Metric"]

REQUESTS = _counter("requests_total", "route tier outcome", "Requests, by the tier that served")
ATTEMPTS = _counter(
    "attempts_total", "tier model outcome", "Calls to upstreams: ok, failed, left, cancelled"
)
DECISIONS = _counter("decisions_total", "route start_tier reason", "Where requests started, why")
ESCALATIONS = _counter(
    "escalations_total",
    "route from_tier to_tier cause reason",
    "Moves between tiers; the cause is deferral, fall_through or hedge",
)
CHECKS = _counter("checks_total", "route check result", "Checks: pass, fail, abstain")
CHECK_ABSTENTIONS = _counter(
    "check_abstentions_total", "route check reason", "Checks that wait and could not tell, and why"
)
CHECK_SECONDS = _histogram(
    "check_seconds", "route check", DURATION, "How long checks that wait took, by check"
)
CHECK_COST = _counter(
    "check_cost_usd_total",
    "route check",
    "Dollars spent on checks, by check; in cost_usd_total too",
)
VERDICTS = _counter("verdicts_total", "route tier verdict", "Verdicts: accept, defer")
UPSTREAM_ERRORS = _counter(
    "upstream_errors_total", "tier model error_type", "Failed calls, by kind"
)
TOKENS = _counter(
    "tokens_total",
    "tier model type",
    "Tokens: input and output; cached_input and cache_creation_input are parts of input, "
    "reasoning of output",
)
COST = _counter(
    "cost_usd_total",
    "route tier model kind",
    "Dollars spent: input, cache_read, cache_write, output, request, check, score, shadow, gateway",
)
BASELINE = _counter(
    "baseline_cost_usd_total",
    "route basis",
    "Dollars the same requests would have cost at the baseline tier; measured where it served",
)
DISCARDED = _counter(
    "discarded_cost_usd_total", "route reason", "Dollars spent on attempts that were not served"
)
UNPRICED = _counter(
    "unpriced_requests_total",
    "model reason",
    "Calls whose cost is in doubt: missing_price, missing_rate, estimated_tokens",
)
DURATIONS = _histogram(
    "request_duration_seconds", "route tier stream", DURATION, "From arrival to the last byte"
)
FIRST_TOKENS = _histogram(
    "time_to_first_token_seconds",
    "route tier stream",
    FIRST_TOKEN,
    "From arrival to the first byte of the reply, discarded drafts included",
)
UPSTREAM_DURATIONS = _histogram(
    "upstream_duration_seconds", "tier model outcome", DURATION, "Calls that ended: ok, error"
)
UPSTREAM_FIRST_TOKENS = _histogram(
    "upstream_time_to_first_token_seconds",
    "tier model",
    FIRST_TOKEN,
    "From the call to its first token: streamed calls that ended well",
)
BETWEEN = _histogram(
    "inter_token_seconds",
    "tier model",
    BETWEEN_TOKENS,
    "Mean time between two tokens, once for each streamed call that ended well",
)
REQUEST_COSTS = _histogram("request_cost_usd", "tier", COSTS, "Dollars that a request cost, whole")
INPUT_SIZES = _histogram(
    "request_input_tokens", "tier", SIZES, "Input tokens of the call that served"
)
OUTPUT_SIZES = _histogram(
    "request_output_tokens", "tier", SIZES, "Output tokens of the call that served"
)
OVERHEADS = _histogram(
    "gateway_overhead_seconds",
    "route",
    OVERHEAD,
    "Time not spent waiting for upstreams or the client",
)
DECIDING = _histogram(
    "routing_decision_seconds", "route", DECISION, "Signals, score and plan together"
)
DIFFICULTY = _counter(
    "difficulty_scores_total", "route bin", "Difficulty in tenths: bin 0 is [0, 0.1)"
)
FALLBACKS = _counter(
    "scorer_fallbacks_total", "route reason", "Requests whose scorer could not decide: its base did"
)
CANDIDATES = _counter(
    "candidate_scores_total",
    "route agree",
    "Requests a candidate scored too: would it have started them at the same tier? Or failed",
)
SHADOWS = _counter(
    "shadows_total",
    "route result",
    "Observed requests of which another tier was asked too: accept, defer, failed, cancelled, "
    "skipped",
)
THRESHOLD = _gauge("threshold", "route", "The (first) threshold in force")
TARGET_SHARE = _gauge(
    "target_share", "route", "The share of traffic that is to start over the first tier"
)
ROUTED_SHARE = _gauge("routed_share", "route", "The share of recent traffic that did")
SCORE_PSI = _gauge(
    "score_psi", "route", "Stability index of recent scores against the reference's; over .2 alarms"
)
FEATURE_PSI = _gauge(
    "feature_psi", "route feature", "The same of each feature of requests that is watched"
)
UNLIKE_SHARE = _gauge(
    "unlike_share", "route", "Recent prompts that are unlike all that the scorer learnt from"
)
TUNING_SCORES = _gauge("tuning_scores", "route", "Scores of this scorer that tuning has seen")
TUNING_LABELS = _gauge(
    "tuning_labels", "route", "Labelled requests that a promise of quality can be made from"
)
TUNING_LABELS_MISSING = _gauge(
    "tuning_labels_missing", "route", "Labels that the promise still needs, at the least"
)
PROMISE = _gauge(
    "promise",
    "route kind",
    "1 where the target quality is promised, 0 where not yet or no longer: expectation, "
    "probability",
)
DRIFT_ALARM = _gauge(
    "drift_alarm",
    "route kind",
    "1 while traffic differs from what is relied on: score, feature, unlike, share",
)
IN_FLIGHT = _gauge("in_flight_requests", "route", "Requests under way", "sum")
LOOP_LAG = _histogram(
    "event_loop_lag_seconds",
    "",
    LAG,
    "How much later than asked for the event loop came round, twice a second",
)
LOOP_TASKS = _gauge("event_loop_tasks", "", "Tasks of the event loop, seen twice a second", "sum")
PRICE_BOOK = _gauge(
    "price_book_timestamp_seconds",
    "",
    "The date, in UNIX time, of the oldest price in force",
    "one",
)
RELOADS = _counter("config_reloads_total", "result", "Reloads of the configuration: ok, failed")
WORKERS = _gauge("workers", "", "Processes that serve", "sum")
RESTARTS = _counter("worker_restarts_total", "", "Workers replaced because they had ended")
BUILD = _gauge(
    "build_info",
    "version scorer_version recipe_version price_version config_hash",
    "Always 1; the labels say what is running",
)
LEDGER_ROWS = _counter("ledger_rows_total", "sink result", "Rows: written, duplicate, malformed")
LEDGER_DROPPED = _counter(
    "ledger_dropped_rows_total", "sink reason", "Rows refused: cap, disk; log lines: slow_reader"
)
LEDGER_UNMARKED = _counter(
    "ledger_unmarked_calls_total", "", "Calls made without a mark: a kill would lose them"
)
LEDGER_RECOVERED = _counter(
    "ledger_recovered_calls_total",
    "status",
    "Calls a killed process left: settled are exact, unsettled estimates",
)
LEDGER_FAILURES = _counter("ledger_write_failures_total", "sink", "Batches the database refused")
LEDGER_FLUSHES = _histogram(
    "ledger_flush_seconds", "sink", DURATION, "What a batch took to be written and committed"
)
LEDGER_TORN = _counter("ledger_torn_bytes_total", "", "Bytes of half-written records, skipped")
LEDGER_BYTES = _gauge("ledger_spool_bytes", "", "Bytes of the spool on disk", "sum")
LEDGER_BEHIND = _gauge(
    "ledger_oldest_unflushed_seconds", "", "Age of the oldest row not yet in the database", "max"
)
LEDGER_OPEN = _gauge("ledger_open_calls", "", "Marks in use: calls of requests under way", "sum")

LIMITED = _counter(
    "limited_total",
    "scope limit action",
    "Limits and budgets that were met: rpm, tpm, concurrency, budget_session, _day, _month, _total "
    "of a key, route or tier; reject, downgrade, warn",
)
CACHE_HITS = _counter(
    "cache_hits_total", "route", "Requests that were answered by a reply that was kept"
)
SHARED_UP = _gauge(
    "shared_up", "", "1 where the shared state answered when it was asked last", "sum"
)
SHARED_TRIPS = _counter("shared_trips_total", "", "Trips to the shared state for limits")
SHARED_FAILURES = _counter(
    "shared_failures_total", "", "Trips to the shared state that came to nothing"
)

TELEMETRY_DROPPED = _counter(
    "telemetry_dropped_total",
    "signal reason",
    "Telemetry that no collector has: traces by request, metrics by export; queue, refused",
)

TUNING = (
    TARGET_SHARE,
    ROUTED_SHARE,
    SCORE_PSI,
    FEATURE_PSI,
    UNLIKE_SHARE,
    TUNING_SCORES,
    TUNING_LABELS,
    TUNING_LABELS_MISSING,
    PROMISE,
    DRIFT_ALARM,
)
"""How each route's tuning stands."""

CATALOGUE = (
    REQUESTS,
    ATTEMPTS,
    DECISIONS,
    ESCALATIONS,
    CHECKS,
    CHECK_ABSTENTIONS,
    CHECK_SECONDS,
    CHECK_COST,
    VERDICTS,
    UPSTREAM_ERRORS,
    TOKENS,
    COST,
    BASELINE,
    DISCARDED,
    UNPRICED,
    DURATIONS,
    FIRST_TOKENS,
    UPSTREAM_DURATIONS,
    UPSTREAM_FIRST_TOKENS,
    BETWEEN,
    RETRIES,
    BREAKER_CHANGES,
    EJECTIONS,
    UPSTREAM_SHED,
    QUEUE_SECONDS,
    *DEPLOYMENTS,
    REQUEST_COSTS,
    INPUT_SIZES,
    OUTPUT_SIZES,
    OVERHEADS,
    DECIDING,
    DIFFICULTY,
    FALLBACKS,
    CANDIDATES,
    SHADOWS,
    THRESHOLD,
    *TUNING,
    IN_FLIGHT,
    REQUESTS_SHED,
    LOOP_LAG,
    LOOP_BLOCKED,
    LOOP_TASKS,
    PRICE_BOOK,
    RELOADS,
    WORKERS,
    RESTARTS,
    BUILD,
    LEDGER_ROWS,
    LEDGER_DROPPED,
    LEDGER_UNMARKED,
    LEDGER_RECOVERED,
    LEDGER_FAILURES,
    LEDGER_FLUSHES,
    LEDGER_TORN,
    LEDGER_BYTES,
    LEDGER_BEHIND,
    LEDGER_OPEN,
    LIMITED,
    CACHE_HITS,
    SHARED_UP,
    SHARED_TRIPS,
    SHARED_FAILURES,
    TELEMETRY_DROPPED,
)
