"""What the rows of the ledger's entries leave out: a column that is not in a row is as it is here.

Half of a request's columns say that something was not so: no session, no cached tokens, no failure.
Written out, they were half of what it takes to write a request down, to read that again and to put
it into a table. Columns that are not here are in every row.

A value here never changes, for rows that were written by it may still be in somebody's spool; and
that of a column that is added is its default in the table, which the rows before it have.
"""

from __future__ import annotations

from typing import Any, Final

REQUEST: Final[dict[str, Any]] = {
    "stream": False,
    "key": "",
    "session": "",
    "escalated": False,
    "degraded": False,
    "difficulty": None,
    "gain": None,
    "p_good": "[]",
    "scorer": "",
    "threshold": None,
    "score": None,
    "profile": "",
    "unlike": None,
    "met": None,
    "candidate": "",
    "candidate_score": None,
    "candidate_value": None,
    "candidate_met": None,
    "cached_tokens": 0,
    "cache_write_tokens": 0,
    "reasoning_tokens": 0,
    "estimated": False,
    "discarded_cost": 0,
    "shadow_cost": 0,
    "check_cost": 0,
    "score_cost": 0,
    "gateway_cost": 0,
    "propensity": 1.0,
    "baseline_cached_tokens": 0,
    "first_token": None,
    "trace_id": "",
    "prompt_hash": "",
    "escalations": "[]",
    "decided": None,
}
ATTEMPT: Final[dict[str, Any]] = {
    "recipe": "",
    "served": False,
    "failure": "",
    "verdict": "",
    "reason": "",
    "confidence": None,
    "broken": False,
    "late_verdict": "",
    "left": False,
    "bare": False,
    "released": False,
    "altered": False,
    "fitted": "",
    "fallen": False,
    "rival": False,
    "shadow": False,
}
CALL: Final[dict[str, Any]] = {
    "first_token": None,
    "bare": False,
    "error": "",
    "cached_tokens": 0,
    "cache_write_tokens": 0,
    "reasoning_tokens": 0,
    "estimated": False,
    "cache_write_1h_tokens": 0,
    "audio_input_tokens": 0,
    "audio_output_tokens": 0,
    "image_input_tokens": 0,
    "image_output_tokens": 0,
    "service_tier": "",
    "rate": "standard",
    "provider_request_id": "",
    "cached_input_cost": 0,
    "cache_write_cost": 0,
    "reasoning_cost": 0,
    "audio_cost": 0,
    "image_cost": 0,
}
CHECK: Final[dict[str, Any]] = {
    "reason": "",
    "confidence": None,
    "broken": False,
    "cost": 0,
}
