"""Writes batches into PostgreSQL: COPY into a temporary table, then an insert of what is new."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from typing import Any

import psycopg

from gateway.store.columns import ORDER, TABLES
from gateway.store.connection import Connection, Inserted
from gateway.store.flatten import (
    Part,
    attempt_parts,
    call_part,
    filled,
    parts_of,
    prompt_of,
    shadow_cost,
)
from gateway.store.postgres_schema import (
    KEYS,
    REQUEST_AT,
    Month,
    month_of,
    partition_statements,
)
from gateway.store.rollup_tables import mark

PARTITIONS = 0x7761_7465_01
"""The advisory lock of whoever makes partitions."""
_UNUSABLE = (KeyError, TypeError, ValueError, AttributeError, OverflowError, RecursionError)
# Of a record alone: what the tables lack (a partition that was dropped) is no fault of its own.
_UNWRITABLE = (psycopg.DataError, psycopg.errors.NotNullViolation)
_PROMPT = ("entry_id", "at", "signals")
_STARTED = ORDER["request"].index("started_at")

Values = tuple[Any, ...]
Rows = dict[str, list[Values]]


class PostgresWriter:
    """Fits `connection.Writer`."""

    at_once = 1000

    def __init__(self, connection: psycopg.Connection[Any], speaking: Connection) -> None:
        """`speaking` is the same connection; it is closed with this."""
        self.connection = speaking
        self._connection = connection
        self._months: set[Month] = set()
        self._news: set[str] = set()

    def transaction(self) -> AbstractContextManager[Any]:
        """All of it or nothing; others write beside it."""
        return self._connection.transaction()

    def insert(self, records: Sequence[dict[str, Any]]) -> Inserted:
        """Write records inside the caller's transaction."""
        if not records:
            return Inserted()
        try:
            with self._connection.transaction():
                return self._insert(records)
        except (*_UNUSABLE, *_UNWRITABLE):
            self._months.clear()  # what was made went with the savepoint
            self._news.clear()
            if len(records) == 1:
                return self._insert_odd(records[0])
        half = len(records) // 2
        return self.insert(records[:half]) + self.insert(records[half:])

    def _insert_odd(self, record: dict[str, Any]) -> Inserted:
        """Write a record that was refused, if it is for a character alone."""
        plain = _without_nul(record)
        return Inserted(malformed=1) if plain == record else self.insert([plain])

    def read_offset(self, segment: str) -> int:
        """Return how far a spool segment has been written to the ledger."""
        query = 'SELECT "offset" FROM segment WHERE name = ?'
        found = self.connection.execute(query, (segment,)).fetchone()
        return int(found[0]) if found else 0

    def write_offset(self, segment: str, offset: int) -> None:
        """Note how far a segment is written."""
        self.connection.execute(
            'INSERT INTO segment VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET "offset" = '
            'excluded."offset"',
            (segment, offset),
        )

    def forget_offset(self, segment: str) -> None:
        """Forget a segment that is gone."""
        self.connection.execute("DELETE FROM segment WHERE name = ?", (segment,))

    def knows_call(self, call_id: str) -> bool:
        """Is this call in the ledger?"""
        query = "SELECT 1 FROM call WHERE call_id = ?"
        return self.connection.execute(query, (call_id,)).fetchone() is not None

    def put_calls(self, record: dict[str, Any], calls: Sequence[dict[str, Any]]) -> None:
        """Write calls, with their request where that is not known."""
        query = "SELECT id, started_at FROM request WHERE entry_id = ?"
        found = self.connection.execute(query, (record["entry_id"],)).fetchone()
        if found is None:
            self._copy("request", [filled("request", record)])
            found = self.connection.execute(query, (record["entry_id"],)).fetchone()
        else:
            self._add_shadow_cost(found[0], found[1], shadow_cost(calls))
        request, began = found
        self._put(_rows([call_part(each, request) for each in calls], began))
        mark(self.connection, [began])

    def make_ready(self, now: float) -> None:
        """Make the partitions of this month and the next."""
        month = month_of(now)
        with self.transaction():
            self._ensure((now, month.end))

    def horizon(self, before: float) -> int:
        """Return when a month began: months are dropped whole."""
        return month_of(before).start

    def expire(self, end: int) -> bool:
        """Drop the oldest month that ended by a horizon, and all that is theirs."""
        month = next((each for each in self.months() if each.end <= end), None)
        if month is None:
            return False
        self.delete(month.start, lambda _: None)
        return True

    def delete(self, start: int, check: Callable[[int], None]) -> None:
        """Drop a month. Whoever writes to it meanwhile fails, and makes it again."""
        month = month_of(start)
        names = ", ".join(f'"{table}_{month.suffix}"' for table in TABLES)
        with self.transaction():
            self._connection.execute(f"LOCK TABLE {names} IN ACCESS EXCLUSIVE MODE".encode())
            check(month.end)
            for table in ("label", "prompt"):
                self._connection.execute(
                    f"DELETE FROM {table} USING request_{month.suffix} AS gone "  # noqa: S608
                    f"WHERE {table}.entry_id = gone.entry_id".encode()
                )
            self._connection.execute(f"DROP TABLE {names}".encode())
        self._months.clear()

    def months(self) -> list[Month]:
        """List the months that have partitions, oldest first."""
        found = self.connection.execute(
            "SELECT relname FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid "
            "WHERE inhparent = 'request'::regclass ORDER BY relname"
        ).fetchall()
        return [_month_named(row[0]) for row in found]

    def close(self) -> None:
        """Let go of the connection."""
        self._connection.close()

    def _insert(self, records: Sequence[dict[str, Any]]) -> Inserted:
        whole = [each for each in records if "shadow" not in each]
        rows: dict[str, Values] = {}
        for record in whole:
            own = record["request"]
            rows.setdefault(own["entry_id"], filled("request", own))
        new = self._copy("request", list(rows.values()), returning="id, entry_id")
        numbers = {row[1]: row[0] for row in new}
        written: list[float] = []
        parts: Rows = {}
        prompts: list[Values] = []
        for record in whole:
            request = numbers.pop(record["request"]["entry_id"], None)
            if request is None:
                continue
            began = record["request"]["started_at"]
            written.append(began)
            prompts.extend(prompt_of(record))
            for table, values in _rows(parts_of(record, request), began).items():
                parts.setdefault(table, []).extend(values)
        self._put(parts)
        self._put_prompts(prompts)
        shadows = (self._insert_shadow(each) for each in records if "shadow" in each)
        written.extend(began for began in shadows if began is not None)
        mark(self.connection, written)
        return Inserted(new=len(written), known=len(records) - len(written))

    def _insert_shadow(self, record: dict[str, Any]) -> float | None:
        """Add attempts to their request, which came before them; return when it began, None where
        they are there already. Raises ValueError when there is no such request."""
        if any(self.knows_call(call["call_id"]) for a in record["attempts"] for call in a["calls"]):
            return None
        entry_id = record["shadow"]["entry_id"]
        found = self.connection.execute(
            "SELECT id, started_at, (SELECT coalesce(max(seq) + 1, 0) FROM attempt "
            "WHERE attempt.request = request.id) FROM request WHERE entry_id = ?",
            (entry_id,),
        ).fetchone()
        if found is None:
            raise ValueError(f"no request {entry_id} is known")
        request, began, place = found
        for seq, attempt in enumerate(record["attempts"], place):
            self._put(_rows(attempt_parts(attempt, request, seq, entry_id, "shadow"), began))
            self._add_shadow_cost(request, began, attempt["attempt"]["cost"])
        return float(began)

    def _put(self, rows: Mapping[str, Sequence[Values]]) -> None:
        for table, values in rows.items():
            self._copy(table, values)

    def _add_shadow_cost(self, request: int, began: float, cost: int) -> None:
        self.connection.execute(
            "UPDATE request SET shadow_cost = shadow_cost + ? WHERE id = ? AND started_at = ?",
            (cost, request, began),
        )

    def _copy(self, table: str, rows: Sequence[Values], returning: str = "") -> list[Any]:
        """Write the rows that are not there already; return what `returning` asks of those."""
        if not rows:
            return []
        at = _STARTED if table == "request" else -1
        self._ensure(row[at] for row in rows)
        columns = ORDER[table] if table == "request" else (*ORDER[table], REQUEST_AT)
        names = ", ".join(f'"{name}"' for name in columns)
        if table not in self._news:
            self._connection.execute(
                f'CREATE TEMPORARY TABLE IF NOT EXISTS "new_{table}" ON COMMIT DELETE ROWS AS '  # noqa: S608
                f'SELECT {names} FROM "{table}" LIMIT 0'.encode()
            )
            self._news.add(table)
        self._fill(f'COPY "new_{table}" ({names}) FROM STDIN', rows)
        more = f" RETURNING {returning}" if returning else ""
        done = self._connection.execute(
            f'INSERT INTO "{table}" ({names}) SELECT {names} FROM "new_{table}" '  # noqa: S608
            f"ON CONFLICT ({', '.join(KEYS[table])}) DO NOTHING{more}".encode()
        )
        found = done.fetchall() if returning else []
        self._connection.execute(f'DELETE FROM "new_{table}"'.encode())  # noqa: S608
        return found

    def _put_prompts(self, prompts: Sequence[Values]) -> None:
        for prompt in prompts:
            self.connection.execute(
                "INSERT INTO prompt VALUES (?, ?, ?) ON CONFLICT (entry_id) DO NOTHING",
                prompt,
            )

    def _fill(self, statement: str, rows: Iterable[Values]) -> None:
        with self._connection.cursor().copy(statement.encode()) as copy:
            for row in rows:
                copy.write_row(row)

    def _ensure(self, times: Iterable[float]) -> None:
        """Make the partitions that are missing for these, in the caller's transaction."""
        others = (at for at in set(times) if not any(m.start <= at < m.end for m in self._months))
        for month in sorted({month_of(at) for at in others}):
            self.connection.execute("SELECT pg_advisory_xact_lock(?)", (PARTITIONS,))
            if month not in self.months():
                for table in TABLES:
                    for statement in partition_statements(table, month):
                        self._connection.execute(statement.encode())
            self._months.add(month)


def _rows(parts: Iterable[Part], began: float) -> Rows:
    """Order the values of rows that go with a request, table by table."""
    rows: Rows = {}
    for table, said, part in parts:
        rows.setdefault(table, []).append((*said, *filled(table, part), began))
    return rows


def _without_nul(value: Any) -> Any:
    """A record without the one character that PostgreSQL cannot hold in a text."""
    if isinstance(value, str):
        return value.replace("\0", "\ufffd")
    if isinstance(value, dict):
        return {name: _without_nul(each) for name, each in value.items()}
    return [_without_nul(each) for each in value] if isinstance(value, list) else value


def _month_named(partition: str) -> Month:
    return month_of(datetime.strptime(partition[-6:], "%Y%m").replace(tzinfo=UTC).timestamp())
