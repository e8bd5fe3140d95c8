"""Deletes days that have been exported, each once it has been found whole in its files."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from datetime import date
from functools import partial
from itertools import groupby
from pathlib import Path

from gateway.store.connection import Place, Writer
from gateway.store.days import day_of, days_before, start_of
from gateway.store.ledgers import ledger_at, reading
from gateway.store.parquet import day_totals, verify
from gateway.store.retention import is_rolled_up, keep_from
from gateway.store.rollups import kept_from, roll_up


def delete_exported(
    place: Place, folder: Path, before: date, told: Callable[[date], None] = lambda _: None
) -> list[date]:
    """Delete the requests of the days before a day, each of which lies in `folder` with the sums
    that the ledger has: that is looked at once nobody can add to them any more. Their hours are
    rolled up first. Returns the days, and tells each.

    What came late of a day that had been deleted stays. In PostgreSQL whole months go: what began
    in the month of `before` is kept. Raises ExportError at the first day whose files are missing or
    differ, which is kept; OSError.
    """
    gone: list[date] = []
    with closing(ledger_at(place).write()) as writer:
        while roll_up(writer, start_of(before)):
            pass
        end = writer.horizon(start_of(before))
        with reading(place) as connection:
            start = kept_from(connection)
            days = [day for day in days_before(connection, day_of(end)) if start_of(day) >= start]
        for began, period in groupby(days, key=lambda day: writer.horizon(start_of(day))):
            whole = list(period)
            writer.delete(began, partial(_check, writer, folder, whole))
            gone += whole
            for day in whole:
                told(day)
    return gone


def _check(writer: Writer, folder: Path, days: list[date], end: int) -> None:
    """See that the days may go, and note that they do."""
    if not is_rolled_up(writer.connection, end):
        raise OSError(f"Hours before {day_of(end)} wait for their roll-up: try again.")
    for day in days:
        verify(folder, day, day_totals(writer.connection, day))
    keep_from(writer.connection, end)
