"""A chat completion's request in the words of Anthropic's Messages, for a tier that speaks them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from gateway.core.errors import CannotCarry
from gateway.core.native import NativeRequest
from gateway.dialects.accepts import DROPPED, SILENT, takes_both, takes_sampling, thinks
from gateway.dialects.messages.write_turns import turns
from gateway.dialects.shapes import written

MAX_TOKENS: Final = 8192
"""What a reply may have where the client sets no bound: Messages want one always."""
LEAST_TOP_P: Final = 0.95
"""What Anthropic takes beside thinking; from there to 1."""
_SERVICE: Final = {"auto": "auto", "default": "standard_only"}
_CHOICES: Final = {"auto": "auto", "none": "none", "required": "any"}
_SCHEMALESS: Final = {"type": "object", "properties": {}}
_HANDLED: Final = frozenset(
    "model messages stream max_tokens max_completion_tokens stop tools tool_choice functions "
    "function_call response_format temperature top_p top_k reasoning_effort service_tier metadata "
    "logprobs".split()
)


def write_request(body: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """Write a chat's request as one of Messages. Returns it, and the names of what was dropped.

    Fields that are nobody's go along as they are. Raises CannotCarry for what Messages cannot say
    and the reply rests on, and for what no chat has.
    """
    return written(body, _written, "Anthropic's Messages")


def _written(body: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    require_carried(body)
    system, messages = turns(body["messages"])
    told: dict[str, Any] = {"model": body["model"], "max_tokens": _bound(body)}
    if system:
        told["system"] = system
    told["messages"] = messages
    dropped = [
        name
        for name in body
        if name in DROPPED["messages"] and name not in SILENT and body[name] is not None
    ]
    told |= _sampling(body, dropped)
    told |= _tools(body)
    told |= _format(body)
    told |= _thinking(body, told, dropped)
    told |= _odds_and_ends(body, dropped)
    others = body.keys() - _HANDLED - DROPPED["messages"]
    return told | {name: body[name] for name in body if name in others}, dropped


def require_carried(body: Mapping[str, Any]) -> None:
    """Raise CannotCarry for what a reply would lack. Plans skip such a tier before."""
    kind = (body.get("response_format") or {}).get("type", "text")
    lacking = {
        "n": (body.get("n") or 1) > 1,
        "logprobs": bool(body.get("logprobs")),
        "response_format": kind not in {"text", "json_schema"},
        "modalities": "audio" in (body.get("modalities") or ()),
        "web_search_options": body.get("web_search_options") is not None,
    }
    for name, lacks in lacking.items():
        if lacks:
            raise CannotCarry(
                f"A tier that speaks Anthropic's Messages takes no {name}.", param=name
            )


def merge_native(native: NativeRequest, body: Mapping[str, Any]) -> dict[str, Any]:
    """Return the client's own request as it goes to a tier that speaks Messages too: as it came but
    for the model, and for what a recipe or a repair has changed in the chat that it was read as."""
    own = {**native.body, "model": body["model"]}
    was = native.read_as
    ours = ("model", "stream", "stream_options", "logprobs", "top_logprobs")
    if all(body.get(name) is was.get(name) for name in {*body, *was}.difference(ours)):
        return own
    plain = {name: value for name, value in body.items() if name not in ours}
    before, _ = write_request({**was, "model": body["model"]})
    after, _ = write_request({**plain, "model": body["model"]})
    for name in before.keys() - after.keys():
        own.pop(name, None)
    for name in after:
        if name == "messages":
            own["messages"] = _spliced(native.body["messages"], before[name], after[name])
        elif name == "system":
            own["system"] = _keep_cached(native.body.get("system"), after[name])
        elif after[name] != before.get(name):
            own[name] = after[name]
    return own


def _spliced(own: Sequence[Any], before: Sequence[Any], after: Sequence[Any]) -> Sequence[Any]:
    """Put the client's own messages in the place of what they were read as."""
    if before == after:
        return own
    count = len(before)
    for place in range(len(after) - count + 1):
        if after[place : place + count] == before:
            return [*after[:place], *own, *after[place + count :]]
    return after


def _keep_cached(own: object, after: Any) -> Any:
    """Keep a client's breakpoint of its cache at the end of what the system is told."""
    blocks = own if isinstance(own, list) else []
    marks = [b["cache_control"] for b in blocks if isinstance(b, dict) and b.get("cache_control")]
    if not marks:
        return after
    told = [{"type": "text", "text": after}] if isinstance(after, str) else list(after)
    return [*told[:-1], {**told[-1], "cache_control": marks[-1]}]


def _bound(body: Mapping[str, Any]) -> int:
    return int(body.get("max_completion_tokens") or body.get("max_tokens") or MAX_TOKENS)


def _sampling(body: Mapping[str, Any], dropped: list[str]) -> dict[str, Any]:
    """Messages' temperature ends at 1, where the chat's goes on to 2; of it and top_p newer models
    take one, the newest none."""
    given = {n: body[n] for n in ("temperature", "top_p", "top_k") if body.get(n) is not None}
    if not takes_sampling(str(body["model"])):
        dropped += given
        return {}
    if given.get("temperature", 0) > 1:
        dropped.append("temperature")
        given["temperature"] = 1
    if {"temperature", "top_p"} <= given.keys() and not takes_both(str(body["model"])):
        less = "temperature" if given["temperature"] == 1 and given["top_p"] != 1 else "top_p"
        dropped.append(less)
        del given[less]
    return given


