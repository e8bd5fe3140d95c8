"""A record of the spool as rows of the ledger's tables."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from operator import itemgetter
from typing import Any, Final

import orjson

from gateway.core import blank_rows
from gateway.store.columns import OWN, SAID, TABLES
from gateway.store.encode import encode
from gateway.store.older_records import renewed

Row = tuple[Any, ...]
"""One row, in its table's order."""
Part = tuple[str, Row, dict[str, Any]]
"""A row as a record has it: its table, what says where it belongs (by `columns.SAID`), and the rest
by its columns' names, without those that are as `BLANKS` has them."""
BLANKS: Final[Mapping[str, Mapping[str, Any]]] = {
    "request": blank_rows.REQUEST,
    "attempt": blank_rows.ATTEMPT,
    "call": blank_rows.CALL,
    "check_result": blank_rows.CHECK,
}
_PACKED: Final = ("p_good", "escalations")
"""A request's columns that hold JSON, beside what it was decided on."""
_DECIDED: Final = b',"decided":{'


def record_of(payload: bytes) -> dict[str, Any] | None:
    """Read a record out of the spool, whichever version wrote it; None where it is none.

    What it returns is as `core.rows.row` has it, but that a request's own row holds as text what
    its table does. What a request was decided on is a third of its record, and half of what reading
    it takes; it stays the text that it is. It comes last, and the bytes that it begins with
    are nowhere in a string of JSON, where a quote has a backslash before it.
    """
    head, found, decided = payload.partition(_DECIDED)
    try:
        record: Any = orjson.loads(head + b"}" if found else payload)
        if "request" not in record and "shadow" not in record:
            record = renewed(record)
        read: dict[str, Any] = record
        _pack(read, "{" + decided[:-1].decode() if found else None)
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
    return read


def _pack(record: dict[str, Any], decided: str | None) -> None:
    if "request" not in record:
        return
    own = record["request"]
    for name in _PACKED:
        if name in own:
            own[name] = encode(own[name]).decode()
    if decided is not None:
        own["decided"] = decided
    elif "decided" in record:  # in a record that orjson could not write, see encode
        own["decided"] = encode(record.pop("decided")).decode()


def filled(table: str, part: Mapping[str, Any]) -> Row:
    """Order a row's values as `columns.OWN` has them, with those that it leaves out. Raises
    KeyError for one that every row has."""
    return _ordered[table]({**BLANKS[table], **part})


_ordered: Final[Mapping[str, Callable[[Mapping[str, Any]], Row]]] = {
    table: itemgetter(*own) for table, own in OWN.items()
}


def known_parts(record: dict[str, Any]) -> dict[str, Any]:
    """Return a record without the columns that this version does not know: a newer one's."""
    known = dict(record)
    if "request" in record:
        known["request"] = _known("request", record["request"])
    if "scoring" in record:
        known["scoring"] = list(map(partial(_known, "call"), record["scoring"]))
    known["attempts"] = [
        {
            "attempt": _known("attempt", each["attempt"]),
            "calls": list(map(partial(_known, "call"), each["calls"])),
            "checks": list(map(partial(_known, "check_result"), each["checks"])),
            "checking": list(map(partial(_known, "call"), each.get("checking", ()))),
        }
        for each in record["attempts"]
    ]
    return known


def _known(table: str, part: Mapping[str, Any]) -> dict[str, Any]:
    return {name: part[name] for name in part if name in TABLES[table]}


def prompt_of(record: dict[str, Any]) -> Iterator[Row]:
    """Yield what is kept of the prompt, if anything is."""
    if record.get("prompt") is not None:
        own, signals = record["request"], json.dumps(record["prompt"], ensure_ascii=False)
        yield own["entry_id"], own["started_at"], signals


def parts_of(record: dict[str, Any], request: int) -> list[Part]:
    """List the rows that go with a request, by its number."""
    entry_id = record["request"]["entry_id"]
    parts: list[Part] = []
    for seq, call in enumerate(record.get("scoring", ())):
        parts.append(("call", (request, None, seq, entry_id, "", "score"), call))
    for number, attempt in enumerate(record["attempts"]):
        parts += attempt_parts(attempt, request, number, entry_id)
    return parts


def attempt_parts(
    attempt: dict[str, Any], request: int, number: int, entry_id: str, purpose: str = "serve"
) -> list[Part]:
    """List the rows of an attempt, its calls and its checks; `number` is its place among the
    request's."""
    own = attempt["attempt"]
    recipe = own.get("recipe", "")
    parts: list[Part] = [("attempt", (request, number), own)]
    seq = 0
    for call in attempt["calls"]:
        parts.append(("call", (request, number, seq, entry_id, recipe, purpose), call))
        seq += 1
    for call in attempt.get("checking", ()):
        parts.append(("call", (request, number, seq, entry_id, "", "check"), call))
        seq += 1
    for place, check in enumerate(attempt["checks"]):
        parts.append(("check_result", (request, number, place), check))
    return parts


def call_part(call: Mapping[str, Any], request: int) -> Part:
    """Return a whole row of a call as a part, of the request that it is of."""
    whole = {**call, "request": request}
    said, own = SAID["call"], OWN["call"]
    return "call", tuple(map(whole.__getitem__, said)), {name: whole[name] for name in own}


def shadow_cost(calls: Iterable[dict[str, Any]]) -> int:
    """Add up what shadows' calls among these have cost, in nano-dollars."""
    return sum(call["cost"] for call in calls if call["purpose"] == "shadow")
