"""Small reads of the ledger for reports: requests, and what they add up to."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Literal

from gateway.store.connection import Connection, Place
from gateway.store.ledgers import reading

_LATENCIES = (0.5, 0.95, 0.99)


@dataclass(frozen=True, slots=True)
class Summary:
    """What some requests add up to. Money is in nano-dollars; `tiers` counts the served requests
    by tier, `seconds` and `first_token` hold percentiles (keys 50, 95, 99) of the ok ones."""

    requests: int = 0
    ok: int = 0
    escalated: int = 0
    degraded: int = 0
    estimated: int = 0
    unsettled: int = 0
    cost: int = 0
    discarded_cost: int = 0
    shadow_cost: int = 0
    gateway_cost: int = 0
    baseline_cost: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    calls: int = 0
    tiers: dict[str, int] = field(default_factory=dict)
    seconds: dict[int, float] = field(default_factory=dict)
    first_token: dict[int, float] = field(default_factory=dict)

    @property
    def saved(self) -> float | None:
        """Share of the baseline's cost that was not spent, in the shadow and by the gateway itself
        included: it may be negative. None without a baseline."""
        spent = self.cost + self.shadow_cost + self.gateway_cost
        return 1 - spent / self.baseline_cost if self.baseline_cost else None

    def share(self, tier: str) -> float:
        """Share of the served requests that `tier` served, 0..1."""
        served = sum(self.tiers.values())
        return self.tiers.get(tier, 0) / served if served else 0.0


def requests(
    place: Place,
    *,
    session: str | None = None,
    route: str | None = None,
    request_id: str | None = None,
    since: float | None = None,
    limit: int | None = None,
) -> list[dict[str, Any]]:
    """Read requests, oldest first, as rows of the `request` table.

    `since` is a UNIX time in seconds. Raises OSError when there is no ledger.
    """
    where, values = _where(session, route, request_id, since)
    most = "" if limit is None else f" LIMIT {int(limit)}"
    query = f"SELECT * FROM request{where} ORDER BY started_at, id{most}"  # noqa: S608 - ours
    with reading(place) as connection:
        found = connection.execute(query, values)
        return [_request(row) for row in found]


def request(place: Place, request_id: str) -> dict[str, Any] | None:
    """Read one request with its `attempts` (each with its `checks`) and its `calls`, in order.

    The latest one, where a client has used an id twice; None when there is none.
    """
    with reading(place) as connection:
        query = "SELECT * FROM request WHERE request_id = ? ORDER BY started_at DESC LIMIT 1"
        row = connection.execute(query, (request_id,)).fetchone()
        return None if row is None else _whole(connection, row)


def find(place: Place, known_as: str) -> list[dict[str, Any]]:
    """Read the requests that go by an id, oldest first, each as `request` has it: their own, their
    entries', or their trace's. Raises OSError when there is no ledger."""
    dashed = "-".join(known_as[at:end] for at, end in pairwise(_UUID)) if _HEX(known_as) else ""
    with reading(place) as connection:
        rows = {
            row["id"]: row
            for query, value in zip(_FIND, (known_as, known_as, known_as, dashed), strict=True)
            for row in connection.execute(query, (value,)).fetchall()
        }
        whole = [_whole(connection, row) for row in rows.values()]
    return sorted(whole, key=lambda each: (each["started_at"], each["id"]))


def _whole(connection: Connection, row: Any) -> dict[str, Any]:
    whole = _request(row)
    parts = {
        table: [dict(part) for part in connection.execute(query, (row["id"],)).fetchall()]
        for table, query in _PARTS.items()
    }
    checks = defaultdict(list)
    for check in parts["check_result"]:
        checks[check["attempt"]].append(check)
    whole["attempts"] = [each | {"checks": checks[each["seq"]]} for each in parts["attempt"]]
    whole["calls"] = parts["call"]
    return whole


def summary(
    place: Place,
    *,
    session: str | None = None,
    route: str | None = None,
    since: float | None = None,
) -> Summary:
    """Add up the requests of a session, of a route, since a UNIX time, or all of them."""
    where, values = _where(session, route, None, since)
    with reading(place) as connection:
        return _summary(connection, where, values)


def summaries(
    place: Place, by: Literal["session", "route", "key"], *, since: float | None = None
) -> dict[str, Summary]:
    """Add up the requests of each session, route or key."""
    groups = {"session": "session", "route": "route", "key": '"key"'}
    column = groups[by]
    where, values = _where(None, None, None, since)
    with reading(place) as connection:
        query = f"SELECT DISTINCT {column} FROM request{where} ORDER BY 1"  # noqa: S608 - ours
        names = [row[0] for row in connection.execute(query, values).fetchall()]
        narrowed = f"{where} AND {column} = ?" if where else f" WHERE {column} = ?"
        return {name: _summary(connection, narrowed, (*values, name)) for name in names}


_PARTS = {
    "attempt": "SELECT * FROM attempt WHERE request = ? ORDER BY seq",
    "call": "SELECT * FROM call WHERE request = ? ORDER BY attempt NULLS FIRST, seq",
    "check_result": "SELECT * FROM check_result WHERE request = ? ORDER BY attempt, seq",
}
_UUID = (0, 8, 12, 16, 20, 32)
_HEX = re.compile("[0-9a-f]{32}").fullmatch
# One by one: each has an index of its own.
_FIND = (
    "SELECT * FROM request WHERE request_id = ?",
    "SELECT * FROM request WHERE entry_id = ?",
    "SELECT * FROM request WHERE trace_id = ? AND trace_id <> ''",
    "SELECT * FROM request WHERE entry_id = ?",
)
_TOTALS = """
SELECT count(*) AS requests,
       coalesce(sum(CASE WHEN outcome = 'ok' THEN 1 ELSE 0 END), 0) AS ok,
       coalesce(sum(escalated), 0) AS escalated,
       coalesce(sum(degraded), 0) AS degraded,
       coalesce(sum(estimated), 0) AS estimated,
       coalesce(sum(CASE WHEN outcome = 'unsettled' THEN 1 ELSE 0 END), 0) AS unsettled,
       coalesce(sum(cost), 0) AS cost,
       coalesce(sum(discarded_cost), 0) AS discarded_cost,
       coalesce(sum(shadow_cost), 0) AS shadow_cost,
       coalesce(sum(gateway_cost), 0) AS gateway_cost,
       coalesce(sum(baseline_cost), 0) AS baseline_cost,
       coalesce(sum(prompt_tokens), 0) AS prompt_tokens,
       coalesce(sum(completion_tokens), 0) AS completion_tokens
