"""What a tier's model takes of a request, where that is not everything.

Providers that speak OpenAI's chat completions differ in what they take. A parameter under another
name is renamed; one that only shapes how an answer is sought (a seed, a penalty) is dropped, and
the record says so; a demand that the answer itself must meet (a tool, a schema) is never dropped:
the tier is left out of the plan.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from gateway.core.chat import ChatRequest
from gateway.core.native import Wire

DEMANDS = (
    *("tools", "tool_choice", "parallel_tool_calls", "json_object", "json_schema"),
    *("images", "audio", "files", "kept_files", "n", "logprobs", "logit_bias", "stop"),
    "web_search",
)
"""What a request may demand of its answer, each by the name of the field that does, where one does.
`tool_choice` is a call that is forced, `parallel_tool_calls` that there be no two of them,
`kept_files` are files that the provider keeps, `web_search` is a search of its own."""
_FIELDS = {
    "tools": ("tools", "tool_choice", "functions", "function_call"),
    "logprobs": ("logprobs", "top_logprobs"),
    "n": ("n",),
    "logit_bias": ("logit_bias",),
    "stop": ("stop",),
    "parallel_tool_calls": ("parallel_tool_calls",),
}
"""The fields of a demand that some providers will not see even where they ask for nothing."""
_DEMANDING = frozenset(
    {"tools", "functions", "response_format", "modalities", "web_search_options"}
    | {"n", "logprobs", "logit_bias", "stop"}
)
"""The fields without any of which none demands anything."""
MEANINGFUL = frozenset(
    {
        *("model", "messages", "stream", "response_format", "max_tokens", "max_completion_tokens"),
        *("modalities", "audio"),
        *(name for names in _FIELDS.values() for name in names),
    }
)
"""Fields that are not dropped where they say something: without them it is another request."""
_PARTS = {"image_url": "images", "input_audio": "audio", "file": "files"}
_AT_REST: Mapping[str, tuple[Any, ...]] = {
    "n": (None, 1),
    "logprobs": (None, False),
    "top_logprobs": (None, 0),
    "tool_choice": (None, "auto", "none"),
    "function_call": (None, "auto", "none"),
    "parallel_tool_calls": (None, True),
}
_NOTHING: tuple[Any, ...] = (None, [], {})


@dataclass(frozen=True, slots=True)
class Accepts:
    """What a model does not take: parameters to `drop`, to `rename` (from, to), and the DEMANDS
    that it does not meet (`refuse`)."""

    drop: frozenset[str] = frozenset()
    rename: Mapping[str, str] = field(default_factory=dict)
    refuse: frozenset[str] = frozenset()


EVERYTHING = Accepts()
MESSAGES = Accepts(
    refuse=frozenset({"json_object", "audio", "kept_files", "n", "logprobs", "logit_bias"})
    | {"web_search"}
)
"""What Anthropic's Messages take: what else they have no words for is in dialects/accepts.py."""
RESPONSES = Accepts(refuse=frozenset({"n", "stop", "logit_bias", "audio", "web_search"}))
"""What OpenAI's Responses take of a chat."""
BY_WIRE: Mapping[Wire, Accepts] = {"messages": MESSAGES, "responses": RESPONSES}

_PARAMS = {
    "json_object": "response_format",
    "json_schema": "response_format",
    "web_search": "web_search_options",
}
_KEPT_AT: Final = "kept at "


def demands_of(request: ChatRequest) -> tuple[str, ...]:
    """Name what a request demands of its answer, in the order of DEMANDS; then what only its own
    dialect has words for, as `messages:mcp_servers`, and the upstream that keeps what it goes on
    from, as `kept at openai`."""
    body = request.body
    found = set() if _DEMANDING.isdisjoint(body) else set(_in_fields(body))
    for message in request.messages:
        content = message.get("content")
        if isinstance(content, list):
            found.update(_in_parts(content))
    demands = tuple(name for name in DEMANDS if name in found) if found else ()
    own = request.native
    if own is None:
        return demands
    kept = (f"{_KEPT_AT}{own.kept_at}",) if own.kept_at else ()
    return (*demands, *(f"{own.wire}:{name}" for name in own.only), *kept)


def foreign(wire: Wire, demands: Sequence[str]) -> list[str]:
    """Name the demands that only another dialect than `wire` has words for."""
    named = (demand.partition(":") for demand in demands if ":" in demand)
    return [name for other, _, name in named if other != wire]


def param_of(demand: str) -> str:
    """Name the chat's field that makes a demand; most are called by it, else it is a message."""
    return _PARAMS.get(demand, demand if demand in _FIELDS else "messages")


def elsewhere(upstreams: Sequence[str], demands: Sequence[str]) -> list[str]:
    """Name the demands that rest on what none of these upstreams keeps."""
    places = (each for each in demands if each.startswith(_KEPT_AT))
    return [f"what is {place}" for place in places if place[len(_KEPT_AT) :] not in upstreams]


def dropped(names: Iterable[str]) -> tuple[str, ...]:
    """Say that parameters were dropped, in the words of `fit`."""
    return tuple(f"-{name}" for name in names)


def _in_fields(body: Mapping[str, Any]) -> Iterator[str]:
    yield from _of_tools(body)
    form = body.get("response_format")
    kind = form.get("type") if isinstance(form, Mapping) else None
    if kind in ("json_object", "json_schema"):
        yield kind
    modalities = body.get("modalities")
    if isinstance(modalities, Sequence) and "audio" in modalities:
        yield "audio"
    for name in ("n", "logprobs", "logit_bias", "stop"):
        if name in body and not _is_at_rest(name, body[name]):
            yield name
    if body.get("web_search_options") is not None:
        yield "web_search"


def _of_tools(body: Mapping[str, Any]) -> Iterator[str]:
    if body.get("tools") or body.get("functions"):
        yield "tools"
        choice = body.get("tool_choice") or body.get("function_call")
        if choice is not None and choice not in ("auto", "none"):
            yield "tool_choice"
        if body.get("parallel_tool_calls") is False:
            yield "parallel_tool_calls"


def _in_parts(content: Sequence[Any]) -> Iterator[str]:
    for part in content:
        kind = part.get("type") if isinstance(part, (dict, Mapping)) else None
        if kind in _PARTS:
            yield _PARTS[kind]
        if kind == "file" and (part.get("file") or {}).get("file_id"):
            yield "kept_files"


def _is_at_rest(name: str, value: object) -> bool:
    """Does a field ask for nothing, as if it were not there?"""
    return value in _AT_REST.get(name, _NOTHING)


def fit(body: Mapping[str, Any], accepts: Accepts) -> tuple[Mapping[str, Any], tuple[str, ...]]:
    """Return the body as the model takes it, and what was done to it: `-seed` for a parameter that
    was dropped, `max_tokens>max_completion_tokens` for one that was renamed.

    A field of a demand that is refused goes only where it asks for nothing: whoever insists on a
    tier (by its name) hears its upstream's own refusal.
    """
    if accepts is EVERYTHING or accepts == EVERYTHING:
        return body, ()
    fitted, done = dict(body), []
    for old, new in accepts.rename.items():
        if old in fitted:
            value = fitted.pop(old)
            fitted.setdefault(new, value)
            done.append(f"{old}>{new}")
    idle = {name for demand in accepts.refuse for name in _FIELDS.get(demand, ())}
    for name in sorted((accepts.drop | idle) & fitted.keys()):
        if name in accepts.drop or _is_at_rest(name, fitted[name]):
            del fitted[name]
            done.append(f"-{name}")
    return fitted, tuple(done)
