"""The engine's journal: marks calls, and appends the request's record before the marks go."""

from __future__ import annotations

from gateway.core.ledger import Entry
from gateway.core.outcome import CallRecord
from gateway.core.ports import OpenCall
from gateway.core.rows import row
from gateway.core.shadow import Shadow, shadow_row
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
        self._free(slots)

    def append_shadow(self, shadow: Shadow, slots: tuple[int, ...]) -> None:
        """Add an attempt made in the shadow to its request's record, then free its calls' slots."""
        if (
            shadow.attempt is not None and shadow.attempt.calls
        ):  # else nothing left, nothing is owed
            self._spool.append(encode(shadow_row(shadow, shadow.attempt)))
        self._free(slots)

    def _free(self, slots: tuple[int, ...]) -> None:
        for slot in slots:
            self._slots.free(slot)
