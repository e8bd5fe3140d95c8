"""The store as one thing with a lifetime: opened before serving, closed after the last reply."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from gateway.store.archive import Archive
from gateway.store.drain import Drain
from gateway.store.journal import Journal
from gateway.store.labels import Labels
from gateway.store.owner import Owner, claim
from gateway.store.prompts import Forgetting
from gateway.store.recover import Recovered, recover
from gateway.store.slots import Slots
from gateway.store.spool import Spool
from gateway.store.sqlite import connect

PROMPT_RETENTION = 30 * 86_400.0
"""For how many seconds prompts are kept, where they are."""

_log = logging.getLogger(__name__)


def _now() -> float:
    return datetime.now(tz=UTC).timestamp()


@dataclass(frozen=True, slots=True)
class State:
    """The store's own figures, for metrics. Rows and calls are counted since the start."""

    written: int
    duplicates: int
    malformed: int
    dropped_cap: int
    dropped_disk: int
    unmarked_calls: int
    recovered_settled: int
    recovered_unsettled: int
    write_failures: int
    torn_bytes: int
    spool_bytes: int
    oldest_unflushed_seconds: float
    open_calls: int


class Store:
    """A ledger in use: `journal` is for the engine, `labels` for feedback, `archive` for tuning,
    the rest for whoever owns the lifetime."""

    def __init__(
        self, path: Path, owner: Owner, spool: Spool, slots: Slots, forgetting: Forgetting
    ) -> None:
        self.path = path
        self.journal = Journal(slots, spool)
        self.recovered = Recovered()
        self._owner = owner
        self._spool = spool
        self._slots = slots
        self._drain = Drain(path, spool, self._recover, forgetting.forget)
        self.labels = Labels(path, self.flush)
        self.archive = Archive(path)
        self._closed = False

    def start(self, timeout: float) -> bool:
        """Start draining; waits for the recovery, which goes on alone if `timeout` passes."""
        self._drain.start()
        return self._drain.started.wait(timeout)

    def flush(self, timeout: float = 10.0) -> bool:
        """Wait until every entry appended so far is in SQLite; False when time ran out.

        It blocks: from an event loop, call it in a thread.
        """
        return self._drain.flush(timeout)

    def close(self, timeout: float = 10.0) -> bool:
        """Flush and let go of every file; what could not be written waits for the next start.

        Returns whether nothing had to wait. Closing twice does nothing more.
        """
        if self._closed:
            return True
        self._closed = True
        done = self._drain.close(timeout)
        if not done:
            _log.error("Rows of the ledger stay in %s for the next start.", self._owner.folder)
        self._spool.close()
        if done:
            for segment in self._spool.segments():
                self._spool.forget(segment)
        self._slots.close()
        self._owner.release()
        return done

    def state(self) -> State:
        """Read the store's own figures."""
        rows = self._drain.rows
        return State(
            written=rows.new + self.recovered.rows,
            duplicates=rows.known,
            malformed=rows.malformed,
            dropped_cap=self._spool.dropped_cap,
            dropped_disk=self._spool.dropped_disk,
            unmarked_calls=self._slots.unmarked,
            recovered_settled=self.recovered.settled,
            recovered_unsettled=self.recovered.unsettled,
            write_failures=self._drain.failures,
            torn_bytes=self._drain.torn_bytes + self.recovered.torn_bytes,
            spool_bytes=self._spool.on_disk,
            oldest_unflushed_seconds=self._drain.behind_seconds,
            open_calls=self._slots.in_use,
        )

    def figures(self) -> dict[str, float]:
        """Read the same as a mapping, by the names of State's fields."""
        return asdict(self.state())

    def _recover(self, connection: sqlite3.Connection) -> None:
        self.recovered += recover(self._owner.folder, connection)


def prepare(path: Path) -> None:
    """Make the ledger's tables where there are none, which is best done by one process alone.

    A locked ledger is left for later. Raises as `open_store`.
    """
    try:
        connect(path).close()
    except sqlite3.OperationalError as error:
        _log.warning("The ledger %s is not to be had yet: %s", path, error)


def open_store(
    path: Path,
    *,
    spool_folder: Path | None = None,
    spool_cap: int = 1 << 30,
    segment_bytes: int = 8 << 20,
    wait: float = 5.0,
    prompt_retention: float = PROMPT_RETENTION,
    wall: Callable[[], float] = _now,
) -> Store:
    """Open the ledger at `path`, take over what a killed process left, and start draining.

    The spool lies in `<path>.spool/` unless another folder is named; sizes are in bytes. Prompts
    are deleted after `prompt_retention` seconds; `wall` is UNIX time in seconds. A locked ledger
    delays the recovery, never the start, by more than `wait` seconds. Raises LedgerUnusable for a
    file that this version cannot write, OSError for a place that cannot be written.
    """
    prepare(path)
    owner = claim(spool_folder or path.with_name(f"{path.name}.spool"))
    spool = Spool(owner, segment_bytes=segment_bytes, cap_bytes=spool_cap)
    forgetting = Forgetting(prompt_retention, wall)
    store = Store(path, owner, spool, Slots(owner.slots), forgetting)
    store.start(wait)
    return store
