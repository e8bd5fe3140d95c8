"""How large a prompt is beside the text of its messages: calls of tools and what they return,
schemas, files, and whatever else a request carries that its upstream reads, and bills."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from gateway.core.chat import ChatRequest, Message
from gateway.core.native import NativeRequest

SOUND = 64
"""Characters of a sound or film, in base64, that are taken for one of text: what is heard comes to
about ten tokens a second, a kilobyte each."""
_TUNES = frozenset(
    "model messages tools stream stream_options temperature top_p top_k n max_tokens "
    "max_completion_tokens stop user metadata logit_bias seed logprobs top_logprobs tool_choice "
    "parallel_tool_calls presence_penalty frequency_penalty service_tier store reasoning_effort "
    "verbosity modalities safety_identifier prompt_cache_key prompt_cache_retention".split()
)
"""Fields of a chat that are counted elsewhere, or are no part of a prompt."""
_SHOWN = frozenset({"text", "image_url"})
"""Parts that are counted elsewhere: text as text, an image as one."""
_HEARD = frozenset({"input_audio", "video_url", "input_video"})
_HOLDERS: Mapping[object, str] = {
    None: "content",
    "message": "content",
    "tool_result": "content",
    "function_call_output": "output",
}
"""Blocks that hold others, and in which field."""
_READ = frozenset(
    "text image tool_use function_call input_text output_text refusal input_image input_file "
    "input_audio".split()
)
"""Blocks of other dialects that the chat has in its own words; what is none of them is only in the
request as it came. A document is read in part."""
_ALSO = {"messages": "mcp_servers", "responses": "prompt"}
"""Of a dialect, the field that no chat has and its upstream reads."""
_TOOL = frozenset("type name description input_schema parameters strict cache_control".split())


def size_of(text: str) -> int:
    """Return a text's size in bytes of UTF-8: by these, at four a token, a text in any script costs
    about the same, where its characters would be a fraction of it."""
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))


def beside_text(request: ChatRequest) -> tuple[int, int]:
    """Measure what no text of a message holds, in characters that cost like text; and those of
    files, by their size: what is in one nobody can say before its provider does. A plain
    conversation is only looked through."""
    chars = files = 0
    body = request.body
    for name, value in body.items():  # a difference of sets costs three times as much
        if name not in _TUNES:
            chars += _size(value)
    for message in request.messages:
        if len(message) > 2:
            chars += _fields(message)
        content = message.get("content")
        if not isinstance(content, str) and isinstance(content, Sequence):
            said, filed = _parts(content)
            chars += said
            files += filed
    if request.native is not None:
        chars += _unread(request.native)
    return chars, files


def _fields(message: Message) -> int:
    """Measure a message's calls, in either of their forms, and all it has beside its content."""
    size = 0
    for name, value in message.items():
        if name == "tool_calls" and isinstance(value, Sequence):
            size += sum(_call(each) for each in value)
        elif name not in {"role", "content"}:
            size += _size(value)
    return size


def _call(call: object) -> int:
    function = call.get("function") if isinstance(call, Mapping) else None
    if isinstance(function, Mapping):
        said = [function.get("name"), function.get("arguments")]
        if len(function) == len(said) and all(isinstance(each, str) for each in said):
            return sum(_size(each) for each in said)
    return _size(call)


def _parts(content: Sequence[Any]) -> tuple[int, int]:
    chars = files = 0
    for part in content:
        kind = part.get("type") if isinstance(part, (dict, Mapping)) else None
        if kind in _SHOWN:
            continue
        if kind == "file":
            files += _size(part)
        else:
            chars += _size(part) // SOUND if kind in _HEARD else _size(part)
    return chars, files


def _unread(native: NativeRequest) -> int:
    """Measure what a request in another dialect has that the chat's words of it have not."""
    body, size = native.body, 0
    for name in ("messages", "input", "system"):
        size += _blocks(body.get(name))
    for tool in _listed(body.get("tools")):
        size += 0 if not isinstance(tool, Mapping) or tool.keys() <= _TOOL else _tool(tool)
    return size + _size(body.get(_ALSO[native.wire])) if native.wire in _ALSO else size


def _tool(tool: Mapping[str, Any]) -> int:
    return _size({name: value for name, value in tool.items() if name not in _TOOL})


def _blocks(value: object) -> int:
    size = 0
    for block in _listed(value):
        if not isinstance(block, Mapping):
            continue
        kind = block.get("type")
        if kind in _HOLDERS:
            size += _blocks(block.get(_HOLDERS[kind]))
        elif kind == "document":
            size += _document(block)
        elif kind not in _READ:
            size += _size(block)
    return size


def _document(block: Mapping[str, Any]) -> int:
    source = block.get("source")
    read = isinstance(source, Mapping) and source.get("type") in {"text", "base64"}
    return _size(block.get("title")) + _size(block.get("context")) + (0 if read else _size(source))


def _listed(value: object) -> Iterable[Any]:
    return value if isinstance(value, list | tuple) else ()


def _size(value: object) -> int:
    """Return the size of a text, and of an object or list as JSON; a number or flag has none."""
    if isinstance(value, str):
        return size_of(value)
    if isinstance(value, Mapping | list | tuple):
        return size_of(json.dumps(value, ensure_ascii=False)) if value else 0
    return 0
