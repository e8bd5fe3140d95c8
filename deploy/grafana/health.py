"""How long requests take, what fails, and whether the record is whole."""

from __future__ import annotations

from panels import dashboard, laid, lines, stat
from queries import EVER, RECENT, RT, R, quantile

HEALTH = dashboard(
    "waterfall-health",
    "Waterfall: health",
    "How long requests take, what fails, what the gateway adds, and whether the record is whole.",
    laid(
        [
            (
                "Just now",
                [
                    stat(
                        "Answered",
                        "Of the range's requests; clients' own errors left out.",
                        "percentunit",
                        f'1 - sum(increase(waterfall_requests_total{{{R}, outcome=~"upstream_error|timeout|'
                        f'internal_error"}}{EVER})) / sum(increase(waterfall_requests_total{{{R}, '
                        f'outcome!~"client_error|cancelled"}}{EVER}))',
                        good_over=0.995,
                    ),
                    stat("Under way", "", "short", f"sum(waterfall_in_flight_requests{{{R}}})"),
                    stat("Processes", "", "none", "sum(waterfall_workers)"),
                    stat(
                        "Record behind",
                        "Age of the oldest row not yet in the database.",
                        "s",
                        "max(waterfall_ledger_oldest_unflushed_seconds)",
                    ),
                    stat(
                        "Rows lost",
                        "",
                        "none",
                        "sum(increase(waterfall_ledger_dropped_rows_total[$__range]))",
                    ),
                    stat(
                        "Configurations in force",
                        "More than one: a roll-out that stands still.",
                        "none",
                        "count(count by (config_hash) (waterfall_build_info))",
                    ),
                ],
            ),
            (
                "Requests",
                [
                    lines(
                        "Requests a second, by outcome",
                        "",
                        "reqps",
                        (
                            f"sum by (outcome) (rate(waterfall_requests_total{{{RT}}}{RECENT}))",
                            "{{outcome}}",
                        ),
                        stacked=True,
                    ),
                    lines(
                        "Time to the last byte",
                        "By the tier that served.",
                        "s",
                        (
                            quantile(0.5, "waterfall_request_duration_seconds", "tier", RT),
                            "{{tier}}: median",
                        ),
                        (
                            quantile(0.99, "waterfall_request_duration_seconds", "tier", RT),
                            "{{tier}}: 99 %",
                        ),
                    ),
                    lines(
                        "Time to the first byte, streams",
                        "What clients waited, discarded drafts included.",
                        "s",
                        (
                            quantile(
                                0.5,
                                "waterfall_time_to_first_token_seconds",
                                "tier",
                                f'{RT}, stream="true"',
                            ),
                            "{{tier}}: median",
                        ),
                        (
                            quantile(
                                0.95,
                                "waterfall_time_to_first_token_seconds",
                                "tier",
                                f'{RT}, stream="true"',
                            ),
                            "{{tier}}: 95 %",
                        ),
                    ),
                    lines(
                        "Added by the gateway",
                        "The objective: 99 % within 10 ms.",
                        "s",
                        (
                            quantile(0.5, "waterfall_gateway_overhead_seconds", "route", R),
                            "{{route}}: median",
                        ),
                        (
                            quantile(0.99, "waterfall_gateway_overhead_seconds", "route", R),
                            "{{route}}: 99 %",
                        ),
                    ),
                ],
            ),
            (
                "Upstreams",
                [
                    lines(
                        "Calls a second",
                        "",
                        "reqps",
                        (
                            f'sum by (tier, outcome) (rate(waterfall_attempts_total{{tier=~"$tier"}}{RECENT}))',
                            "{{tier}}: {{outcome}}",
                        ),
                    ),
                    lines(
                        "Calls that failed, by kind",
                        "A second.",
                        "short",
                        (
                            f'sum by (tier, error_type) (rate(waterfall_upstream_errors_total{{tier=~"$tier"}}'
                            f"{RECENT}))",
                            "{{tier}}: {{error_type}}",
                        ),
                        stacked=True,
                    ),
                    lines(
                        "Time of calls, 99 %",
                        "",
                        "s",
                        (
                            quantile(
                                0.99,
                                "waterfall_upstream_duration_seconds",
                                "tier, model",
                                'tier=~"$tier"',
                            ),
                            "{{tier}}: {{model}}",
                        ),
                    ),
                    lines(
                        "Between two tokens, median",
                        "Of streamed calls.",
                        "s",
                        (
                            quantile(
                                0.5, "waterfall_inter_token_seconds", "tier, model", 'tier=~"$tier"'
                            ),
                            "{{tier}}: {{model}}",
                        ),
                    ),
                ],
            ),
            (
                "The gateway itself",
                [
                    lines(
                        "Event loop behind, 99 %",
                        "Over 100 ms: something computes on it.",
                        "s",
                        (
                            f"histogram_quantile(0.99, sum by (le) (rate(waterfall_event_loop_lag_seconds_bucket"
                            f"{RECENT})))",
                            "99 %",
                        ),
                    ),
                    lines(
                        "The record",
                        "Rows a second into the database.",
                        "short",
                        (
                            f"sum by (sink, result) (rate(waterfall_ledger_rows_total{RECENT}))",
                            "{{sink}}: {{result}}",
                        ),
                        (
                            f"sum by (sink) (rate(waterfall_ledger_write_failures_total{RECENT}))",
                            "{{sink}}: refused",
                        ),
                    ),
                    lines(
                        "Spool",
                        "Bytes on disk, not yet in the database.",
                        "bytes",
                        ("sum(waterfall_ledger_spool_bytes)", "bytes"),
                    ),
                    lines(
                        "Workers replaced, reloads",
                        "Since the start.",
                        "none",
                        ("sum(waterfall_worker_restarts_total)", "workers replaced"),
                        ("sum by (result) (waterfall_config_reloads_total)", "reloads: {{result}}"),
                    ),
                ],
            ),
        ]
    ),
)
