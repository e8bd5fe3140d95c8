"""The part of the pair's schooling that is about tools: to call one when there are some."""

from __future__ import annotations

import json
from random import Random
from typing import Any, Final

from gateway.demo import question_facts as facts

# What the chat template (see gguf_export) writes around the tools, word for word.
TOOLS_HEAD: Final = "# Tools\n\nThese functions may be called:\n<tools>"
TOOLS_TAIL: Final = (
    "\n</tools>\n\nTo call one, write its name and arguments as JSON:\n"
    '<tool_call>\n{"name": <name>, "arguments": <arguments>}\n</tool_call>'
)
CALL_HEAD: Final = "<tool_call>\n"
CALL_TAIL: Final = "\n</tool_call>"
RESULT_HEAD: Final = "<tool_response>\n"
RESULT_TAIL: Final = "\n</tool_response>"

_NAMED: Final = (
    ("get_weather", "city", "What is the weather in {}?"),
    ("get_time", "city", "What time is it in {}?"),
    ("lookup", "word", "Look up {}."),
    ("search", "query", "Search for {}."),
)


def tools_text(tools: list[dict[str, Any]]) -> str:
    """The system text that tells a model of its tools."""
    return TOOLS_HEAD + "".join("\n" + json.dumps(tool) for tool in tools) + TOOLS_TAIL


def tool_chat(random: Random) -> list[tuple[str, str, bool]]:
    """Messages (role, text, whether to learn it) in which a tool is called, or has answered."""
    name, parameter, form = random.choice(_NAMED)
    if random.random() < 0.5:
        name, parameter = _made_up(random), _made_up(random)
    value = random.choice([*facts.CAPITALS.values(), *facts.PLAIN_WORDS])
    tools = [_tool(random, name, parameter)]
    if random.random() < 0.3:
        tools.insert(random.randrange(2), _tool(random, "stop", "reason"))
    call = json.dumps({"name": name, "arguments": {parameter: value}})
    before = random.choice(("", "", "You are a helpful assistant.\n\n", "Be brief.\n\n"))
    messages = [
        ("system", before + tools_text(tools), False),
        ("user", form.format(value), False),
        ("assistant", CALL_HEAD + call + CALL_TAIL, True),
    ]
    if random.random() < 0.3:
        result = random.choice(facts.PLAIN_WORDS)
        messages.append(("user", RESULT_HEAD + result + RESULT_TAIL, False))
        messages.append(("assistant", result.capitalize(), True))
    return messages


def _tool(random: Random, name: str, parameter: str) -> dict[str, Any]:
    schema = {
        "type": "object",
        "properties": {parameter: {"type": "string"}},
        "required": [parameter],
    }
    function = {"name": name, "parameters": schema}
    if random.random() < 0.5:
        told = " ".join(random.sample(facts.PLAIN_WORDS, 2))
        function = {"name": name, "description": told, "parameters": schema}
    return {"type": "function", "function": function}


def _made_up(random: Random) -> str:
    parts = [
        random.choice(facts.SYLLABLE_STARTS) + random.choice(facts.SYLLABLE_MIDDLES)
        for _ in range(random.randrange(2, 5))
    ]
    return random.choice(("", "", "_")).join(parts)
