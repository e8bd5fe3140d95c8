"""A record of the spool as rows of the ledger's tables."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any

from gateway.store.encode import encode
from gateway.store.schema import (
    ADDED_TO_CALL,
    ADDED_TO_CHECK,
    ADDED_TO_REQUEST,
    CALL,
    CHECK_RESULT,
    REQUEST,
)

Row = tuple[Any, ...]
"""One row, in its table's order."""


def checks_of(request: int, number: int, attempt: dict[str, Any]) -> Iterator[Row]:
    """Yield the rows of an attempt's checks."""
    for seq, check in enumerate(attempt["checks"]):
        whole = ADDED_TO_CHECK | check
        yield columns_of(CHECK_RESULT, whole, request=request, attempt=number, seq=seq)


def columns_of(columns: Iterable[str], values: dict[str, Any], **more: object) -> Row:
    """Order a row's values as its table wants them."""
    whole = values | more
    return tuple(map(whole.__getitem__, columns))


def request_values(record: dict[str, Any]) -> Row:
    """Order a request's own values."""
    # By orjson: the standard library's took a quarter of what writing a row does.
    packed: dict[str, str | None] = {
        name: encode(record[name]).decode() for name in ("p_good", "escalations")
    }
    decided = record.get("decided")
    packed["decided"] = encode(decided).decode() if decided else None
    whole = ADDED_TO_REQUEST | record | packed
    return tuple(map(whole.__getitem__, REQUEST))


def prompt_of(record: dict[str, Any]) -> Iterator[Row]:
    """Yield what is kept of the prompt, if anything is."""
    if record.get("prompt") is not None:
        signals = json.dumps(record["prompt"], ensure_ascii=False)
        yield record["entry_id"], record["started_at"], signals


def calls_of(
    record: dict[str, Any],
    request: int,
    number: int,
    attempt: dict[str, Any],
    purpose: str = "serve",
) -> Iterator[Row]:
    """Yield the rows of an attempt's calls, its checks' too."""
    for seq, call in enumerate(attempt["calls"]):
        where = {"attempt": number, "seq": seq, "recipe": attempt["recipe"]}
        yield _call(record, request, call | where | {"purpose": purpose})
    # A spool that the version before this one has left knows no calls of checks.
    for seq, call in enumerate(attempt.get("checking", ()), start=len(attempt["calls"])):
        where = {"attempt": number, "seq": seq, "recipe": ""}
        yield _call(record, request, call | where | {"purpose": "check"})


def scoring_of(record: dict[str, Any], request: int) -> Iterator[Row]:
    """Yield the rows of the scorer's own calls."""
    # A spool that the version before this one has left knows no such calls.
    for seq, call in enumerate(record.get("scoring", ())):
        where = {"attempt": None, "seq": seq, "recipe": ""}
        yield _call(record, request, call | where | {"purpose": "score"})


def _call(record: dict[str, Any], request: int, call: dict[str, Any]) -> Row:
    started_at = record["started_at"] + call["started"]
    whole = ADDED_TO_CALL | call
    return columns_of(
        CALL, whole, request=request, entry_id=record["entry_id"], started_at=started_at
    )


def shadow_cost(calls: Iterable[dict[str, Any]]) -> int:
    """Add up what shadows' calls among these have cost, in nano-dollars."""
    return sum(call["cost"] for call in calls if call["purpose"] == "shadow")