FROM request"""


def _summary(connection: Connection, where: str, values: Sequence[object]) -> Summary:
    served = f"{where} AND" if where else " WHERE"
    totals = dict(connection.execute(f"{_TOTALS}{where}", values).fetchone())
    ids = f"SELECT id FROM request{where}"  # noqa: S608 - ours
    calls = f"SELECT count(*) FROM call WHERE request IN ({ids})"  # noqa: S608 - ours
    tiers = (
        f"SELECT tier, count(*) FROM request{served} tier <> 'none' "  # noqa: S608 - ours
        "GROUP BY tier ORDER BY 2 DESC, 1"
    )
    return Summary(
        **totals,
        calls=connection.execute(calls, values).fetchone()[0],
        tiers=dict(connection.execute(tiers, values).fetchall()),
        seconds=_percentiles(connection, "seconds", served, values),
        first_token=_percentiles(connection, "first_token", served, values),
    )


def _percentiles(
    connection: Connection, column: str, served: str, values: Sequence[object]
) -> dict[int, float]:
    query = (
        f"SELECT {column} FROM request{served} outcome = 'ok' "  # noqa: S608 - ours
        f"AND {column} IS NOT NULL ORDER BY 1"
    )
    sorted_values = [row[0] for row in connection.execute(query, values)]
    if not sorted_values:
        return {}
    last = len(sorted_values) - 1
    return {round(q * 100): sorted_values[round(q * last)] for q in _LATENCIES}


def _where(
    session: str | None, route: str | None, request_id: str | None, since: float | None
) -> tuple[str, tuple[object, ...]]:
    asked = {
        "session = ?": session,
        "route = ?": route,
        "request_id = ?": request_id,
        "started_at >= ?": since,
    }
    given = {clause: value for clause, value in asked.items() if value is not None}
    return (f" WHERE {' AND '.join(given)}" if given else "", tuple(given.values()))


def _request(row: Any) -> dict[str, Any]:
    values: dict[str, Any] = dict(row)
    for name in ("p_good", "escalations"):
        values[name] = json.loads(values[name])
    for name in ("stream", "escalated", "degraded", "estimated"):
        values[name] = bool(values[name])
    if values.get("decided") is not None:
        values["decided"] = json.loads(values["decided"])
    for name in ("unlike", "met", "candidate_met"):
        if values.get(name) is not None:
            values[name] = bool(values[name])
    return values
