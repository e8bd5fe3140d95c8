"""For how long requests are kept, and that their hours are added up before they go."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from gateway.store.connection import Writer
from gateway.store.prompts import Forgetting
from gateway.store.rollups import KEPT_FROM, kept_from, roll_up

DAY = 86_400
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
        more = self.forgetting.forget(writer)
        if roll_up(writer, self.wall()):
            return True
        if self.retention is not None:
            more = expire(writer, self.wall() - self.retention) or more
        return more


def expire(writer: Writer, before: float) -> bool:
    """Delete requests of the days that ended by `before`, a UNIX time; say whether there may be
    more. Waits for their hours to be rolled up: what is written of them later is in no roll-up."""
    day = int(before // DAY) * DAY
    connection = writer.connection
    with writer.transaction():
        start = kept_from(connection)
        if connection.execute(_DUE, (start, day)).fetchone() is not None:
            return False
        if start < day:
            connection.execute("DELETE FROM meta WHERE name = ?", (KEPT_FROM,))
            connection.execute("INSERT INTO meta VALUES (?, ?)", (KEPT_FROM, str(day)))
    return writer.expire(day)