def _tools(body: Mapping[str, Any]) -> dict[str, Any]:
    offered = [_tool(tool, f"tools[{n}]") for n, tool in enumerate(body.get("tools") or ())]
    offered += [_function(function) for function in body.get("functions") or ()]
    choice = body.get("tool_choice", body.get("function_call"))
    if isinstance(choice, Mapping) and choice.get("type") == "allowed_tools":
        allowed = choice.get("allowed_tools") or choice
        names = {(t.get("function") or t).get("name") for t in allowed.get("tools") or ()}
        offered = [tool for tool in offered if tool.get("name") in names]
        choice = allowed.get("mode", "auto")
    if not offered:
        return {}
    chosen = _choice(choice)
    if body.get("parallel_tool_calls") is False and chosen.get("type") != "none":
        chosen = {"type": "auto", **chosen, "disable_parallel_tool_use": True}
    return {"tools": offered} | ({"tool_choice": chosen} if chosen else {})


def _tool(tool: Mapping[str, Any], where: str) -> dict[str, Any]:
    if "custom" in tool:
        told = f"{where}: Anthropic's Messages have no tools that take a text in place of JSON."
        raise CannotCarry(told, param=where)
    if tool.get("type") != "function":
        return dict(tool)  # one of the provider's own
    made = _function(tool["function"])
    return made | ({"cache_control": tool["cache_control"]} if tool.get("cache_control") else {})


def _function(function: Mapping[str, Any]) -> dict[str, Any]:
    told = {"name": function["name"]}
    if function.get("description"):
        told["description"] = function["description"]
    schema = function.get("parameters") or _SCHEMALESS
    told["input_schema"] = schema if schema.get("type") else {"type": "object", **schema}
    if function.get("strict"):
        told["strict"] = True
    return told


def _choice(choice: object) -> dict[str, Any]:
    if isinstance(choice, str):
        return {"type": _CHOICES[choice]} if choice in _CHOICES else {}
    if not isinstance(choice, Mapping):
        return {}
    name = (choice.get("function") or choice).get("name")
    return {"type": "tool", "name": name} if name else {}


def _format(body: Mapping[str, Any]) -> dict[str, Any]:
    wanted = body.get("response_format") or {}
    if wanted.get("type") != "json_schema":
        return {}
    schema = wanted["json_schema"].get("schema") or _SCHEMALESS
    config = body.get("output_config") or {}
    return {"output_config": {**config, "format": {"type": "json_schema", "schema": schema}}}


def _thinking(body: Mapping[str, Any], told: dict[str, Any], dropped: list[str]) -> dict[str, Any]:
    """Say how much to think. A budget lies within the reply's bound, which grows by it; it cannot
    be asked for in the middle of a turn of tools whose thoughts the client has not kept."""
    effort = body.get("reasoning_effort")
    if effort is None or body.get("thinking") is not None:
        return {}
    how = thinks(str(body["model"]))
    if how.adaptive and effort in {"low", "medium", "high", "xhigh", "max"}:
        _unsample(told, dropped)
        config = {**(told.get("output_config") or {}), "effort": effort}
        return {"thinking": {"type": "adaptive"}, "output_config": config}
    budget = (how.budgets or {}).get(effort)
    if budget is None or _lost_its_thoughts(told["messages"]) or _is_forced(told):
        if effort not in {"none", "minimal"}:
            dropped.append("reasoning_effort")
        return {}
    _unsample(told, dropped)
    return {
        "thinking": {"type": "enabled", "budget_tokens": budget},
        "max_tokens": told["max_tokens"] + budget,
    }


def _unsample(told: dict[str, Any], dropped: list[str]) -> None:
    """Take out what a model that thinks does not take: its temperature is 1, its top_p close to
    that, and it has no top_k."""
    refused = {
        "temperature": told.get("temperature", 1) != 1,
        "top_p": told.get("top_p", 1) < LEAST_TOP_P,
        "top_k": "top_k" in told,
    }
    for name in (name for name, is_refused in refused.items() if is_refused):
        dropped.append(name)
        del told[name]


def _lost_its_thoughts(messages: Sequence[Mapping[str, Any]]) -> bool:
    said = [message for message in messages if message["role"] == "assistant"]
    kinds = [block.get("type") for block in said[-1]["content"]] if said else []
    return "tool_use" in kinds and not {"thinking", "redacted_thinking"} & set(kinds)


def _is_forced(told: Mapping[str, Any]) -> bool:
    return (told.get("tool_choice") or {}).get("type") in {"any", "tool"}


def _odds_and_ends(body: Mapping[str, Any], dropped: list[str]) -> dict[str, Any]:
    told: dict[str, Any] = {}
    stop = body.get("stop")
    if stop:
        told["stop_sequences"] = [stop] if isinstance(stop, str) else list(stop)
    if body.get("stream"):
        told["stream"] = True
    if isinstance(body.get("user"), str):
        told["metadata"] = {"user_id": body["user"]}
    if body.get("metadata"):
        dropped.append("metadata")
    service = body.get("service_tier")
    if service in _SERVICE:
        told["service_tier"] = _SERVICE[service]
    elif service is not None:
        dropped.append("service_tier")
    return told
