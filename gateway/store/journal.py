"""The engine's journal: marks calls, and appends the request's record before the marks go."""

from __future__ import annotations

from collections import deque

from gateway.core.ledger import Entry
from gateway.core.outcome import CallRecord
from gateway.core.ports import OpenCall
from gateway.core.rows import row
from gateway.core.shadow import Shadow, shadow_row
from gateway.store.encode import encode
from gateway.store.slots import UNMARKED, Slots
from gateway.store.spool import Spool

MOST_BYTES = 8 << 20
"""Of records that the spool has refused, kept in memory until it takes them."""
AT_ONCE = 8
"""Refused records that are offered again after one that was taken: it is the event loop's time."""

_Slots = tuple[int, ...]


class Journal:
    """Fits `core.ports.Journal`. Synchronous; nothing in it waits, and no full disk raises.

    A record that the spool refuses stays here, and the marks of its calls where they are: it is
    offered again once there is room, and if this process ends before that, the next start finds
    the calls. Of more than `MOST_BYTES` the marks alone stay; where a call that is under way needs
    the room of a mark, one of those gives way.
    """

    def __init__(self, slots: Slots, spool: Spool) -> None:
        self._slots = slots
        self._spool = spool
        self._refused: deque[tuple[bytes, _Slots]] = deque()
        self._bytes = 0
        self._alone: deque[_Slots] = deque()
        self.kept_marks = 0
        """Marks of calls that are over, and whose record the spool has refused."""

    def open(self, call: OpenCall) -> int:
        """Mark a call as under way; returns its slot."""
        if self.kept_marks and not self._slots.has_room():
            self._make_room()
        return self._slots.open(call)

    def settle(self, slot: int, record: CallRecord) -> None:
        """Write down how the call in `slot` ended."""
        self._slots.settle(slot, record)

    def append(self, entry: Entry, slots: _Slots) -> None:
        """Keep the request's record, then free its calls' slots.

        In this order, so that a kill between the two leaves a call twice, which recovery can
        tell, and never not at all.
        """
        self._put(encode(row(entry)), slots)

    def append_shadow(self, shadow: Shadow, slots: _Slots) -> None:
        """Add an attempt made in the shadow to its request's record, then free its calls' slots."""
        if shadow.attempt is not None and shadow.attempt.calls:
            self._put(encode(shadow_row(shadow, shadow.attempt)), slots)
        else:  # nothing left, nothing is owed
            self._free(slots)

    def offer(self, most: int) -> bool:
        """Offer refused records to the spool again, up to so many; are there none left?"""
        for _ in range(min(most, len(self._refused))):
            payload, slots = self._refused[0]
            if not self._spool.append(payload, anew=False):
                break
            self._refused.popleft()
            self._bytes -= len(payload)
            self._let_go(slots)
        return not self._refused

    def close(self) -> bool:
        """Offer all that was refused once more; is none left, and no mark of one?"""
        return self.offer(len(self._refused)) and not self.kept_marks

    def _put(self, payload: bytes, slots: _Slots) -> None:
        if self._spool.append(payload):
            self._free(slots)
            if self._refused:
                self.offer(AT_ONCE)
            return
        slots = tuple(slot for slot in slots if slot != UNMARKED)
        self.kept_marks += len(slots)
        if self._bytes + len(payload) <= MOST_BYTES:
            self._refused.append((payload, slots))
            self._bytes += len(payload)
        elif slots:
            self._alone.append(slots)

    def _make_room(self) -> None:
        """Free the marks that were kept of one record, and lose it: the oldest of which there are
        only marks, else the oldest."""
        if self._alone:
            self._let_go(self._alone.popleft())
            return
        while self._refused:
            payload, slots = self._refused.popleft()
            self._bytes -= len(payload)
            self._let_go(slots)
            if slots:
                return

    def _let_go(self, slots: _Slots) -> None:
        self.kept_marks -= len(slots)
        self._free(slots)

    def _free(self, slots: _Slots) -> None:
        for slot in slots:
            self._slots.free(slot)
