"""A record of the spool as rows of the ledger's tables."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from operator import itemgetter
from typing import Any, Final

import orjson

from gateway.store.columns import TABLES, blanks
from gateway.store.encode import encode

Row = tuple[Any, ...]
"""One row, in its table's order."""
_SAID: Final = {
    "request": (),
    "attempt": ("request", "seq"),
    "call": ("request", "attempt", "seq", "entry_id", "started_at", "recipe", "purpose"),
    "check_result": ("request", "attempt", "seq"),
}
"""The columns that say where a row belongs; its part of the record has the others."""
_PACKED: Final = ("p_good", "escalations", "decided")
"""A request's columns that hold JSON."""
_OWN: Final = {
    table: tuple(name for name in columns if name not in (*_SAID[table], *_PACKED))
    for table, columns in TABLES.items()
}
ORDER: Final = {
    table: (*_SAID[table], *own, *(_PACKED if table == "request" else ()))
    for table, own in _OWN.items()
}
"""Each table's columns as its rows are written here."""
_DECIDED: Final = b',"decided":{'
_NOTHING: Final = "[]"


def record_of(payload: bytes) -> dict[str, Any] | None:
    """Read a record out of the spool; None where it is none.

    What a request was decided on is a third of its record, and half of what reading it takes; it
    stays the text that it is. It comes last (`core.rows.row`), and the bytes that it begins with
    are nowhere in a string of JSON, where a quote has a backslash before it.
    """
    head, found, decided = payload.partition(_DECIDED)
    try:
        record = orjson.loads(head + b"}" if found else payload)
        if found:
            record["decided"] = "{" + decided[:-1].decode()
    except ValueError:
        return None
    return record if isinstance(record, dict) else None


def columns_of(columns: Iterable[str], values: Mapping[str, Any], **more: object) -> Row:
    """Order a row's values as its table wants them."""
    whole = {**values, **more}
    return tuple(map(whole.__getitem__, columns))


def reading(
    columns: Iterable[str], lacking: Mapping[str, object]
) -> Callable[[dict[str, Any]], Row]:
    """Make what reads columns out of a record's part; `lacking` is what a version before this one
    has not written there."""
    # By the very strings that orjson keeps for names that it reads, which are found without being
    # compared: half of what looking them up takes.
    known = orjson.loads(encode(dict.fromkeys(columns)))
    own: Callable[[dict[str, Any]], Row] = itemgetter(*known)

    def read(values: dict[str, Any]) -> Row:
        try:
            return own(values)
        except KeyError:
            return own({**lacking, **values})

    return read


_request, _attempt, _call, _check = (reading(own, blanks(name)) for name, own in _OWN.items())


def request_values(record: dict[str, Any]) -> Row:
    """Order a request's own values."""
    odds, moves, decided = record["p_good"], record["escalations"], record.get("decided")
    return (
        *_request(record),
        _packed(odds) if odds else _NOTHING,
        _packed(moves) if moves else _NOTHING,
        _packed(decided) if decided else None,
    )


def _packed(value: object) -> str:
    # By orjson: the standard library's took a quarter of what writing a row does.
    return value if isinstance(value, str) else encode(value).decode()


def prompt_of(record: dict[str, Any]) -> Iterator[Row]:
    """Yield what is kept of the prompt, if anything is."""
    if record.get("prompt") is not None:
        signals = json.dumps(record["prompt"], ensure_ascii=False)
        yield record["entry_id"], record["started_at"], signals


def attempt_values(attempt: dict[str, Any], request: int, number: int) -> Row:
    """Order an attempt's values; `number` is its place among the request's."""
    return (request, number, *_attempt(attempt))


def checks_of(request: int, number: int, attempt: dict[str, Any]) -> list[Row]:
    """List the rows of an attempt's checks."""
    checks = enumerate(attempt["checks"])
    return [(request, number, seq, *_check(check)) for seq, check in checks]


def calls_of(
    record: dict[str, Any],
    request: int,
    number: int,
    attempt: dict[str, Any],
    purpose: str = "serve",
) -> list[Row]:
    """List the rows of an attempt's calls, its checks' too."""
    calls, known, began = attempt["calls"], record["entry_id"], record["started_at"]
    recipe = attempt["recipe"]
    rows: list[Row] = [
        (request, number, seq, known, began + call["started"], recipe, purpose, *_call(call))
        for seq, call in enumerate(calls)
    ]
    # A spool that the version before this one has left knows no calls of checks.
    if checking := attempt.get("checking"):
        rows += [
            (request, number, seq, known, began + call["started"], "", "check", *_call(call))
            for seq, call in enumerate(checking, start=len(calls))
        ]
    return rows


def scoring_of(record: dict[str, Any], request: int) -> list[Row]:
    """List the rows of the scorer's own calls."""
    known, began = record["entry_id"], record["started_at"]
    # A spool that the version before this one has left knows no such calls.
    return [
        (request, None, seq, known, began + call["started"], "", "score", *_call(call))
        for seq, call in enumerate(record.get("scoring", ()))
    ]


def shadow_cost(calls: Iterable[dict[str, Any]]) -> int:
    """Add up what shadows' calls among these have cost, in nano-dollars."""
    return sum(call["cost"] for call in calls if call["purpose"] == "shadow")
