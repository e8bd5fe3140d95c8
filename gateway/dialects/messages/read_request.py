"""A client's request in the words of Anthropic's Messages, read as a chat completion's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from gateway.core.chat import ChatRequest
from gateway.core.errors import BadRequest
from gateway.core.native import NativeRequest
from gateway.dialects.messages.read_turns import Turns
from gateway.dialects.names import short
from gateway.dialects.shapes import listed, mapping, name, text, wrong

MOST_TOKENS: Final = 10_000_000
_CHOICES: Final = {"auto": "auto", "none": "none", "any": "required"}
_UNHEARD: Final = (
    "top_k thinking cache_control service_tier inference_geo speed diagnostics container "
    "context_management user_profile_id workspace_id".split()
)
"""Parameters that no chat has: one is answered without them, if not in the same time or at the
same price."""
_RESTED_ON: Final = ("mcp_servers",)
"""Those that a reply rests on."""
_READ: Final = frozenset(
    "model messages system max_tokens stream stop_sequences temperature top_p tools tool_choice "
    "metadata output_config output_format".split()
)


def read_request(body: Mapping[str, Any], headers: Mapping[str, str]) -> ChatRequest:
    """Read a request of Messages. `headers` are those that are Anthropic's own.

    Fields that are nobody's go along as they are. Raises BadRequest naming the field.
    """
    turns = Turns()
    turns.system(body.get("system"))
    turns.messages(body.get("messages"))
    tools, provided = _tools(body.get("tools"))
    if "max_tokens" not in body:
        raise BadRequest("max_tokens is required: how long may the reply be?", param="max_tokens")
    chat: dict[str, Any] = {
        "model": name(body.get("model"), "model"),
        "messages": turns.chat,
        "max_tokens": _bound(body["max_tokens"]),
    }
    chat |= {key: body[key] for key in ("temperature", "top_p") if body.get(key) is not None}
    if tools:
        chat["tools"] = tools
    choice = _choice(body.get("tool_choice"))
    if tools or choice.get("tool_choice") not in ("auto", "none"):
        chat |= choice  # without tools a chat takes none that asks for nothing either
    chat |= _odds_and_ends(body)
    others = body.keys() - _READ - set(_UNHEARD) - set(_RESTED_ON)
    chat |= {key: body[key] for key in body if key in others}
    only = [*provided, *turns.only, *(key for key in _RESTED_ON if body.get(key))]
    unheard = [key for key in _UNHEARD if body.get(key) is not None]
    unheard += [*turns.dropped, *(("effort",) if _config(body).get("effort") else ())]
    native = NativeRequest(
        wire="messages",
        body=body,
        read_as=chat,
        only=tuple(dict.fromkeys(only)),
        dropped=tuple(dict.fromkeys([*unheard, *headers])),
        headers=headers,
    )
    return ChatRequest(chat, native)


def _bound(value: object) -> int:
    if type(value) is not int or not 1 <= value <= MOST_TOKENS:
        raise wrong("max_tokens", f"a whole number from 1 to {MOST_TOKENS}")
    return value


def _tools(value: object) -> tuple[list[dict[str, Any]], list[str]]:
    """Return the tools that are the client's own, and the names of those of the provider's."""
    own: list[dict[str, Any]] = []
    provided: list[str] = []
    for index, tool in enumerate([] if value is None else listed(value, "tools")):
        where = f"tools[{index}]"
        mapping(tool, where)
        kind = tool.get("type") or "custom"
        if kind != "custom":
            provided.append(f"tool {str(kind)[:60]}")
            own.append({"type": text(kind, f"{where}.type")})
            continue
        function: dict[str, Any] = {"name": short(name(tool.get("name"), f"{where}.name"))}
        if tool.get("description"):
            function["description"] = text(tool["description"], f"{where}.description")
        function["parameters"] = mapping(tool.get("input_schema"), f"{where}.input_schema")
        if tool.get("strict"):
            function["strict"] = True
        own.append({"type": "function", "function": function})
    return own, provided


def _choice(value: object) -> dict[str, Any]:
    if value is None:
        return {}
    choice = mapping(value, "tool_choice")
    kind = choice.get("type")
    if kind == "tool":
        called = short(name(choice.get("name"), "tool_choice.name"))
        told: dict[str, Any] = {"tool_choice": {"type": "function", "function": {"name": called}}}
    elif kind in _CHOICES:
        told = {"tool_choice": _CHOICES[str(kind)]}
    else:
        raise wrong("tool_choice.type", "auto, any, tool or none")
    if choice.get("disable_parallel_tool_use"):
        told["parallel_tool_calls"] = False
    return told


def _config(body: Mapping[str, Any]) -> Mapping[str, Any]:
    value = body.get("output_config")
    return {} if value is None else mapping(value, "output_config")


def _odds_and_ends(body: Mapping[str, Any]) -> dict[str, Any]:
    told: dict[str, Any] = {}
    stream = body.get("stream")
    if stream is not None and not isinstance(stream, bool):
        raise wrong("stream", "true or false")
    if stream:
        told |= {"stream": True, "stream_options": {"include_usage": True}}
    if body.get("stop_sequences"):
        stops = listed(body["stop_sequences"], "stop_sequences")
        told["stop"] = [text(stop, "stop_sequences") for stop in stops]
    if body.get("metadata") is not None:
        user = mapping(body["metadata"], "metadata").get("user_id")
        if user is not None:
            told["user"] = short(text(user, "metadata.user_id"))
    wanted = _config(body).get("format") or body.get("output_format")
    if wanted is not None:
        schema = mapping(wanted, "output_config.format").get("schema")
        told["response_format"] = {
            "type": "json_schema",
            "json_schema": {
                "name": "reply",
                "strict": True,
                "schema": mapping(schema, "output_config.format.schema"),
            },
        }
    return told
