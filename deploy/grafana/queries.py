"""Pieces of queries that several dashboards ask."""

from __future__ import annotations

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
