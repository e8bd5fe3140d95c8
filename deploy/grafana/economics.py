"""What was spent, and what the baseline would have cost."""

from __future__ import annotations

from panels import bars, dashboard, laid, lines, stat
from queries import BASE, EVER, EVIDENCE, RECENT, REQUESTS, RT, SPENT, WASTE, hourly, quantile

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
