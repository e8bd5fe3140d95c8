"""The columns of the ledger's tables, layout by layout.

A new column is a line under the newest layout in `ADDED`, if that has not been published yet, else
under one more: rows, migrations, exports and what is read of an older spool follow from it. Columns
that are added need a default, or may be null: older rows have that. Money is in nano-dollars;
`started_at` is a UNIX time in seconds, other times are seconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

Columns = Mapping[str, str]
_FIRST: Final[Mapping[str, Columns]] = {
    "request": {
        "entry_id": "TEXT NOT NULL UNIQUE",
        "request_id": "TEXT NOT NULL",
        "started_at": "REAL NOT NULL",
        "route": "TEXT NOT NULL",
        "mode": "TEXT NOT NULL",
        "api": "TEXT NOT NULL",
        "stream": "INTEGER NOT NULL",
        "key": "TEXT NOT NULL",
        "session": "TEXT NOT NULL",
        "requested_model": "TEXT NOT NULL",
        "status": "INTEGER NOT NULL",
        "outcome": "TEXT NOT NULL",
        "tier": "TEXT NOT NULL",
        "start_tier": "TEXT NOT NULL",
        "start_reason": "TEXT NOT NULL",
        "reason": "TEXT NOT NULL",
        "escalated": "INTEGER NOT NULL",
        "degraded": "INTEGER NOT NULL",
        "difficulty": "REAL",
        "gain": "REAL",
        "p_good": "TEXT NOT NULL",
        "scorer": "TEXT NOT NULL",
        "threshold": "REAL",
        "prompt_tokens": "INTEGER NOT NULL",
        "cached_tokens": "INTEGER NOT NULL",
        "completion_tokens": "INTEGER NOT NULL",
        "reasoning_tokens": "INTEGER NOT NULL",
        "estimated": "INTEGER NOT NULL",
        "cost": "INTEGER NOT NULL",
        "discarded_cost": "INTEGER NOT NULL",
        "baseline_tier": "TEXT NOT NULL",
        "baseline_cost": "INTEGER NOT NULL",
        "seconds": "REAL",
        "first_token": "REAL",
        "overhead": "REAL",
        "decision": "REAL",
        "config": "TEXT NOT NULL",
        "escalations": "TEXT NOT NULL",
        "schema": "INTEGER NOT NULL",
    },
    "attempt": {
        "request": "INTEGER NOT NULL",
        "seq": "INTEGER NOT NULL",
        "tier": "TEXT NOT NULL",
        "recipe": "TEXT NOT NULL",
        "served": "INTEGER NOT NULL",
        "failure": "TEXT NOT NULL",
        "verdict": "TEXT NOT NULL",
        "reason": "TEXT NOT NULL",
        "confidence": "REAL",
        "late_verdict": "TEXT NOT NULL",
        "left": "INTEGER NOT NULL",
        "bare": "INTEGER NOT NULL",
        "released": "INTEGER NOT NULL",
        "cost": "INTEGER NOT NULL",
        "price_version": "TEXT NOT NULL",
    },
    "call": {
        "call_id": "TEXT PRIMARY KEY",
        "request": "INTEGER NOT NULL",
        "entry_id": "TEXT NOT NULL",
        "attempt": "INTEGER",
        "seq": "INTEGER NOT NULL",
        "purpose": "TEXT NOT NULL",
        "tier": "TEXT NOT NULL",
        "upstream": "TEXT NOT NULL",
        "model": "TEXT NOT NULL",
        "recipe": "TEXT NOT NULL",
        "status": "TEXT NOT NULL",
        "error": "TEXT NOT NULL",
        "bare": "INTEGER NOT NULL",
        "started_at": "REAL NOT NULL",
        "seconds": "REAL",
        "first_token": "REAL",
        "prompt_tokens": "INTEGER NOT NULL",
        "cached_tokens": "INTEGER NOT NULL",
        "cache_write_tokens": "INTEGER NOT NULL",
        "completion_tokens": "INTEGER NOT NULL",
        "reasoning_tokens": "INTEGER NOT NULL",
        "estimated": "INTEGER NOT NULL",
        "cost": "INTEGER NOT NULL",
    },
    "check_result": {
        "request": "INTEGER NOT NULL",
        "attempt": "INTEGER NOT NULL",
        "seq": "INTEGER NOT NULL",
        "check": "TEXT NOT NULL",
        "result": "TEXT NOT NULL",
        "reason": "TEXT NOT NULL",
        "confidence": "REAL",
        "seconds": "REAL NOT NULL",
        "cost": "INTEGER NOT NULL",
    },
}
_YES_OR_NO = "INTEGER NOT NULL DEFAULT 0"
_TEXT = "TEXT NOT NULL DEFAULT ''"
ADDED: Final[Mapping[int, Mapping[str, Columns]]] = {
    2: {
        # `score` is what `difficulty` is the rank of.
        "request": {
            "score": "REAL",
            "profile": _TEXT,
            "unlike": "INTEGER",
            "candidate": _TEXT,
            "candidate_score": "REAL",
            "candidate_value": "REAL",
        },
    },
    3: {
        # `decided` is JSON, see core/decided.py.
        "request": {
            "policy_start": _TEXT,
            "policy_reason": _TEXT,
            "decided": "TEXT",
            "shadow_cost": "INTEGER NOT NULL DEFAULT 0",
            "met": "INTEGER",
            "candidate_met": "INTEGER",
        },
        "attempt": {
            "broken": _YES_OR_NO,
            "altered": _YES_OR_NO,
            "fallen": _YES_OR_NO,
            "shadow": _YES_OR_NO,
            "rival": _YES_OR_NO,
        },
        "check_result": {"broken": _YES_OR_NO},
    },
    4: {
        "request": {
            "check_cost": "INTEGER",
            "score_cost": "INTEGER",
            "gateway_cost": "INTEGER",
            "cache_write_tokens": "INTEGER",
            "attempt_count": "INTEGER",
            "call_count": "INTEGER",
            "finish_reason": _TEXT,
            "propensity": "REAL",
            "baseline_policy": _TEXT,
            "baseline_basis": _TEXT,
            "baseline_prompt_tokens": "INTEGER",
            "baseline_cached_tokens": "INTEGER",
            "baseline_completion_tokens": "INTEGER",
            "baseline_price_hash": _TEXT,
        },
        "attempt": {"price_hash": _TEXT},
        "call": {
            "cache_write_1h_tokens": "INTEGER",
            "audio_input_tokens": "INTEGER",
            "audio_output_tokens": "INTEGER",
            "image_input_tokens": "INTEGER",
            "image_output_tokens": "INTEGER",
            "service_tier": _TEXT,
            "rate": _TEXT,
            "price_version": _TEXT,
            "price_hash": _TEXT,
            "input_cost": "INTEGER",
            "cached_input_cost": "INTEGER",
            "cache_write_cost": "INTEGER",
            "output_cost": "INTEGER",
            "request_cost": "INTEGER",
            "reasoning_cost": "INTEGER",
            "audio_cost": "INTEGER",
            "image_cost": "INTEGER",
        },
    },
    # What was dropped and renamed for the tier, in the words of core/accepts.py.
    6: {"attempt": {"fitted": _TEXT}},
    8: {
        # `trace_id` is the client's; without one, a trace goes by the entry's own id.
        "request": {"trace_id": _TEXT, "prompt_hash": _TEXT},
        "call": {"provider_request_id": _TEXT},
    },
}


def _whole(table: str) -> dict[str, str]:
    """A table's columns, in the order in which its rows are written."""
    columns = dict(_FIRST[table])
    for added in ADDED.values():
        columns |= added.get(table, {})
    return columns


def blanks(table: str) -> dict[str, str | int | None]:
    """What a record that an older version has left in its spool lacks of a table's columns."""
    return {
        name: "" if kind.endswith("''") else 0 if kind.endswith(" 0") else None
        for added in ADDED.values()
        for name, kind in added.get(table, {}).items()
    }


def alterations(layout: int) -> tuple[str, ...]:
    """Write the SQL that adds a layout's columns to the tables of the one before."""
    return tuple(
        f"ALTER TABLE {table} ADD COLUMN {name} {kind}"
        for table, columns in ADDED.get(layout, {}).items()
        for name, kind in columns.items()
    )


TABLES: Final = {table: _whole(table) for table in _FIRST}
SAID: Final = {
    "request": (),
    "attempt": ("request", "seq"),
    "call": ("request", "attempt", "seq", "entry_id", "recipe", "purpose"),
    "check_result": ("request", "attempt", "seq"),
}
"""The columns that say where a row belongs; its part of a record has the others."""
OWN: Final = {
    table: tuple(name for name in columns if name not in SAID[table])
    for table, columns in TABLES.items()
}
ORDER: Final = {table: (*SAID[table], *own) for table, own in OWN.items()}
"""Each table's columns as its whole rows are written."""
