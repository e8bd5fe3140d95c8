"""What some requests in a row come to: the sums that reports are made of.

They are added up by statements where the rows lie; no row of a request comes out. An hour's sums
are kept, and blocks of hours are made of those.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

import orjson

from gateway.store.connection import Connection
from gateway.store.doubts import DOUBT, IN_DOUBT

Row = Mapping[str, Any]
_FAR: Final = 1e15
PARTS: Final = {
    "requests": (
        *("route", "mode", "start_tier", "tier", "escalated", "outcome", "baseline_tier"),
        *("baseline_policy", "baseline_basis", "recipe", "price_version"),
    ),
    "attempts": ("route", "start_tier", "tier", "recipe", "shadow", "failure", "verdict", "reason"),
    "checks": ("route", "served_by", "tier", "shadow"),
    "calls": (
        "route",
        "purpose",
        "tier",
        "model",
        "status",
        "estimated",
        "served",
        "by_kind",
        "doubt",
    ),
}
"""What a block is made of, and by which columns the rows of each part go."""
_LATER: Final[Mapping[str, Row]] = {
    "requests": {"kept": 0, "kept_baseline": 0, "by_budget": 0},
    "calls": {"doubt": "", "completion_tokens": 0},
}
"""What hours lack that were added up before it was kept."""


@dataclass(frozen=True, slots=True)
class Period:
    """Which requests: those that started in [since, until), UNIX times in seconds, and are of
    `route`; None bounds nothing."""

    since: float | None = None
    until: float | None = None
    route: str | None = None

    @property
    def where(self) -> str:
        """What is asked of a request `r`."""
        asked = {
            "r.started_at >= :since": self.since,
            "r.started_at < :until": self.until,
            "r.route = :route": self.route,
        }
        return "".join(f" AND {clause}" for clause, value in asked.items() if value is not None)

    @property
    def bounds(self) -> tuple[float, float]:
        """Its bounds as numbers: of a side without one, beyond every time there is."""
        since = -_FAR if self.since is None else self.since
        return since, _FAR if self.until is None else self.until

    @property
    def values(self) -> dict[str, Any]:
        """Its bounds as a statement's values."""
        return {"since": self.since, "until": self.until, "route": self.route}


EVER: Final = Period()


@dataclass(frozen=True, slots=True)
class Block:
    """The sums of some requests in a row; each is a list of rows that go by name.

    `requests` are by how they were decided and what served them, with `served_cost`, what the
    attempt that served cost, `check_cost`, what all checks but a shadow's did, and `first` and
    `last`, when the first and the last of them started, UNIX times in seconds; `attempts` are
    those that did not serve, shadows too; `checks` are theirs that cost something; `calls` are
    those that used a cache, or did not end well, or whose tokens are estimated or cost in doubt
    (`doubt` says why, in the words of `doubts`).
    """

    requests: Sequence[Row] = ()
    attempts: Sequence[Row] = ()
    checks: Sequence[Row] = ()
    calls: Sequence[Row] = ()

    @property
    def count(self) -> int:
        """How many requests these are."""
        return sum(row["requests"] for row in self.requests)

    def of(self, route: str | None) -> Block:
        """Keep the rows of a route; all of them for None."""
        if route is None:
            return self
        parts = (getattr(self, name) for name in PARTS)
        return Block(*([row for row in rows if row["route"] == route] for rows in parts))


def block(connection: Connection, low: int, end: int, period: Period) -> Block:
    """Add up a period's requests among those numbered from `low` to before `end`."""
    values = period.values | {"low": low, "high": end}
    here = f"r.id >= :low AND r.id < :high{period.where}"
    found = (connection.execute(sql.format(here=here, **_DOUBTS), values) for sql in _SQL.values())
    return Block(*([plain(row) for row in rows] for rows in found))


def block_of_time(connection: Connection, period: Period) -> Block:
    """Add up a period's requests. It is read from the first to the last of their numbers, so that
    it should be short."""
    ends = numbers(connection, period)
    return Block() if ends is None else block(connection, ends[0], ends[1] + 1, period)


def numbers(connection: Connection, period: Period) -> tuple[int, int] | None:
    """Return the first and the last number of a bounded period's requests, of whatever route; None
    where there are none."""
    low, high = connection.execute(_NUMBERS, period.values).fetchone()
    return None if low is None else (low, high)


def pack(sums: Block) -> str:
    """Write a block as JSON: of each part, its columns, and its rows in their order."""
    parts = {}
    for name in PARTS:
        rows = getattr(sums, name)
        columns = list(rows[0]) if rows else []
        parts[name] = {"columns": columns, "rows": [list(row.values()) for row in rows]}
    return orjson.dumps(parts).decode()


def unpack(text: str) -> Block:
    """Read what `pack` has written."""
    parts = orjson.loads(text)
    return Block(
        *(
            [
                {**_LATER.get(name, {}), **dict(zip(parts[name]["columns"], row, strict=True))}
                for row in parts[name]["rows"]
            ]
            for name in PARTS
        )
    )


