"""A client's request in the words of OpenAI's Responses, read as a chat completion's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from gateway.core.chat import ChatRequest
from gateway.core.native import NativeRequest
from gateway.dialects.responses.namespaces import flat
from gateway.dialects.responses.read_items import Items
from gateway.dialects.shapes import listed, mapping, name, text, wrong

_SAME: Final = (
    "temperature",
    "top_p",
    "parallel_tool_calls",
    "user",
    "service_tier",
    "prompt_cache_key",
    "safety_identifier",
)
"""Parameters that a chat has by the same name."""
_UNHEARD: Final = (
    "store metadata truncation max_tool_calls context_management prompt_cache_retention "
    "prompt_cache_options background_options moderation".split()
)
"""Parameters that no chat has, or that are about what is kept of a response."""
_RESTED_ON: Final = ("previous_response_id", "conversation", "prompt", "background")
"""Those that a reply rests on: only who keeps responses can answer."""
_LOGPROBS: Final = "message.output_text.logprobs"
_READ: Final = frozenset(
    "model input instructions max_output_tokens stream stream_options tools tool_choice text "
    "reasoning include top_logprobs".split()
)


def read_request(body: Mapping[str, Any], headers: Mapping[str, str]) -> ChatRequest:
    """Read a request of Responses. Fields that are nobody's go along as they are.

    Raises BadRequest naming the field.
    """
    items = Items()
    items.instructions(body.get("instructions"))
    only = [key for key in _RESTED_ON if body.get(key)]
    items.input(body.get("input"), may_be_empty=bool(only))
    chat: dict[str, Any] = {"model": name(body.get("model"), "model"), "messages": items.chat}
    chat |= {key: body[key] for key in _SAME if body.get(key) is not None}
    if body.get("max_output_tokens") is not None:
        chat["max_completion_tokens"] = body["max_output_tokens"]
    tools, provided = _tools(body.get("tools"))
    if tools:
        chat["tools"] = tools
    choice, forced = _choice(body.get("tool_choice"))
    chat |= choice
    if not tools:  # a chat takes neither beside no tools, where they ask for nothing either
        chat.pop("parallel_tool_calls", None)
        if chat.get("tool_choice") in ("auto", "none"):
            del chat["tool_choice"]
    formed, unsaid = _form(body)
    chat |= formed
    chat |= _stream(body.get("stream"))
    others = body.keys() - _READ - {*_SAME, *_UNHEARD, *_RESTED_ON}
    chat |= {key: body[key] for key in body if key in others}
    unheard = [key for key in _UNHEARD if body.get(key) not in (None, False, {}, "disabled")]
    native = NativeRequest(
        wire="responses",
        body=body,
        read_as=chat,
        only=tuple(dict.fromkeys([*only, *provided, *forced, *items.only])),
        dropped=tuple(dict.fromkeys([*unheard, *unsaid, *items.dropped, *headers])),
        headers=headers,
    )
    return ChatRequest(chat, native)


def _tools(value: object, namespace: str = "") -> tuple[list[dict[str, Any]], list[str]]:
    """Return the functions, and the names of those tools that are the provider's."""
    own: list[dict[str, Any]] = []
    provided: list[str] = []
    for index, tool in enumerate([] if value is None else listed(value, "tools")):
        where = f"tools[{index}]"
        kind = text(mapping(tool, where).get("type"), f"{where}.type")
        if kind == "namespace":
            inner, foreign = _tools(
                tool.get("tools") or [], name(tool.get("name"), f"{where}.name")
            )
            own += inner
            provided += foreign
        elif kind == "function":
            own.append(_function(tool, where, namespace))
        else:
            provided.append(f"tool {kind[:60]}")
            own.append({"type": kind})
    return own, provided


def _function(tool: Mapping[str, Any], where: str, namespace: str) -> dict[str, Any]:
    function: dict[str, Any] = {"name": flat(namespace, name(tool.get("name"), f"{where}.name"))}
    for key in ("description", "parameters", "strict"):
        if tool.get(key) is not None:
            function[key] = tool[key]
    return {"type": "function", "function": function}


def _choice(value: object) -> tuple[dict[str, Any], list[str]]:
    if value is None:
        return {}, []
    if isinstance(value, str):
        if value not in {"auto", "none", "required"}:
            raise wrong("tool_choice", "auto, none, required or an object")
        return {"tool_choice": value}, []
    choice = mapping(value, "tool_choice")
    kind = choice.get("type")
    if kind == "function":
        return {"tool_choice": _named(choice, "tool_choice")}, []
    if kind == "allowed_tools":
        tools = listed(choice.get("tools"), "tool_choice.tools")
        functions = [mapping(tool, "tool_choice.tools") for tool in tools]
        if all(tool.get("type") == "function" for tool in functions):
            allowed = {
                "mode": choice.get("mode") or "auto",
                "tools": [_named(tool, "tool_choice.tools") for tool in functions],
            }
            return {"tool_choice": {"type": kind, "allowed_tools": allowed}}, []
    return {}, [f"tool_choice {str(kind)[:60]}"]


def _named(choice: Mapping[str, Any], where: str) -> dict[str, Any]:
    called = name(choice.get("name"), f"{where}.name")
    return {"type": "function", "function": {"name": called}}


def _form(body: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """Return the form that a reply is to have, and what of it no chat hears."""
    told: dict[str, Any] = {}
    unsaid: list[str] = []
    wanted = {} if body.get("text") is None else mapping(body["text"], "text")
    if wanted.get("format") is not None:
        told |= _format(mapping(wanted["format"], "text.format"))
    if wanted.get("verbosity") is not None:
        told["verbosity"] = wanted["verbosity"]
    thought = {} if body.get("reasoning") is None else mapping(body["reasoning"], "reasoning")
    if thought.get("effort") is not None:
        told["reasoning_effort"] = thought["effort"]
    unsaid += [f"reasoning.{key}" for key in thought if key != "effort" and thought[key]]
    asked = [] if body.get("include") is None else listed(body["include"], "include")
    tops = body.get("top_logprobs")
    if _LOGPROBS in asked or tops:
        told |= {"logprobs": True} | ({"top_logprobs": tops} if tops else {})
    unsaid += [f"include {str(each)[:60]}" for each in asked if each != _LOGPROBS]
    return told, unsaid


def _format(form: Mapping[str, Any]) -> dict[str, Any]:
    kind = text(form.get("type"), "text.format.type")
    if kind == "text":
        return {}
    if kind != "json_schema":
        return {"response_format": {"type": kind}}
    inner = {
        key: form[key]
        for key in ("name", "description", "schema", "strict")
        if form.get(key) is not None
    }
    mapping(inner.get("schema"), "text.format.schema")
    return {"response_format": {"type": kind, "json_schema": {"name": "reply", **inner}}}


def _stream(value: object) -> dict[str, Any]:
    if value is not None and not isinstance(value, bool):
        raise wrong("stream", "true or false")
    return {"stream": True, "stream_options": {"include_usage": True}} if value else {}
