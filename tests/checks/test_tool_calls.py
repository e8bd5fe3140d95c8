from __future__ import annotations

import pytest

from gateway.checks.tool_calls import tool_calls
from gateway.core.chat import ChatRequest, Choice, Reply
from gateway.core.verdict import ABSTAIN, PASS, Finding

WRONG = Finding("fail", "tool_error", broken=True)
CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
TOOLS = [
    {"type": "function", "function": {"name": "weather", "parameters": CITY}},
    {"type": "function", "function": {"name": "now"}},
    {"type": "custom", "custom": {"name": "shell"}},
]
BERN = ("weather", '{"city": "Bern"}')
FORCED = {"type": "function", "function": {"name": "weather"}}


def asked(choice=None, tools=TOOLS):
    return ChatRequest({"model": "m", "messages": [], "tools": tools, "tool_choice": choice})


def called(*calls, complete=True):
    parts = tuple({"id": "c", "name": name, "arguments": text} for name, text in calls)
    return Reply((Choice("", tool_calls=parts),), complete)


NOTHING = Reply((Choice("It rains."),))
ROWS = {
    "no tools": (asked(tools=None), called(BERN), ABSTAIN),
    "a prefix": (asked(), called(BERN, complete=False), ABSTAIN),
    "sound": (asked(), called(BERN), PASS),
    "two": (asked(), called(BERN, ("now", "{}")), PASS),
    "no arguments where none are asked": (asked(), called(("now", "")), PASS),
    "none called": (asked(), NOTHING, PASS),
    "none called where one is required": (asked("required"), NOTHING, WRONG),
    "one required, one called": (asked("required"), called(("now", "{}")), PASS),
    "one forced": (asked(FORCED), called(BERN), PASS),
    "one forced, called twice": (asked(FORCED), called(BERN, BERN), PASS),
    "a tool that is no function": (asked(), called(("", "")), ABSTAIN),
    "one forced, none called": (asked(FORCED), NOTHING, WRONG),
    "one forced, another called": (asked(FORCED), called(("now", "{}")), WRONG),
    "none allowed": (asked("none"), called(BERN), WRONG),
    "none allowed, none called": (asked("none"), NOTHING, PASS),
    "an unknown name": (asked(), called(("wether", "{}")), WRONG),
    "arguments that do not fit": (asked(), called(("weather", '{"town": 1}')), WRONG),
    "arguments that are no JSON": (asked(), called(("weather", "Bern")), WRONG),
    "arguments that were cut off": (asked(), called(("weather", '{"city": "Be')), WRONG),
    "no arguments where some are asked": (asked(), called(("weather", "")), WRONG),
    "one of two choices": (
        asked(),
        Reply((*called(BERN).choices, *called(("x", "{}")).choices)),
        WRONG,
    ),
    "a choice we do not know": (asked({"type": "allowed_tools"}), NOTHING, PASS),
    "a schema that is none": (
        asked(tools=[{"type": "function", "function": {"name": "f", "parameters": {"type": 7}}}]),
        called(("f", "{}")),
        ABSTAIN,
    ),
}


@pytest.mark.parametrize(("request_", "reply", "found"), ROWS.values(), ids=ROWS)
def test_calls(request_, reply, found):
    assert tool_calls(request_, reply) == found
