"""The request log: one line for each request, as JSON or for a person; it never waits for a reader.

A line holds no prompt, no reply and no secret, and nothing in it can move a terminal's cursor.
"""

from __future__ import annotations

import json
import logging
import os
import re
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import lru_cache
from select import PIPE_BUF
from typing import Any, Final

import orjson

from gateway.core.ledger import Entry, Refusal
from gateway.core.money import dollars
from gateway.core.outcome import Attempt
from gateway.core.rows import rounded

_log = logging.getLogger(__name__)

BUFFER_LINES = 2_000
EVERY_SECONDS = 0.1
BATCH = 32
"""Lines made in one go."""
LONGEST = 128
"""Characters kept of what a client chose: ids, model names."""

_LINE: Final[dict[str, Any]] = dict.fromkeys(
    (
        *("time", "request_id", "entry_id", "route", "model", "tier", "status", "outcome"),
        *("reason", "start", "start_reason", "difficulty", "threshold", "mode", "stream", "key"),
        *("session", "escalated", "degraded", "prompt_tokens", "completion_tokens", "estimated"),
        *("cost_usd", "baseline_usd", "seconds", "first_token_seconds", "overhead_seconds"),
        *("attempts", "config"),
    )
)
"""The names of a line."""
# What JSON leaves alone and a terminal may obey: DEL, C1 controls, line and direction marks.
_UNSAFE = re.compile("[\x7f-\x9f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069]")
_CONTROL = re.compile("[\x00-\x1f]|" + _UNSAFE.pattern)


class RequestLog:
    """Makes and writes lines in a thread of its own; `write` is a sink. A full buffer drops lines.

    The thread looks for itself, ten times a second: waking it would cost a request more than
    everything else here. It rests while there is nothing, and the first line after that wakes it.
    """

    def __init__(
        self,
        form: Callable[[Entry | Refusal], bytes],
        descriptor: int = 1,
        most: int = BUFFER_LINES,
    ) -> None:
        """`form` is json_line or human_line; `descriptor` an open file's, stdout's by default.

        The descriptor rather than the stream: a thread stuck in a stream's write would hold its
        lock, and with it the interpreter's end.
        """
        self._form = form
        self._descriptor = descriptor
        self._most = most
        self._entries: deque[Entry | Refusal] = deque()
        self._closing = threading.Event()
        self._woken = threading.Event()
        self._resting = False
        self.dropped = 0
        """Lines lost to a reader that is too slow, or gone, or that could not be made."""
        self._failed = False
        self._thread = threading.Thread(target=self._run, name="request-log", daemon=True)
        self._thread.start()

    def write(self, entry: Entry | Refusal) -> None:
        """Log one finished request, or one that was turned away."""
        if len(self._entries) >= self._most:
            self.dropped += 1
        else:
            self._entries.append(entry)
            if self._resting:
                self._resting = False
                self._woken.set()

    def close(self, timeout: float = 2.0) -> None:
        """Write what is buffered, unless the reader takes longer than `timeout` seconds."""
        self._closing.set()
        self._woken.set()
        self._thread.join(timeout)

    def _run(self) -> None:
        closing = False
        while not closing:
            self._rest()
            closing = self._closing.wait(EVERY_SECONDS)
            while waiting := len(self._entries):
                began = time.monotonic()
                count = min(waiting, BATCH)
                lines = [self._line(self._entries.popleft()) for _ in range(count)]
                for piece in _pieces(lines):
                    self._write_out(piece)
                if BATCH < waiting < self._most // 2:  # else that was all, or lines pile up
                    time.sleep(min(time.monotonic() - began, EVERY_SECONDS))  # let others work

    def _rest(self) -> None:
        """Wait for a line, or for the end, where there is neither."""
        self._woken.clear()
        self._resting = True  # before it looks: a line that comes behind the look wakes it
        if not self._entries and not self._closing.is_set():
            self._woken.wait()
        self._resting = False

    def _write_out(self, lines: list[bytes]) -> None:
        try:
            _write_all(self._descriptor, b"".join(lines))
        except OSError:  # the reader has gone
            self.dropped += sum(map(bool, lines))

    def _line(self, record: Entry | Refusal) -> bytes:
        """Form a line; b"", counted as dropped, of what cannot be formed."""
        try:
            return self._form(record)
        except Exception:  # noqa: BLE001 - one line is lost, not the log with its thread
            self.dropped += 1
            if not self._failed:
                self._failed = True
                _log.exception("A line of the request log could not be made; others are counted.")
            return b""


def json_line(record: Entry | Refusal) -> bytes:
    """Write a record as one line of JSON; money as an exact decimal string in dollars."""
    line = _refused(record) if isinstance(record, Refusal) else _finished(record)
    try:
        text = orjson.dumps(line)
    except TypeError:  # a lone surrogate, which UTF-8 cannot hold
        text = json.dumps(line, ensure_ascii=False).encode("utf-8", "replace")
    if not text.isascii() or b"\x7f" in text:
        text = _UNSAFE.sub(lambda match: f"\\u{ord(match[0]):04x}", text.decode()).encode()
    return text + b"\n"


