"""The metrics of what stands around upstreams: retries, breakers, ejections, queues."""

from __future__ import annotations

from gateway.sinks.metric import FIRST_TOKEN, counter, gauge, histogram

RETRIES = counter(
    "upstream_retries_total",
    "upstream model outcome",
    "Failed calls that could be made again: made, then answered; or not: most, no_time, no_budget",
)
BREAKER_STATE = gauge(
    "upstream_breaker_state", "upstream model", "0 closed, 1 half open, 2 open", "max"
)
BREAKER_CHANGES = counter(
    "upstream_breaker_changes_total", "upstream model state", "Breakers that went open, or closed"
)
EJECTIONS = counter(
    "upstream_ejections_total",
    "upstream model",
    "Deployments sent off for failing more than others",
)
EJECTED = gauge("upstream_ejected", "upstream model", "1 while it is sent off", "max")
UPSTREAM_SHED = counter(
    "upstream_shed_total",
    "upstream model reason",
    "Calls that were not made: breaker, credentials, queue_full, queue_wait",
)
QUEUE_SECONDS = histogram(
    "upstream_queue_seconds", "upstream model", FIRST_TOKEN, "How long calls stood in line"
)
CONCURRENCY = gauge(
    "upstream_concurrency_limit", "upstream model", "Calls at once that it is given; 0: any", "sum"
)
UPSTREAM_CALLS = gauge("upstream_in_flight_calls", "upstream model", "Calls under way", "sum")
UPSTREAM_WAITING = gauge("upstream_waiting_calls", "upstream model", "Calls in line", "sum")
SET_ASIDE = gauge(
    "credentials_set_aside",
    "upstream model",
    "1 while nobody is asked there, since it refuses our credentials or model",
    "max",
)
DEPLOYMENTS = (
    BREAKER_STATE,
    EJECTED,
    CONCURRENCY,
    UPSTREAM_CALLS,
    UPSTREAM_WAITING,
    SET_ASIDE,
)
"""How each deployment stands."""

REQUESTS_SHED = counter(
    "requests_shed_total",
    "reason",
    "Requests turned away at the door: requests, bytes, draining, slow, head",
)
LOOP_BLOCKED = counter(
    "event_loop_blocked_total", "", "Times that the event loop stood for over a second"
)
