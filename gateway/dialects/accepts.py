"""What each dialect, and each model, can take of a chat completion: the table behind every
translation.

Three things may become of a field. It is *carried*, in the dialect's own words. It is *dropped*,
where the reply means the same without it: the ledger names it. Or it is *needed*: without it the
reply would be another one than was asked for, so a tier that cannot take it is skipped, and where
no tier can the request is refused.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from gateway.core.native import Wire

DROPPED: Mapping[Wire, frozenset[str]] = {
    "messages": frozenset(
        "audio frequency_penalty logit_bias min_p modalities moderation n parallel_tool_calls "
        "prediction presence_penalty prompt_cache_key prompt_cache_retention repetition_penalty "
        "safety_identifier seed store stream_options top_logprobs user verbosity".split()
    ),
}
"""Fields of the chat that a dialect has no place for, if their value is not one that is needed."""

SILENT = frozenset({"n", "modalities", "parallel_tool_calls", "stream_options", "user", "logprobs"})
"""Those whose loss is none: at their default, or said in another way."""


@dataclass(frozen=True, slots=True)
class Thinks:
    """How a model is told how much to think. `budgets` are tokens by effort, where it takes a
    budget; `adaptive` says that it takes an effort instead."""

    budgets: Mapping[str, int] | None = None
    adaptive: bool = False


BUDGETS: Mapping[str, int] = {"low": 1024, "medium": 4096, "high": 16_384, "xhigh": 32_768}
_NO_THOUGHT = Thinks()
_BUDGETED = Thinks(budgets=BUDGETS)
_ADAPTIVE = Thinks(adaptive=True)

_CLAUDE = re.compile(r"claude-(?:(?:opus|sonnet|haiku)-)?(\d+)(?:[-.](\d{1,2}))?(?!\d)")


def _claude(model: str) -> tuple[int, int]:
    """Return a Claude model's version; one without any is newer than all that have one."""
    found = _CLAUDE.search(model)
    return (int(found[1]), int(found[2] or 0)) if found else (99, 0)


def takes_sampling(model: str) -> bool:
    """Does a Claude model take temperature, top_p and top_k? None since 4.7 does."""
    return _claude(model) < (4, 7)


def takes_both(model: str) -> bool:
    """Does a Claude model take temperature and top_p beside each other? None since 4.1 does."""
    return _claude(model) < (4, 1)


def thinks(model: str) -> Thinks:
    """How a Claude model thinks: not before 3.7, by a budget before 4.6, then by an effort."""
    version = _claude(model)
    if version < (3, 7):
        return _NO_THOUGHT
    return _BUDGETED if version < (4, 6) else _ADAPTIVE
