"""The store as one thing with a lifetime: opened before serving, closed after the last reply."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from gateway.store.archive import Archive
from gateway.store.connection import LedgerUnusable, Place, Writer
from gateway.store.drain import Drain
from gateway.store.journal import Journal
from gateway.store.labels import Labels
from gateway.store.ledgers import ledger_at
from gateway.store.owner import Owner, claim
from gateway.store.prompts import Forgetting
from gateway.store.recover import Recovered, recover
from gateway.store.retention import Tidying
from gateway.store.slots import Slots
from gateway.store.spool import Spool

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
        self, place: Place, owner: Owner, spool: Spool, slots: Slots, tidying: Tidying
    ) -> None:
        self.place = place
        self.journal = Journal(slots, spool)
        self.recovered = Recovered()
        self._owner = owner
        self._spool = spool
        self._slots = slots
        self._drain = Drain(ledger_at(place), spool, self._recover, tidying.tidy)
        self.labels = Labels(place, self.flush)
        self.archive = Archive(place)
        self._closed = False

    @property
    def path(self) -> Path:
        """The ledger's file. Raises TypeError where it is in no file of this machine."""
        if not isinstance(self.place, Path):
            raise TypeError(f"{self.place} is no file")
        return self.place

    @property
    def database(self) -> str:
        """What the ledger is kept in: sqlite or postgresql."""
        return "sqlite" if isinstance(self.place, Path) else "postgresql"

    def tell_batches(self, hears: Callable[[float], None]) -> None:
        """Tell how many seconds each batch takes from here on, on the drain's thread."""
        self._drain.on_batch = hears

    def start(self, timeout: float) -> bool:
        """Start draining; waits for the recovery, which goes on alone if `timeout` passes."""
        self._drain.start()
        return self._drain.started.wait(timeout)

    def flush(self, timeout: float = 10.0) -> bool:
        """Wait until every entry appended so far is in the ledger; False when time ran out.

        It blocks: from an event loop, call it in a thread.
        """
        return self._drain.flush(timeout)

    def close(self, timeout: float = 5.0) -> bool:
        """Flush and let go of every file; what could not be written within `timeout` seconds waits
        for the next start.

        Returns whether nothing had to wait. Closing twice does nothing more.
        """
        if self._closed:
            return True
        self._closed = True
        kept = self.journal.close()
        drained = self._drain.close(timeout)
        done = drained and kept
        if not done:
            _log.error("Rows of the ledger stay in %s for the next start.", self._owner.folder)
        self._spool.close()
        if drained:
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
            malformed=rows.malformed + self.recovered.malformed,
            dropped_cap=self._spool.dropped_cap,
            dropped_disk=self._spool.dropped_disk,
            unmarked_calls=self._slots.unmarked,
            recovered_settled=self.recovered.settled,
            recovered_unsettled=self.recovered.unsettled,
            write_failures=self._drain.failures,
            torn_bytes=self._drain.torn_bytes + self.recovered.torn_bytes,
            spool_bytes=self._spool.on_disk,
            oldest_unflushed_seconds=self._drain.behind_seconds,
            open_calls=self._slots.in_use - self.journal.kept_marks,
        )

    def figures(self) -> dict[str, float]:
        """Read the same as a mapping, by the names of State's fields."""
        return asdict(self.state())

    def _recover(self, writer: Writer) -> None:
        self.recovered += recover(self._owner.folder, writer)


def prepare(place: Place) -> None:
    """Make the ledger's tables where there are none, which is best done by one process alone.

    A ledger that cannot be had is left for later. Raises as `open_store`.
    """
    ledger = ledger_at(place)
    try:
        ledger.prepare()
    except ledger.errors as error:
        if isinstance(error, OSError):
            raise
        _log.warning("The ledger %s is not to be had yet: %s", ledger, error)


def spool_of(place: Place, folder: Path | None) -> Path:
    """Return where the spool lies: in `folder`, or beside a SQLite file.

    Raises LedgerUnusable for a server's database without a folder.
    """
    if folder is not None:
        return folder
    if isinstance(place, Path):
        return place.with_name(f"{place.name}.spool")
    raise LedgerUnusable(f"{place} is on a server: its spool needs a folder of this machine.")


def open_store(
    place: Place,
    *,
    spool_folder: Path | None = None,
    spool_cap: int = 1 << 30,
    segment_bytes: int = 8 << 20,
    wait: float = 5.0,
    prompt_retention: float = PROMPT_RETENTION,
    retention: float | None = None,
    wall: Callable[[], float] = _now,
) -> Store:
    """Open the ledger at `place`, take over what a killed process left, and start draining.

    The spool lies in `<file>.spool/` unless another folder is named, as it must be for a server's
    database; sizes are in bytes. Prompts are deleted after `prompt_retention` seconds, whole
    requests after `retention`, if any; `wall` is UNIX time in seconds. A ledger that cannot be had
    delays the recovery, never the start, by more than `wait` seconds. Raises LedgerUnusable for one
    that this version cannot write, OSError for a place that cannot be written.
    """
    prepare(place)
    owner = claim(spool_of(place, spool_folder))
    spool = Spool(owner, segment_bytes=segment_bytes, cap_bytes=spool_cap)
    tidying = Tidying(Forgetting(prompt_retention, wall), retention, wall)
    store = Store(place, owner, spool, Slots(owner.slots), tidying)
    try:
        store.start(wait)
    except BaseException:  # told to end, while it waits
        store.close(0.0)
        raise
    return store
