"""What a scorer can be trained on: the ledger's own prompts, with what their answers were worth."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from gateway.core.signals import Signals
from gateway.store.connection import Connection, LedgerUnusable, Place
from gateway.store.ledgers import reading
from gateway.store.prompts import read_signals

_PROMPTS = "To keep them: `ledger: {content: prompts}` in the configuration, and a restart."
_LABELS = "They come with POST /v1/feedback: {request_id, score, tier}."
_LABELLED = """
SELECT request.id, request.route, request.started_at, prompt.signals, label.tier,
       avg(label.score) AS good
FROM label
JOIN prompt ON prompt.entry_id = label.entry_id
JOIN request ON request.entry_id = label.entry_id
WHERE CAST(:route AS TEXT) IS NULL OR request.route = :route
GROUP BY request.id, request.route, request.started_at, prompt.signals, label.tier
ORDER BY request.id, label.tier"""
_KEPT = """
SELECT prompt.entry_id, prompt.signals FROM prompt
JOIN request ON request.entry_id = prompt.entry_id
WHERE request.route = ? AND EXISTS (SELECT 1 FROM label WHERE label.entry_id = prompt.entry_id)"""
_COSTS = """
SELECT attempt.tier, avg(attempt.cost)
FROM request JOIN attempt ON attempt.request = request.id
WHERE request.route = ? AND attempt.served <> 0
GROUP BY attempt.tier"""


class NothingToLearn(Exception):
    """The ledger cannot be trained from; the message says what to do."""


class LabelledPrompt(NamedTuple):
    """A request that may be learnt from. `good` maps each tier that was labelled to a label from 0
    to 1, of several sources the mean; `started_at` is a UNIX time in seconds."""

    signals: Signals
    good: Mapping[str, float]
    route: str
    started_at: float


def labelled_prompts(place: Place, route: str | None = None) -> list[LabelledPrompt]:
    """Read every labelled prompt, or those of one route, oldest first.

    Raises NothingToLearn when there is none, with the reason and the remedy.
    """
    with _reading(place) as connection:
        found = connection.execute(_LABELLED, {"route": route}).fetchall()
        kept, labels = (_count(connection, table) for table in ("prompt", "label"))
    good: dict[int, dict[str, float]] = {}
    for row in found:
        good.setdefault(row["id"], {})[row["tier"]] = row["good"]
    firsts = {row["id"]: row for row in reversed(found)}
    read = {number: read_signals(firsts[number]["signals"]) for number in good}
    prompts = [
        LabelledPrompt(signals, good[number], firsts[number]["route"], firsts[number]["started_at"])
        for number, signals in read.items()
        if signals is not None
    ]
    if not prompts:
        raise NothingToLearn(_why_none(place, route, kept, labels))
    return prompts


def route_prompts(place: Place, route: str) -> dict[str, Signals]:
    """Return the kept prompts of a route's labelled requests by entry; none where none are kept.

    Raises NothingToLearn when the ledger cannot be read.
    """
    with _reading(place) as connection:
        rows = connection.execute(_KEPT, (route,)).fetchall()
    read = {row["entry_id"]: read_signals(row["signals"]) for row in rows}
    return {entry: signals for entry, signals in read.items() if signals is not None}


def tier_costs(place: Place, route: str) -> dict[str, float]:
    """Return what a reply has cost on average at each tier of a route that served: nano-dollars of
    the serving attempts, their checks included. A tier that has not served is not there.

    Raises NothingToLearn when the ledger cannot be read.
    """
    with _reading(place) as connection:
        return dict(map(tuple, connection.execute(_COSTS, (route,))))


@contextmanager
def _reading(place: Place) -> Iterator[Connection]:
    """Open a ledger of this version's layout. Raises NothingToLearn for anything else."""
    if isinstance(place, Path) and not place.is_file():
        raise NothingToLearn(f"There is no ledger at {place}.")
    try:
        with reading(place) as connection:
            yield connection
    except (OSError, LedgerUnusable) as error:
        raise NothingToLearn(
            f"{place} cannot be read as a ledger: {error} If an older version wrote it, start this "
            "one on it once; then it has all that is needed."
        ) from error


def _why_none(place: Place, route: str | None, prompts: int, labels: int) -> str:
    if not prompts:
        return f"{place} keeps no prompts. {_PROMPTS} Then label answers. {_LABELS}"
    if not labels:
        return f"{place} has {prompts} prompts, but no labels. {_LABELS}"
    of_route = f" of the route {route!r}" if route is not None else ""
    return (
        f"{place} has {prompts} prompts and {labels} labels, but none{of_route} is of a request "
        f"whose prompt is kept. {_PROMPTS}"
    )


def _count(connection: Connection, table: str) -> int:
    query = f"SELECT count(*) FROM {table}"  # noqa: S608 - ours
    return int(connection.execute(query).fetchone()[0])
