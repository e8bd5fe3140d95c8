"""Marks of open calls in a mapped file: a call is marked by a write to memory, not by a syscall.

The page cache keeps what was written whatever becomes of the process, so that after a kill -9
every call that was under way is known, with its estimates.
"""

from __future__ import annotations

import mmap
import os
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path
from typing import Any

import orjson

from gateway.core.outcome import CallRecord
from gateway.core.ports import OpenCall
from gateway.core.rows import COST_COLUMNS, rounded
from gateway.store.encode import encode

SLOT = 1024
"""Bytes of a slot: one of state, then the opening, then the settling, each with length and CRC."""
CHUNK_SLOTS = 512
CHUNK = SLOT * CHUNK_SLOTS
MAX_SLOTS = 65_536
UNMARKED = -1
"""The slot of a call that could not be marked: the disk is full, or too many are open."""

FREE, OPEN, SETTLED = 0, 0x4F, 0x53
_PART = struct.Struct("<HI")
_OPENING = 8
_SETTLING = 688
_FIELDS = tuple(range(len(OpenCall.__slots__) - 3, len(OpenCall.__slots__) + 1))
"""How many values an opening has; versions before this one had no price, and no purpose."""
_SETTLED = (
    *("status", "error", "prompt_tokens", "completion_tokens", "cached_tokens"),
    *("cache_write_tokens", "reasoning_tokens", "estimated", "cost", "seconds", "first_token"),
    *("bare", "cache_write_1h_tokens", "audio_input_tokens", "audio_output_tokens"),
    *("image_input_tokens", "image_output_tokens", "service_tier", "rate", *COST_COLUMNS),
)
"""What of a call's row is written down when it ends, in this order: names would not fit."""
_VALUES = attrgetter(*OpenCall.__slots__)
_ROOM = {_OPENING: _SETTLING - _OPENING - _PART.size, _SETTLING: SLOT - _SETTLING - _PART.size}
_LONGEST_WORD = 24
_LONGEST_NAME = 64
_LONGEST_ID = 128


@dataclass(frozen=True, slots=True)
class Mark:
    """A mark left behind; `settled` is a CallRecord's values, or None."""

    call: OpenCall
    settled: dict[str, Any] | None


@dataclass(frozen=True, slots=True)
class Marks:
    """What a slot file held. `torn` counts slots that cannot be read: a power cut's work."""

    marks: tuple[Mark, ...]
    torn: int