def human_line(record: Entry | Refusal) -> bytes:
    """Write a record as one line for a person."""
    text = _refusal(record) if isinstance(record, Refusal) else _in_words(record)
    safe = _CONTROL.sub(lambda match: f"\\u{ord(match[0]):04x}", text)
    return safe.encode("utf-8", "replace") + b"\n"


def _refused(refused: Refusal) -> dict[str, Any]:
    return {
        "time": _time(refused.at),
        "request_id": refused.request_id[:LONGEST],
        "status": refused.status,
        "outcome": "refused",
        "reason": refused.code[:LONGEST],
    }


def _refusal(refused: Refusal) -> str:
    told = f"{refused.status} refused {refused.code[:LONGEST]} {refused.request_id[:LONGEST]}"
    return f"{_time(refused.at)[11:19]} {told}"


def _finished(entry: Entry) -> dict[str, Any]:
    origin, outcome, timing = entry.origin, entry.outcome, entry.timing
    difficulty, usage = entry.difficulty, entry.usage
    line = _LINE.copy()  # in its order, and quicker than a display: see core/blank_rows.py
    line["time"] = _time(origin.started_at)
    line["request_id"] = origin.request_id[:LONGEST]
    line["entry_id"] = origin.entry_id
    line["route"] = entry.route
    line["model"] = origin.requested_model[:LONGEST]
    line["tier"] = entry.served_tier
    line["status"] = entry.status
    line["outcome"] = entry.ending
    line["reason"] = entry.reason
    line["start"] = entry.start_tier
    line["start_reason"] = entry.start_reason
    if difficulty is not None:
        line["difficulty"] = difficulty.value
    line["threshold"] = entry.threshold
    line["mode"] = entry.mode
    line["stream"] = origin.stream
    line["key"] = origin.key
    line["session"] = origin.session[:LONGEST]
    line["escalated"] = outcome.escalated
    line["degraded"] = outcome.degraded
    line["prompt_tokens"] = usage.prompt
    line["completion_tokens"] = usage.completion
    line["estimated"] = usage.estimated
    line["cost_usd"] = dollars(entry.cost)
    line["baseline_usd"] = dollars(entry.baseline.cost)
    line["seconds"] = rounded(timing.total)
    if timing.first_token is not None:
        line["first_token_seconds"] = rounded(timing.first_token)
    line["overhead_seconds"] = rounded(timing.overhead)
    line["attempts"] = [_attempt(attempt, entry) for attempt in outcome.attempts]
    line["config"] = entry.config
    return line


def _in_words(entry: Entry) -> str:
    tried = " → ".join(_tried(attempt, entry) for attempt in entry.outcome.attempts) or "no call"
    hard = f" difficulty {entry.difficulty.value:.2f}" if entry.difficulty else ""
    degraded = " degraded" if entry.outcome.degraded else ""
    return (
        f"{_time(entry.origin.started_at)[11:19]} {entry.status} {entry.ending}{degraded} "
        f"{entry.route}:{hard} {tried} {entry.timing.total:.3f} s "
        f"${dollars(entry.cost)} (baseline ${dollars(entry.baseline.cost)}) "
        f"{entry.origin.request_id[:LONGEST]}"
    )


def _pieces(lines: list[bytes]) -> Iterator[list[bytes]]:
    """Split lines into what a pipe takes as a whole, so that the lines of several processes that
    write into one do not mix; a line longer than that is on its own."""
    piece: list[bytes] = []
    size = 0
    for line in lines:
        if piece and size + len(line) > PIPE_BUF:
            yield piece
            piece, size = [], 0
        piece.append(line)
        size += len(line)
    if piece:
        yield piece


def _write_all(descriptor: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def _attempt(attempt: Attempt, entry: Entry) -> dict[str, Any]:
    return {
        "tier": attempt.tier.name,
        "recipe": attempt.tier.recipe.label if attempt.tier.recipe else None,
        "calls": len(attempt.calls),
        "result": _result(attempt, entry),
        "confidence": attempt.verdict.confidence if attempt.verdict else None,
        "cost_usd": dollars(attempt.spent),
    }


def _tried(attempt: Attempt, entry: Entry) -> str:
    result = _result(attempt, entry)
    return attempt.tier.name if result == "served" else f"{attempt.tier.name} ({result})"


def _result(attempt: Attempt, entry: Entry) -> str:
    if attempt is entry.outcome.served:
        return "served"
    if attempt.failure is not None:
        return attempt.failure.kind
    if attempt.verdict is not None:
        return attempt.verdict.reason
    if attempt.outrun and not entry.outcome.cancelled:
        return "outrun"
    return "cancelled" if entry.outcome.cancelled else "unjudged"


def _time(started_at: float) -> str:
    second, milli = divmod(round(started_at * 1e6) // 1000, 1000)
    return f"{_second(second)}.{milli:03d}+00:00"


@lru_cache(16)
def _second(second: int) -> str:
    """Write a whole second: many lines share it, and it takes a tenth of what a line does."""
    return datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%S")
