"""A chat completion's request in the words of OpenAI's Responses, for a tier asked in them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from gateway.core.errors import CannotCarry
from gateway.core.native import NativeRequest
from gateway.dialects.responses.write_reply import OWN_REASONING
from gateway.dialects.shapes import written

_LOST: Final = frozenset({"seed", "frequency_penalty", "presence_penalty", "prediction"})
"""Parameters that Responses have no words for, and a reply can do without."""
_REFUSED: Final = ("n", "stop", "logit_bias", "audio", "web_search_options")
_HANDLED: Final = frozenset(
    "model messages stream stream_options max_tokens max_completion_tokens tools tool_choice "
    "functions function_call response_format verbosity reasoning_effort logprobs top_logprobs "
    "modalities".split()
)
_LOGPROBS: Final = "message.output_text.logprobs"
_Item = dict[str, Any]


def write_request(body: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """Write a chat's request as one of Responses, that keeps nothing. Returns it, and the names of
    what was dropped.

    Fields that are nobody's go along as they are. Raises CannotCarry for what Responses cannot say
    and the reply rests on, and for what no chat has.
    """
    return written(body, _written, "OpenAI's Responses")


def merge_native(native: NativeRequest, body: Mapping[str, Any]) -> dict[str, Any]:
    """Return the client's own request as it goes to a tier that speaks Responses too: as it came
    but for the model, for thoughts that were a chat model's, and for what a recipe or a repair has
    changed in the chat that it was read as."""
    own = {**native.body, "model": body["model"]}
    if isinstance(own.get("input"), list):
        own["input"] = [item for item in own["input"] if not _is_ours(item)]
    was = native.read_as
    ours = ("model", "stream", "stream_options", "logprobs", "top_logprobs")
    if all(body.get(name) is was.get(name) for name in {*body, *was}.difference(ours)):
        return own
    plain = {name: value for name, value in body.items() if name not in ours}
    before, _ = write_request({**was, "model": body["model"], "stream": False})
    after, _ = write_request({**plain, "model": body["model"]})
    for name in after:
        if name == "input":
            own["input"] = _spliced(own.get("input"), before["input"], after["input"])
        elif after[name] != before.get(name):
            own[name] = after[name]
    return own


def _is_ours(item: object) -> bool:
    return isinstance(item, Mapping) and str(item.get("id") or "").startswith(OWN_REASONING)


def _spliced(own: object, before: Sequence[Any], after: Sequence[Any]) -> Sequence[Any]:
    """Put the client's own items in the place of what they were read as; instructions that were
    read as the first of them stay where they are."""
    items: Sequence[Any] = own if isinstance(own, list) else []
    if isinstance(own, str):
        items = [{"role": "user", "content": own}]
    rest = list(before)
    for place in range(len(after) - len(rest) + 1):
        if after[place : place + len(rest)] == rest:
            return [*after[:place], *items, *after[place + len(rest) :]]
    return after


def _written(body: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    for name in _REFUSED:
        value = body.get(name)
        if value not in (None, [], {}, 1):
            raise CannotCarry(f"A tier that is asked in Responses takes no {name}.", param=name)
    told: dict[str, Any] = {"model": body["model"], "input": list(_items(body["messages"]))}
    bound = body.get("max_completion_tokens") or body.get("max_tokens")
    if bound:
        told["max_output_tokens"] = bound
    told |= _tools(body)
    told |= _form(body)
    told["store"] = bool(body.get("store"))
    if body.get("stream"):
        told["stream"] = True
    others = body.keys() - _HANDLED - _LOST - set(_REFUSED) - {"store"}
    told |= {name: body[name] for name in body if name in others}
    return told, [name for name in body if name in _LOST and body[name] is not None]


def _items(messages: Sequence[Mapping[str, Any]]) -> Iterator[_Item]:
    for index, message in enumerate(messages):
        where = f"messages[{index}]"
        role = message.get("role")
        if role in {"tool", "function"}:
            called = message.get("tool_call_id") or f"call_{message.get('name')}"
            output = _content(message.get("content"), "user", where)
            yield {"type": "function_call_output", "call_id": called, "output": output}
            continue
        content = _content(message.get("content"), str(role), where)
        if content or not message.get("tool_calls"):
            yield {"role": role, "content": content}
        old = message.get("function_call")
        calls = message.get("tool_calls") or (
            [{"id": f"call_{old['name']}", "function": old}] if old else []
        )
        for call in calls:
            function = call["function"]
            yield {
                "type": "function_call",
                "call_id": call["id"],
                "name": function["name"],
                "arguments": function.get("arguments") or "{}",
            }


def _content(content: object, role: str, where: str) -> Any:
    if content is None or isinstance(content, str):
        return content or ""
    parts = content if isinstance(content, list) else []
    return [_part(part, role, f"{where}.content[{place}]") for place, part in enumerate(parts)]


def _part(part: Mapping[str, Any], role: str, where: str) -> _Item:
    kind = part.get("type")
    if kind == "text":
        said = "output_text" if role == "assistant" else "input_text"
        return {"type": said, "text": part["text"]}
    if kind == "refusal":
        return {"type": "refusal", "refusal": part["refusal"]}
    if kind == "image_url":
        image = part["image_url"]
        url = image["url"] if isinstance(image, Mapping) else image
        detail = image.get("detail") if isinstance(image, Mapping) else None
        return {"type": "input_image", "image_url": url, "detail": detail or "auto"}
    if kind == "file":
        return {"type": "input_file", **part["file"]}
    raise CannotCarry(
        f"{where}: Responses have no content of type {str(kind)[:50]!r}.", param=where
    )


def _tools(body: Mapping[str, Any]) -> dict[str, Any]:
    offered = [
        {"type": "function", "strict": False, **tool["function"]}
        if tool.get("type") == "function"
        else dict(tool)
        for tool in body.get("tools") or ()
    ]
    functions = body.get("functions") or ()
    offered += [{"type": "function", "strict": False, **each} for each in functions]
    if not offered:
        return {}
    for tool in offered:
        if tool["type"] == "function":
            tool.setdefault("parameters", {"type": "object", "properties": {}})
    choice = body.get("tool_choice", body.get("function_call"))
    if isinstance(choice, Mapping):
        allowed = choice.get("allowed_tools")
        if allowed is not None:
            tools = [{"type": "function", **each["function"]} for each in allowed["tools"]]
            choice = {"type": "allowed_tools", "mode": allowed["mode"], "tools": tools}
        else:
            choice = {"type": "function", "name": (choice.get("function") or choice)["name"]}
    return {"tools": offered} | ({} if choice is None else {"tool_choice": choice})


def _form(body: Mapping[str, Any]) -> dict[str, Any]:
    told: dict[str, Any] = {}
    text: dict[str, Any] = {}
    wanted = body.get("response_format") or {}
    if wanted.get("type") == "json_schema":
        text["format"] = {"type": "json_schema", **wanted["json_schema"]}
    elif wanted.get("type"):
        text["format"] = {"type": wanted["type"]}
    if body.get("verbosity") is not None:
        text["verbosity"] = body["verbosity"]
    if text:
        told["text"] = text
    if body.get("reasoning_effort") is not None:
        told["reasoning"] = {"effort": body["reasoning_effort"]}
    if body.get("logprobs"):
        told |= {"include": [_LOGPROBS], "top_logprobs": body.get("top_logprobs") or 0}
    return told
