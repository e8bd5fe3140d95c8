"""Explorer: which requests there were, and all that happened to one of them."""

from __future__ import annotations

from typing import Any, Final

from gateway.store import read
from gateway.store.glance import FILTERS, Cursor, look_for, named
from router_models.dashboard.asking import Asked, Refused
from router_models.dashboard.hourly import about

PAGE: Final = 50
_LONGEST: Final = 128
_FLAGS: Final = {"true": 1, "false": 0}
_HIDDEN: Final = ("schema", "id", "request")


def requests(asked: Asked) -> dict[str, Any]:
    """Find requests, newest first: by `id`, or by the filters of `glance`. `next` goes on."""
    most = asked.whole("limit", PAGE, 1, 500)
    wanted_id = str(asked.given.get("id") or "")[:_LONGEST]
    if wanted_id:
        return {**about(asked), "requests": named(asked.place, wanted_id, most), "next": None}
    wanted = {name: _value(asked, name) for name in FILTERS if asked.given.get(name)}
    rows, after = look_for(asked.place, asked.period, wanted, most, _cursor(asked))
    following = None if after is None else f"{after[0]!r}:{after[1]}"
    return {**about(asked), "requests": rows, "next": following}


def _value(asked: Asked, name: str) -> str | int:
    given = str(asked.given[name])[:_LONGEST]
    if name not in {"escalated", "degraded"}:
        return given
    if given not in _FLAGS:
        raise Refused(f"{name} must be true or false.", name)
    return _FLAGS[given]


def _cursor(asked: Asked) -> Cursor | None:
    given = asked.given.get("before")
    if not given:
        return None
    at, _, number = str(given).partition(":")
    try:
        return float(at), int(number)
    except ValueError as error:
        raise Refused("before must be what `next` of an earlier answer was.", "before") from error


def one_request(asked: Asked) -> dict[str, Any]:
    """Tell one request with its attempts, their checks, and all calls. Raises Refused."""
    wanted = str(asked.given.get("id") or "")[:_LONGEST]
    found = named(asked.place, wanted, 1) if wanted else []
    whole = read.request(asked.place, found[0]["request_id"]) if found else None
    if whole is None:
        raise Refused("No request of this id is in the ledger (yet).", "id", missing=True)
    decided = whole.pop("decided", None)
    parts = (whole, *whole["attempts"], *whole["calls"])
    for part in (*parts, *(check for each in whole["attempts"] for check in each["checks"])):
        for name in _HIDDEN:
            part.pop(name, None)
    return {"request": whole, "decided": _plan(decided)}


def _plan(decided: dict[str, Any] | None) -> dict[str, Any] | None:
    """Of what it was decided on, what a reader can use."""
    if decided is None:
        return None
    return {name: decided.get(name) for name in ("plan", "thresholds", "readings", "signals")}
