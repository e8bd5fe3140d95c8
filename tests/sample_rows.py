"""What the ledger keeps of entries, for tests: with every column, and as the spool has it."""

from __future__ import annotations

import orjson

from gateway.core.blank_rows import ATTEMPT, CALL, CHECK, REQUEST
from gateway.core.rows import row
from gateway.store.encode import encode
from gateway.store.flatten import record_of

PARTS = ("calls", "checking")


def whole_row(entry):
    """An entry's row with what it leaves out, its attempts and calls among its columns."""
    made = row(entry)
    return {
        **REQUEST,
        "p_good": [],
        "escalations": [],
        **made["request"],
        "attempts": list(map(_attempt, made["attempts"])),
        "scoring": [CALL | each for each in made.get("scoring", ())],
        "prompt": made.get("prompt"),
        "decided": made.get("decided"),
    }


def record(entry):
    """The same as the ledger's writer reads it."""
    return record_of(encode(row(entry)))


def older(entry):
    """The same as versions before records left anything out wrote it to their spool."""
    made = orjson.loads(encode(whole_row(entry)))
    made["decided"] = made.pop("decided")  # the last
    attempts = made["attempts"]
    calls = [each for one in attempts for name in PARTS for each in one[name]]
    for each in (*made["scoring"], *calls):
        each["started"] = each.pop("started_at") - made["started_at"]
    return made


def _attempt(made):
    calls = {name: [CALL | each for each in made.get(name, ())] for name in PARTS}
    return {**ATTEMPT, **made["attempt"], **calls, "checks": [CHECK | c for c in made["checks"]]}
