"""Writes Grafana's dashboards: `python deploy/grafana/make.py`. What it writes is committed."""

from __future__ import annotations

import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from panels import bars, dashboard, laid, lines, stat

FOLDER = Path(__file__).parent / "dashboards"
R, RT = 'route=~"$route"', 'route=~"$route", tier=~"$tier"'
EVER, RECENT = "[$__range]", "[$__rate_interval]"
SPENT = f"sum(increase(waterfall_cost_usd_total{{{R}}}{EVER}))"
BASE = f"sum(increase(waterfall_baseline_cost_usd_total{{{R}}}{EVER}))"
REQUESTS = f"sum(increase(waterfall_requests_total{{{R}}}{EVER}))"
WASTE = f"sum(increase(waterfall_discarded_cost_usd_total{{{R}}}{EVER}))"
EVIDENCE = f'sum(increase(waterfall_cost_usd_total{{{R}, kind=~"check|score|shadow"}}{EVER}))'


def hourly(metric: str, by: str, where: str = R) -> str:
    """Dollars an hour."""
    return f"3600 * sum by ({by}) (rate({metric}{{{where}}}{RECENT}))"


def quantile(share: float, metric: str, by: str, where: str) -> str:
    """A percentile of a histogram."""
    return (
        f"histogram_quantile({share}, sum by (le, {by}) (rate({metric}_bucket{{{where}}}{RECENT})))"
    )


def share(metric: str, by: str, where: str = R) -> str:
    """Each one's part of all."""
    each = f"sum by ({by}) (rate({metric}{{{where}}}{RECENT}))"
    return f"{each} / scalar(sum(rate({metric}{{{where}}}{RECENT})))"


ECONOMICS = dashboard(
    "waterfall-economics",
    "Waterfall: economics",
    "What was spent, what the baseline tier alone would have cost, and where the difference went.",
    laid(
        [
            (
                "Of the whole range",
                [
                    stat(
                        "Saved",
                        "The baseline's cost less what was spent; may be negative.",
                        "currencyUSD",
                        f"{BASE} - {SPENT}",
                        good_over=0,
                    ),
                    stat(
                        "Saved, of the baseline",
                        "",
                        "percentunit",
                        f"1 - {SPENT} / {BASE}",
                        good_over=0,
                    ),
                    stat(
                        "Spent",
                        "Checks, shadows and discarded drafts included.",
                        "currencyUSD",
                        SPENT,
                    ),
                    stat(
                        "Baseline",
                        "The same requests at the baseline tier alone.",
                        "currencyUSD",
                        BASE,
                    ),
                    stat("Per 1,000 requests", "", "currencyUSD", f"1000 * {SPENT} / {REQUESTS}"),
                    stat(
                        "Thrown away, of what was spent",
                        "Attempts that were not served.",
                        "percentunit",
                        f"{WASTE} / {SPENT}",
                    ),
                ],
            ),
            (
                "Over time",
                [
                    lines(
                        "Spent and baseline, an hour",
                        "",
                        "currencyUSD",
                        (
                            hourly("waterfall_baseline_cost_usd_total", "route"),
                            "{{route}}: baseline",
                        ),
                        (hourly("waterfall_cost_usd_total", "route"), "{{route}}: spent"),
                    ),
                    lines(
                        "Spent by tier, an hour",
                        "",
                        "currencyUSD",
                        (hourly("waterfall_cost_usd_total", "tier", RT), "{{tier}}"),
                        stacked=True,
                    ),
                    lines(
                        "Spent by kind, an hour",
                        "",
                        "currencyUSD",
                        (hourly("waterfall_cost_usd_total", "kind", RT), "{{kind}}"),
                        stacked=True,
                    ),
                    lines(
                        "Thrown away by reason, an hour",
                        "Attempts that were not served.",
                        "currencyUSD",
                        (hourly("waterfall_discarded_cost_usd_total", "reason"), "{{reason}}"),
                        stacked=True,
                    ),
                    lines(
                        "What a request costs",
                        "Median and 99 %, by the tier that served.",
                        "currencyUSD",
                        (
                            quantile(0.5, "waterfall_request_cost_usd", "tier", 'tier=~"$tier"'),
                            "{{tier}}: median",
                        ),
                        (
                            quantile(0.99, "waterfall_request_cost_usd", "tier", 'tier=~"$tier"'),
                            "{{tier}}: 99 %",
                        ),
                    ),
                    lines(
                        "Tokens a second",
                        "",
                        "short",
                        (
                            'sum by (tier, type) (rate(waterfall_tokens_total{tier=~"$tier", type=~"input|output"}'
                            f"{RECENT}))",
                            "{{tier}}: {{type}}",
                        ),
                    ),
                ],
            ),
            (
                "What it is made of",
                [
                    bars(
                        "Spent, by tier",
                        "",
                        "currencyUSD",
                        (
                            f"sum by (tier) (increase(waterfall_cost_usd_total{{{RT}}}{EVER}))",
                            "{{tier}}",
                        ),
                    ),
                    bars(
                        "The cost of knowing",
                        "Checks, scoring and shadows, and what was thrown away.",
                        "currencyUSD",
                        (EVIDENCE, "checks, scoring, shadows"),
                        (WASTE, "thrown away"),
                    ),
                ],
            ),
        ]
    ),
)

