"""Grafana's dashboards as plain values: panels, and how they lie beside each other."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

WIDTH = 24
SOURCE = {"type": "prometheus", "uid": "${source}"}
Query = tuple[str, str]
"""An expression, and the legend of its series."""
Panel = dict[str, Any]


def _targets(queries: Sequence[Query], *, instant: bool) -> list[dict[str, Any]]:
    return [
        {
            "refId": "ABCDEFGH"[number],
            "datasource": SOURCE,
            "expr": expression,
            "legendFormat": legend,
            "range": not instant,
            "instant": instant,
        }
        for number, (expression, legend) in enumerate(queries)
    ]


def _panel(kind: str, title: str, about: str, unit: str, queries: Sequence[Query]) -> Panel:
    return {
        "type": kind,
        "title": title,
        "description": about,
        "datasource": SOURCE,
        "targets": _targets(queries, instant=kind in {"stat", "bargauge"}),
        "fieldConfig": {"defaults": {"unit": unit}, "overrides": []},
    }


def stat(
    title: str, about: str, unit: str, expression: str, *, good_over: float | None = None
) -> Panel:
    """One number of the whole range; green from `good_over` on and red under it."""
    made = _panel("stat", title, about, unit, [(expression, "")])
    steps: list[dict[str, Any]] = [{"color": "blue", "value": None}]
    if good_over is not None:
        steps = [{"color": "red", "value": None}, {"color": "green", "value": good_over}]
    made["fieldConfig"]["defaults"] |= {
        "thresholds": {"mode": "absolute", "steps": steps},
        "decimals": 2,
    }
    made["options"] = {
        "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
        "colorMode": "value",
        "graphMode": "none",
        "textMode": "value",
        "justifyMode": "auto",
        "orientation": "auto",
    }
    return made | {"size": (4, 4)}


def lines(
    title: str, about: str, unit: str, *queries: Query, stacked: bool = False, width: int = 12
) -> Panel:
    """Series over time; `stacked` on top of each other."""
    made = _panel("timeseries", title, about, unit, queries)
    made["fieldConfig"]["defaults"]["custom"] = {
        "drawStyle": "line",
        "lineWidth": 2,
        "fillOpacity": 40 if stacked else 8,
        "showPoints": "auto",
        "spanNulls": True,
        "axisSoftMin": 0,
        "stacking": {"mode": "normal" if stacked else "none", "group": "A"},
    }
    made["options"] = {
        "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True, "calcs": []},
        "tooltip": {"mode": "multi", "sort": "desc"},
    }
    return made | {"size": (width, 8)}


def bars(title: str, about: str, unit: str, *queries: Query, width: int = 12) -> Panel:
    """Amounts of the whole range beside each other."""
    made = _panel("bargauge", title, about, unit, queries)
    made["options"] = {
        "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
        "orientation": "horizontal",
        "displayMode": "basic",
        "showUnfilled": True,
        "valueMode": "text",
        "namePlacement": "auto",
        "sizing": "auto",
        "minVizWidth": 8,
        "minVizHeight": 16,
        "maxVizHeight": 300,
        "legend": {"displayMode": "list", "placement": "bottom", "showLegend": False, "calcs": []},
    }
    return made | {"size": (width, 8)}


def laid(rows: Iterable[tuple[str, Sequence[Panel]]]) -> list[Panel]:
    """Number panels and lay them in rows, each under its title, from left to right."""
    made: list[Panel] = []
    top = 0
    for title, panels in rows:
        place = {"x": 0, "y": top, "w": WIDTH, "h": 1}
        made.append(
            {"type": "row", "title": title, "collapsed": False, "panels": [], "gridPos": place}
        )
        top, left, high = top + 1, 0, 0
        for panel in panels:
            width, height = panel["size"]
            if left + width > WIDTH:
                top, left, high = top + high, 0, 0
            place = {"x": left, "y": top, "w": width, "h": height}
            made.append({**{key: panel[key] for key in panel if key != "size"}, "gridPos": place})
            left, high = left + width, max(high, height)
        top += high
    return [{"id": number, **panel} for number, panel in enumerate(made, 1)]


def variable(name: str, label: str, of: str) -> dict[str, Any]:
    """A choice among a label's values; all of them at first."""
    query = f"label_values({of}, {name})"
    return {
        "type": "query",
        "name": name,
        "label": label,
        "datasource": SOURCE,
        "query": {"query": query, "refId": "variable"},
        "refresh": 2,
        "sort": 1,
        "multi": True,
        "includeAll": True,
        "allValue": ".*",
        "current": {"text": ["All"], "value": ["$__all"], "selected": True},
        "options": [],
        "hide": 0,
        "skipUrlSync": False,
    }


def dashboard(uid: str, title: str, about: str, panels: list[Panel]) -> dict[str, Any]:
    """A whole dashboard, with its variables: where the figures are, route and tier."""
    source = {
        "type": "datasource",
        "name": "source",
        "label": "Prometheus",
        "query": "prometheus",
        "current": {"text": "Prometheus", "value": "prometheus"},
        "options": [],
        "hide": 0,
        "refresh": 1,
        "regex": "",
        "multi": False,
        "includeAll": False,
        "skipUrlSync": False,
    }
    chosen = [variable("route", "Route", "waterfall_requests_total")]
    chosen.append(variable("tier", "Tier", "waterfall_requests_total"))
    return {
        "uid": uid,
        "title": title,
        "description": about,
        "tags": ["waterfall"],
        "schemaVersion": 39,
        "version": 1,
        "editable": True,
        "graphTooltip": 1,
        "timezone": "utc",
        "refresh": "30s",
        "time": {"from": "now-24h", "to": "now"},
        "fiscalYearStartMonth": 0,
        "weekStart": "",
        "annotations": {"list": []},
        "links": [
            {
                "type": "dashboards",
                "title": "Waterfall",
                "tags": ["waterfall"],
                "asDropdown": True,
                "icon": "external link",
                "includeVars": True,
                "keepTime": True,
                "targetBlank": False,
                "tooltip": "",
                "url": "",
            }
        ],
        "templating": {"list": [source, *chosen]},
        "panels": panels,
    }
