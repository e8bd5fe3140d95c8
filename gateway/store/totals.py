"""What a period's requests add up to, block by block: the sums that reports are made of.

A block is some requests in a row, by their numbers. It is read by statements that add up where the
rows lie; no row of a request comes out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from decimal import Decimal
from itertools import pairwise
from typing import Any, Final

from gateway.store.connection import Connection, Place
from gateway.store.ledgers import reading

Row = Mapping[str, Any]
BLOCKS: Final = 100
READERS: Final = 2
"""SQLite leaves the interpreter while it adds up, so that so many readers are on as many cores."""


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
    def values(self) -> dict[str, Any]:
        """Its bounds as a statement's values."""
        return {"since": self.since, "until": self.until, "route": self.route}


@dataclass(frozen=True, slots=True)
class Block:
    """The sums of some requests in a row; each is a list of rows that go by name.

    `requests` are by how they were decided and what served them, with `served_cost`, what the
    attempt that served cost, and `check_cost`, what all checks but a shadow's did; `attempts` are
    those that did not serve, shadows too; `checks` are theirs that cost something; `calls` are
    those that used a cache, or did not end well, or whose tokens are estimated.
    """

    requests: Sequence[Row] = ()
    attempts: Sequence[Row] = ()
    checks: Sequence[Row] = ()
    calls: Sequence[Row] = ()


@dataclass(frozen=True, slots=True)
class Totals:
    """A period's blocks, in order; `labels` is what somebody has said of its requests, by route and
    by the tier that served; `first` and `last` are when its first and last request started, UNIX
    times in seconds (None without any)."""

    blocks: tuple[Block, ...] = ()
    labels: tuple[Row, ...] = ()
    first: float | None = None
    last: float | None = None


def totals(place: Place, period: Period = Period(), blocks: int = BLOCKS) -> Totals:
    """Add up a period's requests in at most so many blocks. Raises OSError when there is no ledger
    of this layout."""
    low, high, first, last = _span(place, period)
    if low is None:
        return Totals()
    edges = _edges(low, high + 1, blocks)
    with ThreadPoolExecutor(READERS + 1) as readers:
        labels = readers.submit(judged, place, period)
        parts = [(place, period, edges[turn::READERS]) for turn in range(READERS)]
        found = dict(pair for part in readers.map(_read, parts) for pair in part)
    return Totals(tuple(found[edge] for edge in edges), labels.result(), first, last)


def judged(place: Place, period: Period, most: int | None = None) -> tuple[Row, ...]:
    """Add up what somebody has said of a period's requests, by route and by the tier that served;
    of so many of the newest that anybody has judged alone, where `most` says so. Raises OSError."""
    newest = (
        "label"
        if most is None
        else "(SELECT * FROM label WHERE entry_id IN (SELECT DISTINCT entry_id FROM label"  # noqa: S608
        f" ORDER BY entry_id DESC LIMIT {int(most)}))"
    )
    sql = _LABELS.format(where=period.where, label=newest)
    with reading(place) as connection:
        return tuple(plain(row) for row in connection.execute(sql, period.values))


def _span(place: Place, period: Period) -> tuple[int | None, int, float, float]:
    query = (
        "SELECT min(id), max(id), min(started_at), max(started_at)"  # noqa: S608 - ours
        f" FROM request AS r WHERE 1 = 1{period.where}"
    )
    with reading(place) as connection:
        return tuple(connection.execute(query, period.values).fetchone())


def _edges(low: int, end: int, blocks: int) -> list[tuple[int, int]]:
    """Cut [low, end) into at most so many parts of about one size."""
    count = min(blocks, end - low)
    cuts = [low + number * (end - low) // count for number in range(count + 1)]
    return list(pairwise(cuts))


def _read(
    part: tuple[Place, Period, list[tuple[int, int]]],
) -> list[tuple[tuple[int, int], Block]]:
    place, period, edges = part
    with reading(place) as connection:
        statements = _statements(period)
        return [(edge, _block(connection, statements, period, edge)) for edge in edges]


def _block(
    connection: Connection,
    statements: Mapping[str, str],
    period: Period,
    edge: tuple[int, int],
) -> Block:
    values = period.values | {"low": edge[0], "high": edge[1]}
    found = {
        name: [plain(row) for row in connection.execute(sql, values)]
        for name, sql in statements.items()
    }
    return Block(found["requests"], found["attempts"], found["checks"], found["calls"])


def plain(row: Any) -> Row:
    """A row by its names; PostgreSQL's sums and means of integers come as decimals."""
    return {
        name: _number(value) if isinstance(value, Decimal) else value
        for name, value in dict(row).items()
    }


def _number(value: Decimal) -> int | float:
    return int(value) if value == int(value) else float(value)


def _statements(period: Period) -> dict[str, str]:
    here = f"r.id >= :low AND r.id < :high{period.where}"
    return {name: sql.format(here=here) for name, sql in _SQL.items()}


_SQL: Final = {
    "requests": """
SELECT r.route, r.mode, r.start_tier, r.tier, r.escalated, r.outcome, r.baseline_tier,
       r.baseline_policy, r.baseline_basis, a.recipe, a.price_version,
       count(*) AS requests, sum(r.cost) AS cost, sum(r.discarded_cost) AS discarded_cost,
       sum(r.shadow_cost) AS shadow_cost, sum(r.baseline_cost) AS baseline_cost,
       sum(r.estimated) AS estimated, sum(r.degraded) AS degraded,
       coalesce(sum(a.cost), 0) AS served_cost, coalesce(sum(r.gateway_cost), 0) AS gateway_cost,
       coalesce(sum(r.baseline_cached_tokens), 0) AS baseline_cached_tokens,
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
       CASE WHEN c.input_cost IS NULL THEN 0 ELSE 1 END AS by_kind,
       count(*) AS calls, sum(c.cost) AS cost, sum(c.prompt_tokens) AS prompt_tokens,
       sum(c.cached_tokens) AS cached_tokens, sum(c.cache_write_tokens) AS cache_write_tokens,
       coalesce(sum(c.input_cost), 0) AS input_cost,
       coalesce(sum(c.cached_input_cost), 0) AS cached_input_cost,
       coalesce(sum(c.audio_input_tokens + c.image_input_tokens), 0) AS other_input_tokens
FROM "call" AS c JOIN request AS r ON r.id = c.request
LEFT JOIN attempt AS a ON a.request = c.request AND a.seq = c.attempt
WHERE c.request >= :low AND c.request < :high AND {here}
  AND (c.cached_tokens > 0 OR c.cache_write_tokens > 0 OR c.estimated = 1 OR c.status <> 'ok')
GROUP BY 1, 2, 3, 4, 5, 6, 7, 8""",
}
_LABELS: Final = """
SELECT route, tier, baseline_tier, count(*) AS labelled, count(served) AS judged,
       sum(served) AS served, sum(served * served) AS served_squares,
       count(served - large) AS pairs, sum(served - large) AS gap,
       sum((served - large) * (served - large)) AS gap_squares,
       count(large) AS large_judged, sum(large) AS large
FROM (
    SELECT r.route, r.tier, r.baseline_tier,
           avg(CASE WHEN l.tier = r.tier THEN l.score END) AS served,
           avg(CASE WHEN l.tier = r.baseline_tier THEN l.score END) AS large
    FROM {label} AS l JOIN request AS r ON r.entry_id = l.entry_id
    WHERE 1 = 1{where}
    GROUP BY r.id, r.route, r.tier, r.baseline_tier
) AS judged
GROUP BY 1, 2, 3"""
