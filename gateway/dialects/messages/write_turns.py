"""A chat's conversation in the words of Anthropic's Messages: what the system is told, and turns
that take turns."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import orjson

from gateway.core.errors import CannotCarry

_SYSTEM = ("system", "developer")
_PDF = "application/pdf"
_MEDIA = {"image/jpg": "image/jpeg"}
"""What Anthropic calls a kind of image that others know by another name too."""
_Block = dict[str, Any]


def turns(messages: Sequence[Mapping[str, Any]]) -> tuple[str | list[_Block], list[_Block]]:
    """Return what the system is told (one text, unless a part of it has a mark of its own), and the
    messages, of which no two of one role follow each other. Raises CannotCarry."""
    system: list[_Block] = []
    told: list[_Block] = []
    names: dict[str, str] = {}
    for index, message in enumerate(messages):
        where = f"messages[{index}]"
        role = message.get("role")
        if role in _SYSTEM:
            system += _parts(message.get("content"), where)
            continue
        if role == "assistant":
            _add(told, "assistant", _said(message, where, names))
        elif role in {"tool", "function"}:
            _add(told, "user", [_result(message, where, names)])
        else:
            _add(told, "user", _parts(message.get("content"), where))
    _trim_end(told)
    if not told and system:  # there is no asking without a turn of the user's
        return "", [{"role": "user", "content": system}]
    return _joined(system), told


def _add(told: list[_Block], role: str, blocks: Iterable[_Block]) -> None:
    blocks = list(blocks)
    if not blocks:
        return
    if told and told[-1]["role"] == role:
        told[-1]["content"] += blocks
    else:
        told.append({"role": role, "content": blocks})


def _joined(system: Sequence[_Block]) -> str | list[_Block]:
    if any(block.keys() != {"type", "text"} for block in system):
        return list(system)
    return "\n\n".join(block["text"] for block in system)


def _trim_end(told: list[_Block]) -> None:
    """A last word that the model is to go on with may not end in white space."""
    if told and told[-1]["role"] == "assistant":
        last = told[-1]["content"][-1]
        if last["type"] == "text":
            last["text"] = last["text"].rstrip()
            if not last["text"]:
                told[-1]["content"].pop()
        if not told[-1]["content"]:
            told.pop()


# ------------------------------------------------------------------ what was said


def _said(message: Mapping[str, Any], where: str, names: dict[str, str]) -> Iterator[_Block]:
    for block in message.get("thinking_blocks") or ():
        yield dict(block)
    yield from _parts(message.get("content"), where)
    if isinstance(message.get("refusal"), str) and message["refusal"]:
        yield {"type": "text", "text": message["refusal"]}
    calls = message.get("tool_calls") or ()
    old = message.get("function_call")
    if old and not calls:
        calls = [{"id": _old_id(old["name"], names), "type": "function", "function": old}]
    for place, call in enumerate(calls):
        yield _call(call, f"{where}.tool_calls[{place}]", names)


def _old_id(name: str, names: Mapping[str, str]) -> str:
    """Return an id for a function's call, which has none: another one for each of the same name."""
    first = f"call_{name}"
    before = names.get(name, "")
    if before != first and not before.startswith(f"{first}_"):
        return first
    count = before.removeprefix(first).lstrip("_")
    return f"{first}_{int(count or 1) + 1}"


def _call(call: Mapping[str, Any], where: str, names: dict[str, str]) -> _Block:
    function = call.get("function")
    if not isinstance(function, Mapping):
        raise CannotCarry(
            f"{where} is no call of a function, and Anthropic's Messages take no other.",
            param=where,
        )
    text = function.get("arguments") or "{}"
    try:
        arguments = text if isinstance(text, Mapping) else orjson.loads(text)
    except orjson.JSONDecodeError:
        arguments = None
    if not isinstance(arguments, Mapping):
        raise CannotCarry(
            f"{where}.function.arguments must be JSON of an object for Anthropic's Messages.",
            param=f"{where}.function.arguments",
        )
    names[str(function.get("name"))] = str(call.get("id"))
    return {"type": "tool_use", "id": call.get("id"), "name": function["name"], "input": arguments}


def _result(message: Mapping[str, Any], where: str, names: Mapping[str, str]) -> _Block:
    call = message.get("tool_call_id") or names.get(str(message.get("name")), "")
    block: _Block = {"type": "tool_result", "tool_use_id": call}
    content = message.get("content")
    if isinstance(content, str):
        block["content"] = content
    elif content:
        block["content"] = list(_parts(content, where))
    if message.get("is_error"):
        block["is_error"] = True
    if message.get("cache_control"):
        block["cache_control"] = message["cache_control"]
    return block


# ------------------------------------------------------------------ parts of a content


def _parts(content: object, where: str) -> Iterator[_Block]:
    if isinstance(content, str):
        if content:
            yield {"type": "text", "text": content}
        return
    for place, part in enumerate(content if isinstance(content, Sequence) else ()):
        block = _part(part, f"{where}.content[{place}]")
        if block is not None:
            mark = part.get("cache_control")
            yield block | {"cache_control": mark} if mark else block


def _part(part: Mapping[str, Any], where: str) -> _Block | None:
    kind = part.get("type")
    if kind in {"text", "refusal"}:
        text = part.get(kind)
        return {"type": "text", "text": text} if text else None
    if kind == "image_url":
        return {"type": "image", "source": _source(_url(part), where)}
    if kind == "file":
        return _document(part.get("file") or {}, where)
    if kind in {"image", "document", "search_result"}:
        return {name: value for name, value in part.items() if name != "cache_control"}
    raise CannotCarry(
        f"{where}: Anthropic's Messages have no content of type {str(kind)[:50]!r}.", param=where
    )


def _url(part: Mapping[str, Any]) -> str:
    image = part["image_url"]
    return str(image.get("url") if isinstance(image, Mapping) else image)


def _source(url: str, where: str) -> dict[str, str]:
    """Return where an image or document is: within the URL itself, or at it."""
    if not url.startswith("data:"):
        return {"type": "url", "url": url}
    head, comma, data = url.removeprefix("data:").partition(",")
    media, *options = head.split(";")
    if not comma or "base64" not in options:
        raise CannotCarry(f"{where}: a data: URL must hold base64.", param=where)
    return {"type": "base64", "media_type": _MEDIA.get(media, media), "data": data}


def _document(file: Mapping[str, Any], where: str) -> _Block:
    data = file.get("file_data")
    if not isinstance(data, str):
        raise CannotCarry(
            f"{where}: a file that OpenAI keeps cannot go to Anthropic; send file_data.",
            param=where,
        )
    url = data if data.startswith("data:") else f"data:{_PDF};base64,{data}"
    named = {"title": file["filename"]} if file.get("filename") else {}
    return {"type": "document", "source": _readable(_source(url, where), where), **named}


def _readable(source: dict[str, str], where: str) -> dict[str, str]:
    """Return a document's source as Anthropic reads it: a PDF as base64, a text as text. Raises
    CannotCarry for what is neither."""
    media = source.get("media_type", _PDF)
    if media == _PDF:
        return source
    if not media.startswith("text/"):
        told = f"{where}: Anthropic's Messages take PDFs and texts, no {media[:60]!r}."
        raise CannotCarry(told, param=where)
    try:
        text = base64.b64decode(source["data"], validate=True).decode()
    except ValueError as error:
        raise CannotCarry(f"{where}: a text must be base64 of UTF-8.", param=where) from error
    return {"type": "text", "media_type": "text/plain", "data": text}
