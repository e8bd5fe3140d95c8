"""Answers the dashboard's questions: the gateway calls `answer` in a process of its own.

Nothing here keeps a connection open, or the whole of a ledger in memory.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any, Final

import orjson

from router_models.dashboard.asking import Asked, Refused, read
from router_models.dashboard.csv_table import TABLES, as_csv
from router_models.dashboard.explorer import one_request, requests
from router_models.dashboard.health import health
from router_models.dashboard.money import money
from router_models.dashboard.quality import quality
from router_models.dashboard.routing import routing
from router_models.dashboard.what_if import what_if

_PAGES: Final[Mapping[str, Callable[[Asked], dict[str, Any]]]] = {
    "money": money,
    "routing": routing,
    "quality": quality,
    "health": health,
    "requests": requests,
    "request": one_request,
    "what-if": what_if,
}
_NICE: Final = 5


def answer(name: str, place: str, given: dict[str, Any], now: float) -> dict[str, Any]:
    """Answer a question of the ledger at `place`: `name` says which, `given` has its values as the
    page sent them, `now` is a UNIX time. The answer is JSON in `text` (CSV, where `type` says so),
    or `refused` says why there is none, and `param` which value is wrong."""
    if name == "ready":
        os.nice(_NICE)  # whoever is served comes first
        return {"text": "{}"}
    try:
        told = _PAGES[name](read(place, given, now))
    except Refused as error:
        return {"refused": str(error), "param": error.param, "missing": error.missing}
    except OSError as error:
        return {"refused": f"The ledger cannot be read: {error}", "param": None, "down": True}
    if given.get("format") == "csv" and name in TABLES:
        return {"text": as_csv(name, told), "type": "text/csv"}
    return {"text": orjson.dumps(told, option=orjson.OPT_SERIALIZE_NUMPY).decode()}