def merged(blocks: Iterable[Block]) -> Block:
    """Make one block of several."""
    blocks = list(blocks)
    if len(blocks) == 1:
        return blocks[0]
    return Block(
        *(_added((row for each in blocks for row in getattr(each, name)), name) for name in PARTS)
    )


def _added(rows: Iterable[Row], part: str) -> list[Row]:
    """Add up the rows that have the same keys."""
    keys, known = PARTS[part], dict[tuple[Any, ...], dict[str, Any]]()
    for row in rows:
        key = tuple([row[name] for name in keys])
        sums = known.get(key)
        if sums is None:
            known[key] = dict(row)
            continue
        for name, value in row.items():
            if name == "first":
                sums[name] = min(sums[name], value)
            elif name == "last":
                sums[name] = max(sums[name], value)
            elif name not in keys:
                sums[name] += value
    return list(known.values())


def plain(row: Any) -> Row:
    """A row by its names; PostgreSQL's sums and means of integers come as decimals."""
    return {
        name: _number(value) if isinstance(value, Decimal) else value
        for name, value in dict(row).items()
    }


def _number(value: Decimal) -> int | float:
    return int(value) if value == int(value) else float(value)


_DOUBTS: Final = {"doubt": DOUBT, "in_doubt": IN_DOUBT}
# Not of the bare column: a server would walk its index from either end until one is of the time.
_NUMBERS: Final = """
SELECT min(id + 0), max(id + 0) FROM request WHERE started_at >= :since AND started_at < :until"""
_SQL: Final = {
    "requests": """
SELECT r.route, r.mode, r.start_tier, r.tier, r.escalated, r.outcome, r.baseline_tier,
       r.baseline_policy, r.baseline_basis, a.recipe, a.price_version,
       count(*) AS requests, min(r.started_at) AS first, max(r.started_at) AS last,
       sum(r.cost) AS cost, sum(r.discarded_cost) AS discarded_cost,
       sum(r.shadow_cost) AS shadow_cost, sum(r.baseline_cost) AS baseline_cost,
       sum(r.estimated) AS estimated, sum(r.degraded) AS degraded,
       coalesce(sum(a.cost), 0) AS served_cost, coalesce(sum(r.gateway_cost), 0) AS gateway_cost,
       coalesce(sum(r.baseline_cached_tokens), 0) AS baseline_cached_tokens,
       sum(CASE WHEN r.reason = 'cached' THEN 1 ELSE 0 END) AS kept,
       sum(CASE WHEN r.reason = 'cached' THEN r.baseline_cost ELSE 0 END) AS kept_baseline,
       sum(CASE WHEN r.start_reason = 'budget' THEN 1 ELSE 0 END) AS by_budget,
       sum(coalesce(r.check_cost, (
           SELECT coalesce(sum(k.cost), 0) FROM check_result AS k
           JOIN attempt AS t ON t.request = k.request AND t.seq = k.attempt
           WHERE k.request = r.id AND t.shadow = 0
       ))) AS check_cost
FROM request AS r LEFT JOIN attempt AS a ON a.request = r.id AND a.served = 1
WHERE {here}
GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11""",
    "attempts": """
SELECT r.route, r.start_tier, a.tier, a.recipe, a.shadow, a.failure, a.verdict, a.reason,
       count(*) AS attempts, sum(a.cost) AS cost
FROM attempt AS a JOIN request AS r ON r.id = a.request
WHERE a.request >= :low AND a.request < :high AND a.served = 0 AND {here}
GROUP BY 1, 2, 3, 4, 5, 6, 7, 8""",
    "checks": """
SELECT r.route, r.tier AS served_by, a.tier, a.shadow, count(*) AS checks, sum(k.cost) AS cost
FROM attempt AS a
JOIN check_result AS k ON k.request = a.request AND k.attempt = a.seq
JOIN request AS r ON r.id = a.request
WHERE a.request >= :low AND a.request < :high AND a.served = 0 AND k.cost > 0 AND {here}
GROUP BY 1, 2, 3, 4""",
    "calls": """
SELECT r.route, c.purpose, c.tier, c.model, c.status, c.estimated, coalesce(a.served, 0) AS served,
       CASE WHEN c.input_cost IS NULL THEN 0 ELSE 1 END AS by_kind, {doubt} AS doubt,
       count(*) AS calls, sum(c.cost) AS cost, sum(c.prompt_tokens) AS prompt_tokens,
       sum(c.cached_tokens) AS cached_tokens, sum(c.cache_write_tokens) AS cache_write_tokens,
       sum(c.completion_tokens) AS completion_tokens,
       coalesce(sum(c.input_cost), 0) AS input_cost,
       coalesce(sum(c.cached_input_cost), 0) AS cached_input_cost,
       coalesce(sum(c.audio_input_tokens + c.image_input_tokens), 0) AS other_input_tokens
FROM "call" AS c JOIN request AS r ON r.id = c.request
LEFT JOIN attempt AS a ON a.request = c.request AND a.seq = c.attempt
WHERE c.request >= :low AND c.request < :high AND {here}
  AND (c.cached_tokens > 0 OR c.cache_write_tokens > 0 OR c.estimated = 1 OR c.status <> 'ok'
       OR {in_doubt})
GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9""",
}