class Slots:
    """The marks of one process. Made for one thread: the event loop's."""

    def __init__(self, path: Path) -> None:
        """Create the file (mode 0600). Raises OSError when that fails; no room in it does not."""
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        self.path = path
        self.unmarked = 0
        """Calls that could not be marked."""
        self._chunks: list[mmap.mmap] = []
        self._free: list[int] = []
        self._try_grow()

    @property
    def in_use(self) -> int:
        """How many slots are not free."""
        return len(self._chunks) * CHUNK_SLOTS - len(self._free)

    def has_room(self) -> bool:
        """Is there a slot for one more call?"""
        return bool(self._free) or self._try_grow()

    def open(self, call: OpenCall) -> int:
        """Mark a call as under way; UNMARKED when there is no room for it."""
        if not self.has_room():
            self.unmarked += 1
            return UNMARKED
        slot = self._free.pop()
        chunk, at = self._chunks[slot // CHUNK_SLOTS], slot % CHUNK_SLOTS * SLOT
        _write(chunk, at + _OPENING, _opening(call))
        chunk[at] = OPEN  # last: before it, the slot still reads as free
        return slot

    def settle(self, slot: int, record: CallRecord) -> None:
        """Write down how the call ended; its opening stays beside it."""
        if slot < 0:
            return
        chunk, at = self._chunks[slot // CHUNK_SLOTS], slot % CHUNK_SLOTS * SLOT
        if chunk[at] != OPEN:
            return
        _write(chunk, at + _SETTLING, _settling(record))
        chunk[at] = SETTLED  # last: before it, the call still reads as open

    def free(self, slot: int) -> None:
        """Take the mark back; freeing a free slot does nothing."""
        if slot < 0:
            return
        chunk, at = self._chunks[slot // CHUNK_SLOTS], slot % CHUNK_SLOTS * SLOT
        if chunk[at] != FREE:
            chunk[at] = FREE
            self._free.append(slot)

    def close(self) -> None:
        """Unmap the file, and remove it unless it still marks a call."""
        if not self.in_use:
            self.path.unlink(missing_ok=True)
        for chunk in self._chunks:
            chunk.close()
        os.close(self._fd)

    def _try_grow(self) -> bool:
        if len(self._chunks) * CHUNK_SLOTS >= MAX_SLOTS:
            return False
        try:
            self._grow()
        except OSError:
            return False
        return True

    def _grow(self) -> None:
        start = len(self._chunks) * CHUNK
        # Written rather than truncated to: a mapped hole on a full disk would be a SIGBUS.
        if os.pwrite(self._fd, bytes(CHUNK), start) < CHUNK:
            os.ftruncate(self._fd, start)
            raise OSError("no room for more slots")
        self._chunks.append(mmap.mmap(self._fd, CHUNK, offset=start))
        first = len(self._chunks) * CHUNK_SLOTS
        self._free.extend(range(first - 1, first - CHUNK_SLOTS - 1, -1))


def read_marks(path: Path) -> Marks:
    """Read a dead process's marks; a slot that makes no sense is counted, not raised."""
    marks, torn = [], 0
    for state, slot in _taken(path.read_bytes()):
        opening = _read(slot, _OPENING)
        if not isinstance(opening, list) or len(opening) not in _FIELDS:
            torn += 1
            continue
        settled = _read(slot, _SETTLING) if state == SETTLED else None
        marks.append(Mark(OpenCall(*opening), _settled(settled)))
    return Marks(tuple(marks), torn)


def _taken(data: bytes) -> Iterator[tuple[int, bytes]]:
    for at in range(0, len(data) - SLOT + 1, SLOT):
        if data[at] != FREE:
            yield data[at], data[at : at + SLOT]


def _write(chunk: mmap.mmap, at: int, body: bytes) -> None:
    if len(body) > _ROOM[at % SLOT]:
        body = b""  # reads as torn: better than a neighbour overwritten
    data = _PART.pack(len(body), zlib.crc32(body)) + body
    chunk[at : at + len(data)] = data


def _read(slot: bytes, at: int) -> object:
    size, checksum = _PART.unpack_from(slot, at)
    body = slot[at + _PART.size : at + _PART.size + size]
    if len(body) != size or zlib.crc32(body) != checksum:
        return None
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        return None


def _opening(call: OpenCall) -> bytes:
    body = encode(_VALUES(call))
    for most in (_LONGEST_NAME, 0):
        if len(body) <= _ROOM[_OPENING]:
            break
        # The ids are what the record is known by: they are cut last, and to what they may be.
        named = ("route", "tier", "upstream", "model", "price_version")
        cut = {name: getattr(call, name)[:most] for name in named}
        cut |= {"call_id": call.call_id[:_LONGEST_ID], "entry_id": call.entry_id[:_LONGEST_ID]}
        values = [cut.get(name, getattr(call, name)) for name in OpenCall.__slots__]
        body = encode(values)
    return body


def _settling(record: CallRecord) -> bytes:
    # By hand, in the order of _SETTLED: a call's whole row would be made for half of its values.
    usage, first, amounts = record.usage, record.first_token, record.cost.amounts
    return encode(
        (
            record.status,
            record.error[:_LONGEST_WORD],
            usage.prompt,
            usage.completion,
            usage.cached,
            usage.cache_write,
            usage.reasoning,
            usage.estimated,
            sum(amounts),
            rounded(record.seconds),
            None if first is None else rounded(first),
            record.bare,
            usage.cache_write_1h,
            usage.audio_input,
            usage.audio_output,
            usage.image_input,
            usage.image_output,
            usage.service[:_LONGEST_WORD],
            record.price.rate(usage)[:_LONGEST_WORD],
            *amounts,
        )
    )


def _settled(values: object) -> dict[str, Any] | None:
    """Return what is known of a call's end, by name; the versions before this one wrote names."""
    if isinstance(values, list) and len(values) == len(_SETTLED):
        return dict(zip(_SETTLED, values, strict=True))
    return values if isinstance(values, dict) else None
