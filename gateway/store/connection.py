"""What the ledger's databases have in common: a connection, a writer, and the ledger itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from gateway.core.database_url import DatabaseUrl

Place = Path | DatabaseUrl
"""Where a ledger is: a SQLite file, or a database of a PostgreSQL server."""
Values = Mapping[str, Any] | Sequence[Any]


class LedgerUnusable(Exception):
    """It is no ledger that this version can write; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Inserted:
    """What became of a batch: rows new, there already, and impossible to write."""

    new: int = 0
    known: int = 0
    malformed: int = 0

    def __add__(self, other: Inserted) -> Inserted:
        """Sum both."""
        return Inserted(
            self.new + other.new, self.known + other.known, self.malformed + other.malformed
        )


class Rows(Protocol):
    """What a statement gave: each row goes by its columns' names and by their numbers."""

    @property
    def rowcount(self) -> int:
        """How many rows it has changed."""
        ...

    def fetchone(self) -> Any:
        """Return the next row, or None."""
        ...

    def fetchall(self) -> list[Any]:
        """Return the rest."""
        ...

    def __iter__(self) -> Iterator[Any]: ...


class Connection(Protocol):
    """An open ledger, asked in the SQL that SQLite and PostgreSQL share, with SQLite's marks for
    values: `?`, or `:name`."""

    def execute(self, sql: str, values: Values = (), /) -> Rows:
        """Carry a statement out."""
        ...


class Writer(Protocol):
    """A ledger as its writer in this process has it open. Made for one thread."""

    at_once: int
    """How many records are best given to `insert` at once: no more are read for it, so that the
    interpreter is not kept from serving, nor its memory filled, for longer than that pays."""

    @property
    def connection(self) -> Connection:
        """The same, for statements of one's own."""
        ...

    def transaction(self) -> AbstractContextManager[None]:
        """All of it or nothing."""
        ...

    def insert(self, records: Sequence[dict[str, Any]]) -> Inserted:
        """Write records (the shape of `core.rows.row`) inside the caller's transaction.

        A record that is there already is left as it is; one that cannot be written is skipped.
        """
        ...

    def read_offset(self, segment: str) -> int:
        """Return how far a spool segment has been written to the ledger."""
        ...

    def write_offset(self, segment: str, offset: int) -> None:
        """Note how far a segment is written, in the transaction that writes it."""
        ...

    def forget_offset(self, segment: str) -> None:
        """Forget a segment that is gone."""
        ...

    def knows_call(self, call_id: str) -> bool:
        """Is this call in the ledger?"""
        ...

    def put_calls(self, record: dict[str, Any], calls: Sequence[dict[str, Any]]) -> None:
        """Write calls that the ledger does not know, with the request that they are of where it
        does not know that either."""
        ...

    def make_ready(self, now: float) -> None:
        """Make ready for what will be written from a UNIX time on: nobody is to wait for it."""
        ...

    def horizon(self, before: float) -> int:
        """Return when the day, or the month, began that a UNIX time lies in: requests are deleted
        by whole ones."""
        ...

    def expire(self, end: int) -> bool:
        """Delete requests that began before a horizon, with all that is theirs: some of them. Say
        whether there may be more."""
        ...

    def delete(self, start: int, check: Callable[[int], None]) -> None:
        """Delete the requests of the day, or month, that began then. `check` is given its end, when
        nobody can add to it any more; nothing is deleted if it raises."""
        ...

    def close(self) -> None:
        """Let go of the ledger."""
        ...


class Ledger(Protocol):
    """A ledger's place. `str` names it in messages, without a password."""

    @property
    def errors(self) -> tuple[type[Exception], ...]:
        """What is raised while it cannot be had: locked, stopped, full."""
        ...

    def prepare(self) -> None:
        """Make its tables where there are none, or bring them up to this version's layout.

        Raises LedgerUnusable for what is no ledger, or a newer version's, and `errors`.
        """
        ...

    def write(self) -> Writer:
        """Open it for writing, prepared. Raises as `prepare`."""
        ...

    def read(self) -> AbstractContextManager[Connection]:
        """Open one moment's view of it. Raises `errors`, also when there is none."""
        ...

    def add(self) -> AbstractContextManager[Connection]:
        """Open it for a short write beside the drain's: one transaction. Raises as `read`."""
        ...

    def stamp(self) -> object:
        """Return what is another value once anything has been written, without opening it; None
        where that cannot be told."""
        ...

    def forms(self, sql: tuple[str, str]) -> str:
        """Choose between two forms of one statement: SQLite's, and PostgreSQL's."""
        ...


@contextmanager
def as_os_error(ledger: Ledger) -> Iterator[None]:
    """Turn what a database raises into OSError, naming the ledger."""
    try:
        yield
    except ledger.errors as error:
        if isinstance(error, OSError):
            raise
        told = str(error).strip().replace("\n", " ")
        raise OSError(f"The ledger {ledger} is not to be had: {told}.") from error
