"""The turns of a client's Messages, read as a chat's messages."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

import orjson

from gateway.dialects.names import short
from gateway.dialects.shapes import listed, mapping, name, text, told_and_shown, wrong

MOST: Final = 100_000
"""Messages: Anthropic's own bound."""
_THOUGHTS: Final = ("thinking", "redacted_thinking")
_Part = dict[str, Any]


class Turns:
    """A conversation on its way into `chat`. `only` names what no chat can say, `dropped` what one
    does not hear and need not."""

    def __init__(self) -> None:
        """Begin with nothing said."""
        self.chat: list[_Part] = []
        self.only: list[str] = []
        self.dropped: list[str] = []

    def system(self, value: object) -> None:
        """Take what the system is told. Raises BadRequest."""
        if value is None:
            return
        if isinstance(value, str):
            if value:
                self.chat.append({"role": "system", "content": value})
            return
        parts = [self._part(block, where) for block, where in _blocks(value, "system")]
        if parts:
            self.chat.append({"role": "system", "content": _joined(parts)})

    def messages(self, value: object) -> None:
        """Take the turns. Raises BadRequest."""
        turns = listed(value, "messages")
        if not turns:
            raise wrong("messages", "a list of at least one message")
        if len(turns) > MOST:
            raise wrong("messages", f"at most {MOST} messages")
        for index, turn in enumerate(turns):
            where = f"messages[{index}]"
            role = mapping(turn, where).get("role")
            if role == "assistant":
                self._said(turn.get("content"), f"{where}.content")
            elif role in ("user", "system"):  # no set: it may be anything
                self._heard(str(role), turn.get("content"), f"{where}.content")
            else:
                raise wrong(f"{where}.role", "user, assistant or system")

    def _heard(self, role: str, content: object, where: str) -> None:
        """A user's turn. The results of tools are messages of their own, before the rest; images
        and files among them are shown by the user."""
        if isinstance(content, str):
            self.chat.append({"role": role, "content": content})
            return
        parts = []
        for block, at in _blocks(content, where):
            if block.get("type") == "tool_result":
                result = self._result(block, at)
                result["content"], shown = told_and_shown(result["content"])
                self.chat.append(result)
                parts += shown
            else:
                parts.append(self._part(block, at))
        if parts:
            self.chat.append({"role": role, "content": _joined(parts)})

    def _result(self, block: Mapping[str, Any], where: str) -> _Part:
        self._note_mark(block)
        call = name(block.get("tool_use_id"), f"{where}.tool_use_id")
        content = block.get("content")
        if isinstance(content, str) or content is None:
            told: Any = content or ""
        else:
            inner = _blocks(content, f"{where}.content")
            told = _joined([self._part(each, at) for each, at in inner])
        if block.get("is_error"):
            failed = [{"type": "text", "text": "Error:"}]
            told = f"Error: {told}" if isinstance(told, str) else [*failed, *told]
        return {"role": "tool", "tool_call_id": call, "content": told}

    def _said(self, content: object, where: str) -> None:
        """An assistant's turn."""
        if isinstance(content, str):
            self.chat.append({"role": "assistant", "content": content})
            return
        parts, calls = [], []
        for block, at in _blocks(content, where):
            kind = block.get("type")
            if kind in _THOUGHTS:
                self.dropped.append("thinking")
            elif kind == "tool_use":
                calls.append(self._call(block, at))
            elif kind == "text":
                parts.append(self._part(block, at))
            else:
                self.only.append(f"content {str(kind)[:60]}")
        said: _Part = {"role": "assistant", "content": _joined(parts) if parts else None}
        if calls:
            said["tool_calls"] = calls
        elif not parts:
            said["content"] = ""
        self.chat.append(said)

    def _call(self, block: Mapping[str, Any], where: str) -> _Part:
        self._note_mark(block)
        arguments = mapping(block.get("input"), f"{where}.input")
        function = {
            "name": short(name(block.get("name"), f"{where}.name")),
            "arguments": orjson.dumps(arguments).decode(),
        }
        called = name(block.get("id"), f"{where}.id")
        return {"id": called, "type": "function", "function": function}

    def _part(self, block: Mapping[str, Any], where: str) -> _Part:
        self._note_mark(block)
        kind = block.get("type")
        if kind == "text":
            return {"type": "text", "text": text(block.get("text"), f"{where}.text")}
        if kind == "image":
            url = self._url(block.get("source"), f"{where}.source", "image")
            return {"type": "image_url", "image_url": {"url": url}}
        if kind == "document":
            return self._document(block, where)
        self.only.append(f"content {str(kind)[:60]}")
        return {"type": "text", "text": ""}

    def _document(self, block: Mapping[str, Any], where: str) -> _Part:
        source = mapping(block.get("source"), f"{where}.source")
        if source.get("type") == "text":
            return {"type": "text", "text": text(source.get("data"), f"{where}.source.data")}
        url = self._url(source, f"{where}.source", "document")
        if not url.startswith("data:"):
            self.only.append("document by URL")
        title = block.get("title")
        file = {"filename": title if isinstance(title, str) else "document", "file_data": url}
        return {"type": "file", "file": file}

    def _url(self, value: object, where: str, what: str) -> str:
        source = mapping(value, where)
        if source.get("type") == "url":
            return text(source.get("url"), f"{where}.url")
        if source.get("type") == "base64":
            media = text(source.get("media_type"), f"{where}.media_type")
            return f"data:{media};base64,{text(source.get('data'), f'{where}.data')}"
        self.only.append(f"{what} from {str(source.get('type'))[:60]}")
        return ""

    def _note_mark(self, block: Mapping[str, Any]) -> None:
        if block.get("cache_control"):
            self.dropped.append("cache_control")


def _blocks(value: object, where: str) -> Iterator[tuple[Mapping[str, Any], str]]:
    if not isinstance(value, list):
        raise wrong(where, "a string or a list of blocks")
    for index, block in enumerate(value):
        at = f"{where}[{index}]"
        if not isinstance(mapping(block, at).get("type"), str):
            raise wrong(at, "an object with a type")
        yield block, at


def _joined(parts: list[_Part]) -> Any:
    """One text is just that; several blocks stay parts."""
    if len(parts) == 1 and parts[0]["type"] == "text":
        return parts[0]["text"]
    return parts
