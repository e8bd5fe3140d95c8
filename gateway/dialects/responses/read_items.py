"""The items of a client's Responses, read as a chat's messages."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from gateway.dialects.responses.namespaces import flat
from gateway.dialects.shapes import listed, mapping, name, text, told_and_shown, wrong

MOST: Final = 100_000
_ROLES: Final = ("user", "assistant", "system", "developer")
_Part = dict[str, Any]


class Items:
    """A conversation on its way into `chat`. `only` names what no chat can say, `dropped` what one
    does not hear and need not."""

    def __init__(self) -> None:
        """Begin with nothing said."""
        self.chat: list[_Part] = []
        self.only: list[str] = []
        self.dropped: list[str] = []
        self._shown: list[_Part] = []

    def instructions(self, value: object) -> None:
        """Take what the system is told. Raises BadRequest."""
        if value:
            self.chat.append({"role": "system", "content": text(value, "instructions")})

    def input(self, value: object, *, may_be_empty: bool) -> None:
        """Take the input. Raises BadRequest."""
        if isinstance(value, str):
            self.chat.append({"role": "user", "content": value})
            return
        items = [] if value is None and may_be_empty else listed(value, "input")
        if len(items) > MOST:
            raise wrong("input", f"at most {MOST} items")
        for index, item in enumerate(items):
            where = f"input[{index}]"
            self._item(mapping(item, where), where)
        self._show()
        if not self.chat:
            if not (may_be_empty or self.only):
                raise wrong("input", "a text or a list of at least one item")
            self.chat.append({"role": "user", "content": ""})

    def _item(self, item: Mapping[str, Any], where: str) -> None:
        kind = item.get("type") or "message"
        if kind != "function_call_output":
            self._show()
        if kind == "message":
            self._message(item, where)
        elif kind == "function_call":
            self._call(item, where)
        elif kind == "function_call_output":
            called = name(item.get("call_id"), f"{where}.call_id")
            told, shown = told_and_shown(self._content(item.get("output"), f"{where}.output"))
            self.chat.append({"role": "tool", "tool_call_id": called, "content": told})
            self._shown += shown
        elif kind == "reasoning":
            self.dropped.append("reasoning items")
        else:
            self.only.append(f"item {str(kind)[:60]}")

    def _show(self) -> None:
        """Let the user show what the tools have returned beside text, after the last of them."""
        if self._shown:
            self.chat.append({"role": "user", "content": self._shown})
            self._shown = []

    def _message(self, item: Mapping[str, Any], where: str) -> None:
        role = item.get("role")
        if role not in _ROLES:
            raise wrong(f"{where}.role", "user, assistant, system or developer")
        told = self._content(item.get("content"), f"{where}.content")
        self.chat.append({"role": role, "content": told})

    def _call(self, item: Mapping[str, Any], where: str) -> None:
        """A call joins the message that it was said with: the calls of one turn are one message."""
        function = {
            "name": flat(item.get("namespace"), name(item.get("name"), f"{where}.name")),
            "arguments": text(item.get("arguments"), f"{where}.arguments"),
        }
        called = name(item.get("call_id"), f"{where}.call_id")
        call = {"id": called, "type": "function", "function": function}
        last = self.chat[-1] if self.chat else {}
        if last.get("role") != "assistant":
            last = {"role": "assistant", "content": None}
            self.chat.append(last)
        last.setdefault("tool_calls", []).append(call)

    def _content(self, value: object, where: str) -> Any:
        if isinstance(value, str):
            return value
        parts = list(self._parts(value, where))
        if len(parts) == 1 and parts[0]["type"] == "text":
            return parts[0]["text"]
        return parts

    def _parts(self, value: object, where: str) -> Iterator[_Part]:
        for index, part in enumerate(listed(value, where)):
            at = f"{where}[{index}]"
            kind = text(mapping(part, at).get("type"), f"{at}.type")
            if kind in {"input_text", "output_text"}:
                yield {"type": "text", "text": text(part.get("text"), f"{at}.text")}
            elif kind == "refusal":
                yield {"type": "text", "text": text(part.get("refusal"), f"{at}.refusal")}
            elif kind == "input_image":
                yield self._image(part)
            elif kind == "input_file":
                yield self._file(part)
            elif kind == "input_audio":
                yield {"type": "input_audio", "input_audio": part.get("input_audio")}
            else:
                self.only.append(f"content {kind[:60]}")

    def _image(self, part: Mapping[str, Any]) -> _Part:
        url = part.get("image_url")
        if not isinstance(url, str):
            self.only.append("image by id")
            return {"type": "text", "text": ""}
        image = {"url": url}
        if isinstance(part.get("detail"), str):
            image["detail"] = part["detail"]
        return {"type": "image_url", "image_url": image}

    def _file(self, part: Mapping[str, Any]) -> _Part:
        if part.get("file_url"):
            self.only.append("file by URL")
        known = ("file_id", "file_data", "filename")
        file = {key: part[key] for key in known if isinstance(part.get(key), str)}
        return {"type": "file", "file": file}
