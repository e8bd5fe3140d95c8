"""The engine's journal: marks calls, and appends the request's record before the marks go."""

from __future__ import annotations

from gateway.core.ledger import Entry
from gateway.core.outcome import CallRecord
from gateway.core.ports import OpenCall
from gateway.core.rows import row
from gateway.store.encode import encode
from gateway.store.slots import Slots
from gateway.store.spool import Spool


class Journal:
    """Fits `core.ports.Journal`. Synchronous; nothing in it waits, and no full disk raises."""

    def __init__(self, slots: Slots, spool: Spool) -> None:
        self._slots = slots
        self._spool = spool

    def open(self, call: OpenCall) -> int:
        """Mark a call as under way; returns its slot."""
        return self._slots.open(call)

    def settle(self, slot: int, record: CallRecord) -> None:
        """Write down how the call in `slot` ended."""
        self._slots.settle(slot, record)

    def append(self, entry: Entry, slots: tuple[int, ...]) -> None:
        """Keep the request's record, then free its calls' slots.

        In this order, so that a kill between the two leaves a call twice, which recovery can
        tell, and never not at all.
        """
        self._spool.append(encode(row(entry)))
        for slot in slots:
            self._slots.free(slot)
