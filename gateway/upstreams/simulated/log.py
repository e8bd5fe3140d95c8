"""The provider's own log: one line a call, written before the answer and again at its end."""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from time import perf_counter
from typing import Any

import orjson

OPEN = "open"
COMPLETE = "complete"
CLOSED_BY_PEER = "closed_by_peer"
DECLINED = "declined"
_KEEP = 200_000


@dataclass(slots=True)
class Line:
    """One call.

    `outcome` is open, complete, closed_by_peer, declined (the request was refused with `status`),
    or the name of the fault that ended it; `fault` is the one scripted, whoever ended it.
    `tokens` are those generated, `usage` what the peer was told, None when it was not.
    `closed_after_ms` counts from the last byte written (from the request, when none was).
    `received_at` is UNIX seconds; `seconds` is how long it took. `user` is the body's own: what a
    client put there passes every gateway, so that its calls can be told apart.
    """

    id: str
    model: str
    stream: bool
    received_at: float
    request_id: str | None = None
    outcome: str = OPEN
    fault: str | None = None
    status: int | None = None
    tokens: int = 0
    usage: Mapping[str, Any] | None = None
    closed_after_ms: float | None = None
    seconds: float | None = None
    user: str | None = None


class CallLog:
    """Keeps the last 200,000 lines in memory, and writes every one to a file if there is one.

    In the file a call has two lines with the same id, the later being the whole story; each is
    handed to the kernel at once, so that a killed process loses none.
    """

    def __init__(self, path: Path | None = None) -> None:
        """Append to the file at `path`. Raises OSError when it cannot be opened."""
        self._lines: dict[str, Line] = {}
        self._began: dict[str, float] = {}
        self._prefix = secrets.token_hex(4)
        self._count = 0
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
        self._file = os.open(path, flags, 0o600) if path else None

    def open(
        self, model: str, *, stream: bool, request_id: str | None = None, user: str | None = None
    ) -> Line:
        """Write down that a call has come."""
        self._count += 1
        name = f"{self._prefix}-{self._count}"
        line = Line(name, model, stream, _now(), request_id, user=user)
        self._lines[line.id] = line
        self._began[line.id] = perf_counter()
        if len(self._lines) > _KEEP:
            del self._lines[next(iter(self._lines))]
        self._write(line)
        return line

    def end(self, line: Line, outcome: str) -> None:
        """Write down how it ended; the first ending counts."""
        if line.outcome == OPEN:
            line.outcome = outcome
            line.seconds = round(perf_counter() - self._began.pop(line.id), 6)
            self._write(line)

    def lines(self) -> list[dict[str, Any]]:
        """Return every call kept, in order of arrival."""
        return [asdict(line) for line in self._lines.values()]

    def reset(self) -> None:
        """Forget every call; the file keeps them."""
        self._lines.clear()

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def _write(self, line: Line) -> None:
        if self._file is not None:
            os.write(self._file, orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE))


def _now() -> float:
    return datetime.now(tz=UTC).timestamp()


def read_log(path: Path) -> list[dict[str, Any]]:
    """Read a log's file: each call's last line, in order of arrival. Raises OSError."""
    calls: dict[str, dict[str, Any]] = {}
    for text in path.read_bytes().splitlines():
        line = orjson.loads(text)
        calls[line["id"]] = line
    return list(calls.values())
