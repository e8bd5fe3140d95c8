"""Are the tools called ones that were offered, with arguments that fit their schemas?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from gateway.checks.json_schema import TooMuchError, budget, fault, is_valid
from gateway.core.chat import ChatRequest, Choice, Reply
from gateway.core.verdict import ABSTAIN, PASS, Finding

_WRONG = Finding("fail", "tool_error", broken=True)


def tool_calls(request: ChatRequest, reply: Reply) -> Finding:
    """Check each call's name and arguments, and that a call was made where one was demanded.

    Abstains of a call of a tool that is not a function: its input has no schema.
    """
    if not reply.complete or not request.tools or _calls_other_kinds(request, reply):
        return ABSTAIN
    schemas = _schemas(request.tools)
    choice = request.body.get("tool_choice")
    try:
        with budget():
            wrong = next((e for e in reply.choices if not _is_sound(e, schemas, choice)), None)
    except TooMuchError:
        return ABSTAIN
    return PASS if wrong is None else replace(_WRONG, detail=_fault(wrong, schemas, choice))


def _fault(choice: Choice, schemas: Mapping[str, Mapping[str, Any]], wanted: object) -> str:
    """Say in one sentence what is wrong with a choice that is not sound."""
    if not choice.tool_calls:
        return "it calls no tool, and one was demanded"
    if wanted == "none" or _forced_name(wanted) not in (None, choice.tool_calls[0]["name"]):
        return "it calls a tool that was not to be called"
    for call in choice.tool_calls:
        if call["name"] not in schemas:
            return f"it calls {call['name'][:60]!r}, which is not among the tools offered"
        if told := fault(call["arguments"] or "{}", schemas[call["name"]]):
            return f"in the arguments of {call['name'][:60]!r}: {told}"
    return ""


def _calls_other_kinds(request: ChatRequest, reply: Reply) -> bool:
    offered = any(tool.get("type") != "function" for tool in request.tools)
    return offered and any(not call["name"] for each in reply.choices for call in each.tool_calls)


def _schemas(tools: Sequence[Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
    functions = (tool.get("function") for tool in tools)
    return {
        function["name"]: function.get("parameters") or {}
        for function in functions
        if isinstance(function, Mapping)
    }


def _is_sound(choice: Choice, schemas: Mapping[str, Mapping[str, Any]], wanted: object) -> bool:
    names = [call["name"] for call in choice.tool_calls]
    if not names:
        return not _demands_call(wanted)
    if wanted == "none":
        return False
    forced = _forced_name(wanted)
    if forced is not None and set(names) != {forced}:
        return False
    return all(
        call["name"] in schemas and is_valid(call["arguments"] or "{}", schemas[call["name"]])
        for call in choice.tool_calls
    )


def _demands_call(wanted: object) -> bool:
    return wanted == "required" or _forced_name(wanted) is not None


def _forced_name(wanted: object) -> str | None:
    function = wanted.get("function") if isinstance(wanted, Mapping) else None
    name = function.get("name") if isinstance(function, Mapping) else None
    return name if isinstance(name, str) else None
