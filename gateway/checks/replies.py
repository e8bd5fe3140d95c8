"""A request and its reply as plain values, for code that is not ours."""

from __future__ import annotations

import json
from typing import Any

from gateway.core.chat import Choice, Reply
from gateway.core.verdict import ABSTAIN, PASS, Finding
from gateway.waiting.guard import Unusable

FAILED = Finding("fail", "check_failed")


def plain(reply: Reply) -> dict[str, Any]:
    """Return `text` (the first choice's) and `choices`, each with `text`, `tool_calls` (`id`,
    `name`, `arguments` as JSON text) and `finish_reason`."""
    return {"text": reply.text, "choices": [_choice(each) for each in reply.choices]}


def _choice(choice: Choice) -> dict[str, Any]:
    calls = [dict(call) for call in choice.tool_calls]
    return {"text": choice.text, "tool_calls": calls, "finish_reason": choice.finish}


def as_text(reply: Reply) -> str:
    """Return the first choice's text, or its calls of tools as JSON where it has no text."""
    calls = [dict(call) for choice in reply.choices[:1] for call in choice.tool_calls]
    return reply.text or (json.dumps(calls) if calls else "")


def chance(value: object) -> float:
    """Read a confidence. Raises Unusable for what is no number from 0 to 1."""
    if isinstance(value, str | bytes | bool):
        raise Unusable("its confidence is not a number from 0 to 1")
    try:
        number = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError) as error:
        raise Unusable("its confidence is not a number from 0 to 1") from error
    if not 0 <= number <= 1:
        raise Unusable("its confidence is not a number from 0 to 1")
    return number


def passed(confidence: object = None) -> Finding:
    """A pass, with a confidence where there is one. Raises Unusable."""
    return PASS if confidence is None else Finding("pass", confidence=chance(confidence))


__all__ = ["ABSTAIN", "FAILED", "as_text", "chance", "passed", "plain"]
