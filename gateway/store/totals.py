"""What a period's requests come to, block by block: the sums that reports are made of.

A block is some requests in a row. Where enough of the period's hours have been added up
(`rollups`), blocks are made of those hours, and only what is not in them is read row by row;
elsewhere all of it is, by numbers.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Final

from gateway.store.blocks import (
    EVER,
    Block,
    Period,
    Row,
    block,
    block_of_time,
    merged,
    plain,
    unpack,
)
from gateway.store.connection import Connection, Place
from gateway.store.ledgers import reading
from gateway.store.rollup_tables import HOUR, hour_of
from gateway.store.rollups import kept_from

BLOCKS: Final = 100
READERS: Final = 2
"""SQLite leaves the interpreter while it adds up, so that so many readers are on as many cores."""


@dataclass(frozen=True, slots=True)
class Totals:
    """A period's blocks, in order; `labels` is what somebody has said of its requests, by route and
    by the tier that served; `first` and `last` are when its first and last request started, UNIX
    times in seconds (None without any).

    What began before `deleted_before`, a UNIX time in seconds, may have been deleted; None where
    that touches none of the period. `missing` counts requests of such hours that are not whole in
    the period, or whose sums an older version did not keep: most of them are in no block.
    """

    blocks: tuple[Block, ...] = ()
    labels: tuple[Row, ...] = ()
    deleted_before: int | None = None
    missing: int = 0

    @property
    def first(self) -> float | None:
        """When the first request started, a UNIX time in seconds; None without any."""
        return min((row["first"] for each in self.blocks for row in each.requests), default=None)

    @property
    def last(self) -> float | None:
        """When the last one did."""
        return max((row["last"] for each in self.blocks for row in each.requests), default=None)


def totals(place: Place, period: Period = EVER, blocks: int = BLOCKS) -> Totals:
    """Add up a period's requests in at most so many blocks. Requests that have been deleted are in
    it with their hours' sums, their labels are gone. Raises OSError when there is no ledger of this
    layout."""
    with ThreadPoolExecutor(READERS + 1) as readers:
        labels = readers.submit(judged, place, period)
        with reading(place) as connection:
            hours, start = _whole_hours(connection, period), kept_from(connection)
            deleted = start if start and start > period.bounds[0] else None
            if len(hours) >= blocks or deleted:
                pieces = list(_by_hours(connection, period, hours))
                missing = _missing(connection, period, hours, start)
                return Totals(tuple(_cut(pieces, blocks)), labels.result(), deleted, missing)
            edges = _edges(connection, period, blocks)
        parts = [(place, period, edges[turn::READERS]) for turn in range(READERS)]
        found = dict(pair for part in readers.map(_read, parts) for pair in part)
    return Totals(tuple(found[edge] for edge in edges if found[edge].requests), labels.result())


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


def _whole_hours(connection: Connection, period: Period) -> list[int]:
    """List the hours of the period whose sums are kept and are those of their requests: what an
    older version has added up since, which keeps no such sums, is not among them."""
    bounds = period.bounds
    asked = {"since": bounds[0], "until": bounds[1], "kept_from": kept_from(connection)}
    return [row[0] for row in connection.execute(_HOURS, asked).fetchall()]


def _missing(connection: Connection, period: Period, hours: Sequence[int], start: int) -> int:
    """Count the requests of hours before `start` that are not among the whole ones."""
    since, until = period.bounds
    asked = {"since": since - HOUR, "until": min(until, start), "route": period.route}
    sql = _HAD.format(route="" if period.route is None else "AND route = :route")
    had = {row[0]: int(row[1]) for row in connection.execute(sql, asked).fetchall()}
    return sum(had[hour] for hour in had.keys() - {*hours})


def _by_hours(connection: Connection, period: Period, hours: Sequence[int]) -> Iterator[Block]:
    """Yield the blocks of a period in order of time: of each hour, kept or read."""
    since, until = period.bounds
    asked = {"since": min(hours, default=0), "until": max(hours, default=-1) + 1}
    wanted, at = {*hours}, since
    for hour, sums in connection.execute(_SUMS, asked).fetchall():
        if hour in wanted:
            yield from _rows_of(connection, replace(period, since=at, until=hour))
            yield unpack(sums).of(period.route)
            at = hour + HOUR
    yield from _rows_of(connection, replace(period, since=at, until=until))


def _rows_of(connection: Connection, period: Period) -> Iterator[Block]:
    """Yield the blocks of the hours of a period, as far as there are requests."""
    at, until = period.bounds
    while at < until:
        (found,) = connection.execute(_NEXT, {"since": at, "until": until}).fetchone()
        if found is None:
            return
        end = min(until, float(hour_of(found) + HOUR))
        yield block_of_time(connection, replace(period, since=at, until=end))
        at = end


def _cut(pieces: Sequence[Block], blocks: int) -> Iterator[Block]:
    """Put pieces in a row together, so that there are at most so many of about one size."""
    pieces = [piece for piece in pieces if piece.requests]
    whole, seen = sum(piece.count for piece in pieces), 0
    groups: dict[int, list[Block]] = {}
    for piece in pieces:
        groups.setdefault(seen * blocks // whole, []).append(piece)
        seen += piece.count
    return map(merged, groups.values())


def _edges(connection: Connection, period: Period, blocks: int) -> list[tuple[int, int]]:
    """Cut the numbers of the period's requests into at most so many parts of about one size."""
    number = "r.id + 0" if period.where else "r.id"  # see blocks.numbers
    query = f"SELECT min({number}), max({number}) FROM request AS r WHERE 1 = 1{period.where}"  # noqa: S608
    low, high = connection.execute(query, period.values).fetchone()
    if low is None:
        return []
    count = min(blocks, high + 1 - low)
    cuts = [low + number * (high + 1 - low) // count for number in range(count + 1)]
    return list(pairwise(cuts))


def _read(
    part: tuple[Place, Period, list[tuple[int, int]]],
) -> list[tuple[tuple[int, int], Block]]:
    place, period, edges = part
    with reading(place) as connection:
        return [(edge, block(connection, *edge, period)) for edge in edges]


_HOURS: Final = """
SELECT kept.hour FROM report_hour AS kept JOIN (
    SELECT hour, sum(requests) AS requests, sum(cost) AS cost, sum(shadow_cost) AS shadow_cost
    FROM rollup_hour GROUP BY hour
) AS own ON own.hour = kept.hour AND own.requests = kept.requests AND own.cost = kept.cost
         AND own.shadow_cost = kept.shadow_cost
WHERE kept.hour >= :since AND kept.hour + 3600 <= :until
  AND NOT EXISTS (SELECT 1 FROM rollup_due AS due
                  WHERE due.hour = kept.hour AND due.hour >= :kept_from)
ORDER BY kept.hour"""
_HAD: Final = """
SELECT hour, sum(requests) FROM rollup_hour WHERE hour > :since AND hour < :until {route}
GROUP BY hour"""
_SUMS: Final = """
SELECT hour, sums FROM report_hour WHERE hour >= :since AND hour < :until ORDER BY hour"""
_NEXT: Final = """
SELECT min(started_at) FROM request WHERE started_at >= :since AND started_at < :until"""
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
