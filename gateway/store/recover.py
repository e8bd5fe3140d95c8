"""What a dead process left: its spool goes into the ledger, its open calls become rows."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from gateway.store.columns import blanks
from gateway.store.connection import Inserted, Writer
from gateway.store.drain import drain_segment
from gateway.store.owner import Owner, adopt
from gateway.store.schema import CALL, REQUEST
from gateway.store.slots import Mark, read_marks
from gateway.store.spool import Segment

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Recovered:
    """What was found: spool rows, calls that had ended (exact) and that had not (estimated),
    bytes of torn records, slots that made no sense, rows that cannot be read."""

    rows: int = 0
    settled: int = 0
    unsettled: int = 0
    torn_bytes: int = 0
    torn_slots: int = 0
    malformed: int = 0

    def __add__(self, other: Recovered) -> Recovered:
        """Sum both."""
        return Recovered(
            self.rows + other.rows,
            self.settled + other.settled,
            self.unsettled + other.unsettled,
            self.torn_bytes + other.torn_bytes,
            self.torn_slots + other.torn_slots,
            self.malformed + other.malformed,
        )


def recover(folder: Path, writer: Writer) -> Recovered:
    """Take over what dead processes left in the spool's folder.

    Safe to repeat and to be killed in: files go only after what they hold is committed. The files
    of a living process are left alone. Raises the ledger's `errors` while it cannot be had.
    """
    total = Recovered()
    for owner in adopt(folder):
        try:
            found = _take_over(owner, writer)
        finally:
            owner.release()
        if found != Recovered():
            _log.warning("Recovered from %s, which did not end well: %s", owner.name, found)
        total += found
    return total


def _take_over(owner: Owner, writer: Writer) -> Recovered:
    rows, torn = Inserted(), 0
    for path in owner.segments():
        segment = Segment(path, path.stat().st_size, finished=True)
        done, bad = drain_segment(writer, segment)
        rows, torn = rows + done, torn + bad
        path.unlink()
        with writer.transaction():
            writer.forget_offset(path.name)
    found = Recovered(rows=rows.new, torn_bytes=torn, malformed=rows.malformed)
    for path in owner.marks():
        found += _recover_slots(path, writer)
        path.unlink()
    return found


def _recover_slots(path: Path, writer: Writer) -> Recovered:
    marks = read_marks(path)
    with writer.transaction():
        missing = [mark for mark in marks.marks if not writer.knows_call(mark.call.call_id)]
        missing.sort(key=lambda mark: (mark.call.entry_id, mark.call.opened_at))
        for _, group in groupby(missing, key=lambda mark: mark.call.entry_id):
            _write_request(writer, list(group))
    settled = sum(mark.settled is not None for mark in missing)
    return Recovered(settled=settled, unsettled=len(missing) - settled, torn_slots=marks.torn)


def _write_request(writer: Writer, marks: list[Mark]) -> None:
    calls = [_call_record(mark, seq) for seq, mark in enumerate(marks)]
    writer.put_calls(_request_record(marks, calls), calls)


def _call_record(mark: Mark, seq: int) -> dict[str, Any]:
    call = mark.call
    guess: dict[str, Any] = {
        "status": "unsettled",
        "error": "",
        "prompt_tokens": call.prompt_estimate,
        "completion_tokens": call.completion_estimate,
        "cached_tokens": 0,
        "cache_write_tokens": 0,
        "reasoning_tokens": 0,
        "estimated": True,
        "cost": call.cost_estimate,
        "seconds": None,
        "first_token": None,
        "bare": False,
    }
    guess = blanks("call") | guess | {"price_version": call.price_version}
    return (
        guess
        | (mark.settled or {})
        | {
            "call_id": call.call_id,
            "entry_id": call.entry_id,
            "attempt": None,
            "seq": seq,
            "purpose": call.purpose,
            "tier": call.tier,
            "upstream": call.upstream,
            "model": call.model,
            "recipe": "",
            "price_hash": call.price_hash,
            "started_at": call.opened_at,
        }
    )


def _request_record(marks: list[Mark], calls: list[dict[str, Any]]) -> dict[str, Any]:
    first = marks[0].call
    known: dict[str, Any] = {
        "entry_id": first.entry_id,
        "request_id": first.entry_id,
        "started_at": first.opened_at,
        "route": first.route,
        "outcome": "unsettled",
        "tier": "none",
        "start_tier": next((m.call.tier for m in marks if m.call.purpose == "serve"), "none"),
        "p_good": "[]",
        "escalations": "[]",
        "estimated": any(call["estimated"] for call in calls),
        "call_count": len(calls),
        "check_cost": sum(call["cost"] for call in calls if call["purpose"] == "check"),
        "score_cost": sum(call["cost"] for call in calls if call["purpose"] == "score"),
    }
    known |= {
        name: sum(call[name] for call in calls) for name in (*_total_names(REQUEST, CALL), "cost")
    }
    blanks = {name: _blank(kind) for name, kind in REQUEST.items()}
    return blanks | known


def _total_names(*tables: Iterable[str]) -> set[str]:
    return {name for name in set(tables[0]).intersection(*tables) if name.endswith("_tokens")}


def _blank(kind: str) -> str | int | None:
    if "NOT NULL" not in kind:
        return None
    return "" if kind.startswith("TEXT") else 0
