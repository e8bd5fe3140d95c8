"""Where requests start, who serves them, and how well."""

from __future__ import annotations

from panels import bars, dashboard, laid, lines, stat
from queries import EVER, RECENT, REQUESTS, RT, R, quantile, share

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
