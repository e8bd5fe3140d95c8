"""What is said of an answer once it has been seen: a label, beside the request that it is of."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from gateway.store.connection import Place, as_os_error
from gateway.store.ledgers import ledger_at


@dataclass(frozen=True, slots=True)
class Answered:
    """A request of the past; `tier` is the one that served, or none."""

    entry_id: str
    request_id: str
    route: str
    tier: str


@dataclass(frozen=True, slots=True)
class Label:
    """How good a tier's reply was to one request: `score` from 0 to 1. `source` is who says so,
    `at` a UNIX time in seconds."""

    entry_id: str
    tier: str
    score: float
    source: str
    at: float


_FIND = "SELECT entry_id, request_id, route, tier FROM request WHERE "
_PUT = """
INSERT INTO label (entry_id, tier, source, score, at) VALUES (?, ?, ?, ?, ?)
ON CONFLICT (entry_id, tier, source) DO UPDATE SET score = excluded.score, at = excluded.at"""


class Labels:
    """Finds requests and labels them. All of it blocks: call it in a thread."""

    def __init__(self, place: Place, flush: Callable[[float], bool]) -> None:
        """`place` is the ledger's; `flush` waits for what this process has not written to it."""
        self._ledger = ledger_at(place)
        self._flush = flush

    def find(self, request_id: str, key: str | None, timeout: float) -> Answered | None:
        """Find a request by the id that its client knows, or by its entry's own; of several with
        one id the newest. With `key`, only that key's own.

        What this process has answered by now is written first: the newest may be the one that is
        meant. Raises OSError when that takes over `timeout` seconds, or the ledger cannot be read.
        """
        if not self._flush(timeout):
            raise OSError(f"The ledger {self._ledger} takes no rows at the moment.")
        own, values = ("", ()) if key is None else (' AND "key" = ?', (key,))
        with as_os_error(self._ledger), self._ledger.read() as connection:
            for column in ("request_id", "entry_id"):
                query = f"{_FIND}{column} = ?{own} ORDER BY id DESC LIMIT 1"
                found = connection.execute(query, (request_id, *values)).fetchone()
                if found is not None:
                    return Answered(**found)
        return None

    def put(self, label: Label) -> None:
        """Write a label; the last one of a source on a tier's reply wins. Raises OSError."""
        values = (label.entry_id, label.tier, label.source, label.score, label.at)
        with as_os_error(self._ledger), self._ledger.add() as connection:
            connection.execute(_PUT, values)
