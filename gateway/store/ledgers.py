"""Which database a ledger's place means; the library for PostgreSQL is loaded for that alone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

from gateway.store.connection import Connection, Ledger, LedgerUnusable, Place, as_os_error
from gateway.store.sqlite_ledger import SqliteLedger


def ledger_at(place: Place) -> Ledger:
    """Return the ledger of a place, without touching it.

    Raises LedgerUnusable where the library for its database is not installed.
    """
    if isinstance(place, Path):
        return SqliteLedger(place)
    if find_spec("psycopg") is None:
        raise LedgerUnusable(
            f"{place} is a PostgreSQL database, and psycopg is not installed: "
            "pip install 'waterfall-gateway[postgres]'."
        )
    from gateway.store.postgres import PostgresLedger  # noqa: PLC0415 - it loads psycopg

    return PostgresLedger(place)


@contextmanager
def reading(place: Place) -> Iterator[Connection]:
    """Open one moment's view of a ledger; what it raises inside is an OSError with its name.

    Raises OSError when there is none, or none of this layout.
    """
    ledger = ledger_at(place)
    with as_os_error(ledger), ledger.read() as connection:
        yield connection
