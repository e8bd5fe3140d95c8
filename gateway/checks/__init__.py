"""Questions put to a reply: each a function of request and reply, each free of charge.

A check passes, fails with a reason, or abstains when it has nothing to say, as all but the
prefix-wise ones do of an incomplete reply.
"""

from __future__ import annotations

from collections.abc import Mapping

from gateway.checks.confidence import logprob, unsure
from gateway.checks.json_schema import reply_format
from gateway.checks.reckoning import arithmetic, brevity
from gateway.checks.shape import refusal, shape
from gateway.checks.tool_calls import tool_calls
from gateway.core.verdict import Check

__all__ = ["NAMES", "all_checks"]

NAMES = ("shape", "refusal", "format", "tools", "logprob", "arithmetic", "brevity", "unsure")
"""The names a bar may ask for."""


def all_checks(marker: str) -> Mapping[str, Check]:
    """Return every check by name; `marker` is this process's not-sure marker."""
    return {
        "shape": shape,
        "refusal": refusal,
        "format": reply_format,
        "tools": tool_calls,
        "logprob": logprob,
        "arithmetic": arithmetic,
        "brevity": brevity,
        "unsure": unsure(marker),
    }
