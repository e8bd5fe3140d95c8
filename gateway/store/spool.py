"""An append-only spool: framed records in segments, one write each, whole or not at all."""

from __future__ import annotations

import logging
import os
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path

from gateway.store.owner import Owner

MAGIC = b"\xffW"
"""Begins a frame. UTF-8 has no 0xff byte, so a record's text never looks like a frame's start."""
_HEAD = struct.Struct("<2sII")
LONGEST = 64 << 20
"""Bytes of the largest record; a length beyond it is damage."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Segment:
    """A spool file as far as it is known to be whole; a finished one gets no more records."""

    path: Path
    size: int
    finished: bool


class _File:
    """A spool file of this process: as one thread writes it, and another one sees it."""

    __slots__ = ("finished", "path", "size")

    def __init__(self, path: Path) -> None:
        self.path = path
        self.size = 0
        self.finished = False

    def seen(self) -> Segment:
        finished = self.finished  # before its size, which then stays as it is
        return Segment(self.path, self.size, finished)


@dataclass(frozen=True, slots=True)
class Reading:
    """Payloads with the offset after each; `end` is how far the data is used up, `bad` how many
    of its bytes belong to no whole record."""

    payloads: tuple[tuple[bytes, int], ...]
    end: int
    bad: int


class Spool:
    """One process's spool. `append` belongs to one thread, `forget` to one other."""

    def __init__(
        self, owner: Owner, *, segment_bytes: int = 8 << 20, cap_bytes: int = 1 << 30
    ) -> None:
        """`cap_bytes` bounds what may wait on disk; a segment is at most a quarter of it."""
        self._owner = owner
        self._segment_bytes = max(1, min(segment_bytes, cap_bytes // 4))
        self._cap = cap_bytes
        self._files: dict[Path, _File] = {}
        self._current: _File | None = None
        self._fd = -1
        self._number = 0
        self._removed = 0
        self._full = False
        self.position = 0
        """Bytes ever appended."""
        self.dropped_cap = 0
        """Records refused because the spool was at its cap."""
        self.dropped_disk = 0
        """Records that the disk would not take."""

    @property
    def on_disk(self) -> int:
        """Bytes on disk now."""
        return self.position - self._removed

    def append(self, payload: bytes, *, anew: bool = True) -> bool:
        """Write one record; False when it was refused, which is counted unless it is not `anew`.
        Never raises OSError."""
        data = frame(payload)
        if self.on_disk + len(data) > self._cap or len(payload) > LONGEST:
            self.dropped_cap += anew
            self._alarm(f"the spool is at its cap of {self._cap} bytes")
            return False
        try:
            self._write(data)
        except OSError as error:
            self.dropped_disk += anew
            self._alarm(f"the disk refuses: {error}")
            return False
        if self._full:
            self._full = False
            _log.warning("The ledger's spool takes rows again.")
        return True

    def segments(self) -> list[Segment]:
        """List what is on disk, oldest first."""
        return [file.seen() for file in list(self._files.values())]

    def forget(self, segment: Segment) -> None:
        """Remove a segment whose every record is safe elsewhere."""
        segment.path.unlink(missing_ok=True)
        if self._files.pop(segment.path, None) is not None:
            self._removed += segment.size

    def close(self) -> None:
        """Write no more; the last segment counts as finished from here on."""
        if self._current is not None:
            os.close(self._fd)
            self._current.finished = True
            self._current = None

    def _write(self, data: bytes) -> None:
        current = self._current
        if current is None or current.size >= self._segment_bytes:
            current = self._rotate()
        try:
            written = os.write(self._fd, data)
            if written < len(data):
                raise OSError(f"only {written} of {len(data)} bytes fitted")
        except OSError:
            self._cut_back(current)
            raise
        current.size += len(data)
        self.position += len(data)

    def _rotate(self) -> _File:
        path = self._owner.segment(self._number + 1)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC
        fd = os.open(path, flags, 0o600)
        self.close()
        self._number += 1
        self._fd = fd
        current = self._current = self._files[path] = _File(path)
        return current

    def _cut_back(self, file: _File) -> None:
        """Take a half-written record back; where even that fails, begin a new segment."""
        try:
            os.ftruncate(self._fd, file.size)
        except OSError:
            self.close()

    def _alarm(self, why: str) -> None:
        if not self._full:
            self._full = True
            _log.error("Ledger rows are being dropped, serving goes on: %s", why)


def frame(payload: bytes) -> bytes:
    """Put length and checksum before a record."""
    return _HEAD.pack(MAGIC, len(payload), zlib.crc32(payload)) + payload


def unframe(data: bytes, *, final: bool) -> Reading:
    """Split data that begins at a frame's start into records.

    What follows the last whole record waits for more data, unless the data is `final`: then it
    is torn. Damage in the middle costs the records it touches, not those after it.
    """
    payloads: list[tuple[bytes, int]] = []
    at = bad = 0
    while at < len(data):
        state, end = _frame_end(data, at)
        if state == "short" and not final:
            break
        if state == "whole":
            payloads.append((data[at + _HEAD.size : end], end))
        else:
            end = data.find(MAGIC, at + 1)
            end = len(data) if end < 0 else end
            bad += end - at
        at = end
    return Reading(tuple(payloads), at, bad)


def _frame_end(data: bytes, at: int) -> tuple[str, int]:
    """Say whether the frame at `at` is whole, short or broken, and where it ends."""
    if len(data) - at < _HEAD.size:
        return "short", at
    magic, size, checksum = _HEAD.unpack_from(data, at)
    end = at + _HEAD.size + size
    if magic != MAGIC or size > LONGEST:
        return "broken", at
    if end > len(data):
        return "short", at
    return ("whole" if zlib.crc32(data[at + _HEAD.size : end]) == checksum else "broken"), end


def read_segment(segment: Segment, offset: int, most: int) -> Reading:
    """Read records from `offset` on: about `most` bytes of them, and one at least."""
    with segment.path.open("rb") as file:
        while True:
            file.seek(offset)
            data = file.read(min(most, segment.size - offset))
            final = offset + len(data) >= segment.size or not data
            reading = unframe(data, final=final)
            if reading.end or final:
                return reading
            most *= 2