ROUTING = dashboard(
    "waterfall-routing",
    "Waterfall: routing and quality",
    "Where requests start, who serves them, how often that was not enough, and what is promised.",
    laid(
        [
            (
                "Just now",
                [
                    stat(
                        "Threshold",
                        "The lowest of the chosen routes.",
                        "none",
                        f"min(waterfall_threshold{{{R}}})",
                    ),
                    stat(
                        "Escalated",
                        "Of the range's requests.",
                        "percentunit",
                        f'sum(increase(waterfall_escalations_total{{{R}, cause!="hedge"}}{EVER})) / {REQUESTS}',
                    ),
                    stat(
                        "Deferred",
                        "Of the replies that were judged.",
                        "percentunit",
                        f'sum(increase(waterfall_verdicts_total{{{R}, verdict="defer"}}{EVER}))'
                        f" / sum(increase(waterfall_verdicts_total{{{R}}}{EVER}))",
                    ),
                    stat(
                        "Alarms of drift",
                        "Traffic differs from what thresholds rely on.",
                        "none",
                        f"sum(waterfall_drift_alarm{{{R}}})",
                    ),
                    stat(
                        "Scores seen",
                        "By which live thresholds are set.",
                        "short",
                        f"sum(waterfall_tuning_scores{{{R}}})",
                    ),
                ],
            ),
            (
                "Routing",
                [
                    lines(
                        "Who served",
                        "Share of answered requests.",
                        "percentunit",
                        (
                            share("waterfall_requests_total", "tier", f'{RT}, outcome="ok"'),
                            "{{tier}}",
                        ),
                        stacked=True,
                    ),
                    lines(
                        "Where they started, and why",
                        "Requests a second.",
                        "reqps",
                        (
                            f"sum by (start_tier, reason) (rate(waterfall_decisions_total{{{R}}}{RECENT}))",
                            "{{start_tier}}: {{reason}}",
                        ),
                        stacked=True,
                    ),
                    lines(
                        "Escalations by reason",
                        "A second.",
                        "short",
                        (
                            f"sum by (from_tier, to_tier, reason) (rate(waterfall_escalations_total{{{R}}}{RECENT}))",
                            "{{from_tier}} to {{to_tier}}: {{reason}}",
                        ),
                        stacked=True,
                    ),
                    lines(
                        "Threshold, and the share above it",
                        "Live thresholds follow their target.",
                        "percentunit",
                        (f"waterfall_threshold{{{R}}}", "{{route}}: threshold"),
                        (f"waterfall_routed_share{{{R}}}", "{{route}}: above it"),
                        (f"waterfall_target_share{{{R}}}", "{{route}}: target"),
                    ),
                    bars(
                        "Difficulty, in tenths",
                        "Share of the range's requests.",
                        "percentunit",
                        (
                            f"sum by (bin) (increase(waterfall_difficulty_scores_total{{{R}}}{EVER}))"
                            f" / scalar(sum(increase(waterfall_difficulty_scores_total{{{R}}}{EVER})))",
                            "{{bin}}",
                        ),
                    ),
                    lines(
                        "Signals, score and plan",
                        "Median and 99 %.",
                        "s",
                        (
                            quantile(0.5, "waterfall_routing_decision_seconds", "route", R),
                            "{{route}}: median",
                        ),
                        (
                            quantile(0.99, "waterfall_routing_decision_seconds", "route", R),
                            "{{route}}: 99 %",
                        ),
                    ),
                ],
            ),
            (
                "Quality",
                [
                    lines(
                        "Verdicts",
                        "A second.",
                        "short",
                        (
                            f"sum by (tier, verdict) (rate(waterfall_verdicts_total{{{RT}}}{RECENT}))",
                            "{{tier}}: {{verdict}}",
                        ),
                    ),
                    lines(
                        "Checks",
                        "A second.",
                        "short",
                        (
                            f"sum by (check, result) (rate(waterfall_checks_total{{{R}}}{RECENT}))",
                            "{{check}}: {{result}}",
                        ),
                    ),
                ],
            ),
        ]
    ),
)

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

DASHBOARDS = {"economics": ECONOMICS, "routing": ROUTING, "health": HEALTH}


def main() -> None:
    """Write them."""
    for name, made in DASHBOARDS.items():
        (FOLDER / f"{name}.json").write_text(json.dumps(made, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
