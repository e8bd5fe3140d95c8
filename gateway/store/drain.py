"""A thread that moves the spool into the ledger in batches; serving never waits for it."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from gateway.store.connection import Inserted, Ledger, LedgerUnusable, Writer
from gateway.store.flatten import record_of
from gateway.store.spool import Reading, Segment, Spool, read_segment

BATCH_ROWS = 1000
BATCH_BYTES = 2 << 20
EVERY_SECONDS = 0.2
TIDY_SECONDS = 3600.0
LONGEST_WAIT = 5.0
_MOMENT = 0.2

_log = logging.getLogger(__name__)


class Drain:
    """The ledger's one writer in this process.

    `first` runs once on the new thread with the ledger open, and again after each time it
    fails, before anything is drained: recovery goes there. `tidy` runs once an hour, between two
    batches, and again with the next one for as long as it says that there is more to do.
    """

    def __init__(
        self,
        ledger: Ledger,
        spool: Spool,
        first: Callable[[Writer], None] | None = None,
        tidy: Callable[[Writer], bool] = lambda _: False,
    ) -> None:
        self._ledger = ledger
        self._expected: tuple[type[Exception], ...] = (*ledger.errors, OSError, LedgerUnusable)
        self._spool = spool
        self._first = first
        self._tidy = tidy
        self._tidy_at = time.monotonic()
        self._writer: Writer | None = None
        self._offsets: dict[Path, int] = {}
        self._wake = threading.Event()
        self._moved = threading.Condition()
        self._closing = False
        self._failed = False
        self._caught_up_at = time.monotonic()
        self._thread = threading.Thread(target=self._run, name="ledger-drain", daemon=True)
        self.on_batch: Callable[[float], None] = lambda _: None
        """Hears, on this thread, how many seconds each batch took."""
        self.started = threading.Event()
        """Set once the ledger is open and `first` is done."""
        self.position = 0
        """Bytes of the spool that are safe in the ledger."""
        self.rows = Inserted()
        self.failures = 0
        """Passes that failed."""
        self.torn_bytes = 0

    @property
    def behind_seconds(self) -> float:
        """For how long, at most, the oldest row has been waiting."""
        if self.started.is_set() and self.position >= self._spool.position:
            return 0.0
        return time.monotonic() - self._caught_up_at

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def flush(self, timeout: float = 10.0) -> bool:
        """Wait until all that is appended by now is in the ledger; False when time ran out."""
        target = self._spool.position
        self._wake.set()
        with self._moved:
            return self._moved.wait_for(
                lambda: self.started.is_set() and self.position >= target, timeout
            )

    def close(self, timeout: float = 10.0) -> bool:
        """Drain what is there, stop the thread; False when rows had to stay in the spool. It takes
        `timeout` at most, and a moment for the thread to end in."""
        until = time.monotonic() + timeout
        done = self.flush(timeout)
        self._closing = True
        self._wake.set()
        if self._thread.ident is not None:
            # One that waits for a server which is silent ends with the process.
            self._thread.join(max(_MOMENT, until - time.monotonic()))
        return done

    def _run(self) -> None:
        wait = EVERY_SECONDS
        while True:
            try:
                self._pass()
            except self._expected as error:
                wait = min(wait * 2, LONGEST_WAIT)
                self._fail(error)
            except Exception as error:  # noqa: BLE001 - whatever it is, the thread must not end
                wait = min(wait * 2, LONGEST_WAIT)
                self._fail(error, expected=False)
            else:
                wait = EVERY_SECONDS
                self._recovered()
            if self._closing:
                break
            self._wake.wait(wait)
            self._wake.clear()
        self._disconnect()

    def _pass(self) -> None:
        writer = self._writer = self._writer or self._ledger.write()
        if not self.started.is_set():
            if self._first is not None:
                self._first(writer)
            self._note(0, first=True)
        for segment in self._spool.segments():
            while self._move(writer, segment):
                pass
            if segment.finished:
                self._spool.forget(segment)
                self._offsets.pop(segment.path, None)
                with writer.transaction():
                    writer.forget_offset(segment.path.name)
        if self.position >= self._spool.position:
            self._caught_up_at = time.monotonic()
        self._tidy_up(writer)

    def _tidy_up(self, writer: Writer) -> None:
        if time.monotonic() >= self._tidy_at:
            more = self._tidy(writer)
            self._tidy_at = time.monotonic() + (0.0 if more else TIDY_SECONDS)

    def _move(self, writer: Writer, segment: Segment) -> bool:
        """Move one batch; False when the segment is used up."""
        offset = self._offsets.get(segment.path, 0)
        if offset >= segment.size:
            return False
        began = time.monotonic()
        try:
            end, done, bad = move_batch(writer, segment, offset, self._pause(segment, offset))
        except FileNotFoundError:  # somebody tidied up: what it held is gone, the rest is not
            _log.exception("A segment of the ledger's spool has vanished.")
            end, done, bad = segment.size, Inserted(), segment.size - offset
        self._offsets[segment.path] = end
        self.rows += done
        self.torn_bytes += bad
        self.on_batch(time.monotonic() - began)
        self._note(end - offset)
        return True

    def _pause(self, segment: Segment, offset: int) -> Callable[[float], object]:
        """Give way between two slices of a batch, unless somebody waits or rows pile up."""
        return _hurry if segment.size - offset > BATCH_BYTES else self._wake.wait

    def _note(self, moved: int, first: bool = False) -> None:
        with self._moved:
            self.position += moved
            if first:
                self.started.set()
            self._moved.notify_all()

    def _fail(self, error: Exception, *, expected: bool = True) -> None:
        self.failures += 1
        self._disconnect()
        if not self._failed:
            self._failed = True
            told = error if expected else f"{type(error).__name__}: {error}"
            trace = None if expected else error
            _log.error(
                "The ledger %s refuses rows, they wait in the spool: %s",
                *(self._ledger, told),
                exc_info=trace,
            )

    def _recovered(self) -> None:
        if self._failed:
            self._failed = False
            _log.warning("The ledger %s takes rows again.", self._ledger)

    def _disconnect(self) -> None:
        if self._writer is not None:
            with suppress(*self._ledger.errors):
                self._writer.close()
            self._writer = None


def _hurry(_: float) -> None:
    """Take no pause."""


def move_batch(
    writer: Writer, segment: Segment, offset: int, pause: Callable[[float], object] = _hurry
) -> tuple[int, Inserted, int]:
    """Write one batch with its offset in one transaction.

    After each slice of it `pause` is called with the seconds that the slice took. Returns the
    offset after the batch, what became of its rows, and how many bytes were torn.
    """
    reading = read_segment(segment, offset, BATCH_BYTES)
    payloads = reading.payloads[:BATCH_ROWS]
    whole = len(payloads) == len(reading.payloads)
    end = offset + (reading.end if whole else payloads[-1][1])
    done = Inserted()
    with writer.transaction():
        for first in range(0, len(payloads), writer.at_once):
            began = time.monotonic()
            some = payloads[first : first + writer.at_once]
            records = [read for payload, _ in some if (read := record_of(payload)) is not None]
            done += writer.insert(records) + Inserted(malformed=len(some) - len(records))
            pause(time.monotonic() - began)
        writer.write_offset(segment.path.name, end)
    if done.malformed:
        _log.error("%d rows of %s cannot be read and are lost.", done.malformed, segment.path)
    return end, done, _bad_bytes(reading, whole, segment)


def drain_segment(writer: Writer, segment: Segment) -> tuple[Inserted, int]:
    """Write what is left of a dead process's segment; returns its rows, and its torn bytes."""
    offset, rows, torn = writer.read_offset(segment.path.name), Inserted(), 0
    while offset < segment.size:
        offset, done, bad = move_batch(writer, segment, offset)
        rows, torn = rows + done, torn + bad
    return rows, torn


def _bad_bytes(reading: Reading, whole: bool, segment: Segment) -> int:
    if not whole or not reading.bad:
        return 0
    _log.warning("%d bytes of %s are torn and skipped.", reading.bad, segment.path)
    return reading.bad
