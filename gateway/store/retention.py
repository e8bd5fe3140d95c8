"""For how long requests are kept, and that their hours are added up before they go."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from gateway.store.connection import Connection, Writer
from gateway.store.prompts import Forgetting
from gateway.store.rollups import KEPT_FROM, kept_from, roll_up

_DUE = "SELECT 1 FROM rollup_due WHERE hour >= ? AND hour < ? LIMIT 1"


@dataclass(frozen=True, slots=True)
class Tidying:
    """What the drain does once an hour: forget prompts, add hours up, delete old requests.

    `retention` is in seconds, None for ever; `wall` is UNIX time in seconds.
    """

    forgetting: Forgetting
    retention: float | None
    wall: Callable[[], float]

    def tidy(self, writer: Writer) -> bool:
        """Do a bit of each; say whether there is more to do."""
        writer.make_ready(self.wall())
        more = self.forgetting.forget(writer)
        if roll_up(writer, self.wall()):
            return True
        if self.retention is not None:
            more = expire(writer, self.wall() - self.retention) or more
        return more


def expire(writer: Writer, before: float) -> bool:
    """Delete requests that began before a UNIX time: those of whole days, or months, as the
    database does it. Waits for their hours to be rolled up. Says whether there may be more."""
    end = writer.horizon(before)
    with writer.transaction():
        if not is_rolled_up(writer.connection, end):
            return False
        keep_from(writer.connection, end)
    return writer.expire(end)


def is_rolled_up(connection: Connection, end: int) -> bool:
    """Are all hours before a UNIX time rolled up, as far as their requests are there?"""
    start = kept_from(connection)
    return connection.execute(_DUE, (start, end)).fetchone() is None


def keep_from(connection: Connection, end: int) -> None:
    """Note that requests that began before a UNIX time may be gone: their hours' roll-ups stay as
    they are, and what is written late of such an hour is in none."""
    if kept_from(connection) < end:
        connection.execute("DELETE FROM meta WHERE name = ?", (KEPT_FROM,))
        connection.execute("INSERT INTO meta VALUES (?, ?)", (KEPT_FROM, str(end)))
