"""OpenAI's chat request on its way in: enough checking that nothing later can stumble."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, Final

from gateway.core.chat import ChatRequest
from gateway.core.errors import BadRequest
from gateway.core.room import CAPS, Caps

Check = Callable[[str, object], None]
_TEXT_OR_PARTS = "a string, a list of parts, or null"
_HELD: Final[Mapping[str, type | tuple[type, ...]]] = {
    "image_url": (dict, str),  # a bare address is no OpenAI's, and often sent
    "input_audio": dict,
    "file": dict,
}
"""What a part of such a type holds under its type's name, which others than the upstream read."""


def parse(body: dict[str, Any], caps: Caps = CAPS) -> ChatRequest:
    """Check what the gateway itself reads and bound what multiplies; keep everything else.

    Raises BadRequest naming the field and what it must be.
    """
    if not isinstance(body.get("model"), str) or not body["model"]:
        raise _wrong("model", "the name of a route or tier")
    _messages(body.get("messages"), caps.messages)
    checks = _fields(caps)
    for field, value in body.items():  # a request has few of them, and says the most in messages
        if field in checks and value is not None:
            checks[field](field, value)
    if "functions" in body:
        _both_kinds_of_tools(body, caps.tools)
    return ChatRequest(body)


def _wrong(field: str, expected: str) -> BadRequest:
    return BadRequest(f"{field} must be {expected}.", param=field)


def _messages(messages: object, most: int) -> None:
    if not isinstance(messages, list) or not messages:
        raise _wrong("messages", "a list of at least one message")
    if len(messages) > most:
        raise _wrong("messages", f"at most {most} messages")
    for index, message in enumerate(messages):
        _message(f"messages[{index}]", message)


def _message(path: str, message: object) -> None:
    if not isinstance(message, dict):
        raise _wrong(path, "an object with role and content")
    if not isinstance(message.get("role"), str) or not message["role"]:
        raise _wrong(f"{path}.role", "a role such as system, user or assistant")
    content = message.get("content")
    if content is None or isinstance(content, str):
        return
    if not isinstance(content, list):
        raise _wrong(f"{path}.content", _TEXT_OR_PARTS)
    for index, part in enumerate(content):
        if not isinstance(part, dict) or not isinstance(part.get("type"), str):
            raise _wrong(f"{path}.content[{index}]", "an object with a type")
        held = _HELD.get(part["type"])
        if held and not isinstance(part.get(part["type"]), held):
            raise _wrong(f"{path}.content[{index}].{part['type']}", "an object")


def _boolean(field: str, value: object) -> None:
    if not isinstance(value, bool):
        raise _wrong(field, "true or false")


def _integer(low: int, high: int) -> Callable[[str, object], None]:
    def check(field: str, value: object) -> None:
        whole = isinstance(value, int) and not isinstance(value, bool)
        if not whole or not low <= value <= high:  # type: ignore[operator]
            raise _wrong(field, f"a whole number from {low} to {high}")

    return check


def _sized(kind: type, most: int, name: str) -> Callable[[str, object], None]:
    def check(field: str, value: object) -> None:
        if not isinstance(value, kind) or len(value) > most:  # type: ignore[arg-type]
            raise _wrong(field, f"{name} with at most {most} entries")

    return check


def _tools(field: str, value: object) -> None:
    for index, tool in enumerate(value if isinstance(value, list) else ()):
        if not isinstance(tool, dict) or not isinstance(tool.get("type"), str):
            raise _wrong(f"{field}[{index}]", "an object with a type")
        function = tool.get("function")
        if tool["type"] == "function" and not _is_function(function):
            raise _wrong(f"{field}[{index}].function", "an object with a name")


def _is_function(value: object) -> bool:
    return (
        isinstance(value, Mapping)
        and isinstance(value.get("name"), str)
        and isinstance(value.get("parameters") or {}, dict)
    )


def _typed_object(field: str, value: object) -> None:
    if not isinstance(value, dict) or not isinstance(value.get("type"), str):
        raise _wrong(field, "an object with a type")
    if value["type"] == "json_schema":
        schema = value.get("json_schema")
        if not isinstance(schema, dict) or not isinstance(schema.get("schema") or {}, dict):
            raise _wrong(f"{field}.json_schema", "an object with a name and a schema")


def _object(field: str, value: object) -> None:
    if not isinstance(value, dict):
        raise _wrong(field, "an object")


def _modalities(field: str, value: object) -> None:
    if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
        raise _wrong(field, "a list of strings")


def _stop(field: str, value: object) -> None:
    if isinstance(value, str):
        return
    if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
        raise _wrong(field, "a string or a list of strings")


@cache
def _fields(caps: Caps) -> Mapping[str, Callable[[str, object], None]]:
    """Return what each field must be; one table for each configuration's caps."""
    return {
        "stream": _boolean,
        "logprobs": _boolean,
        "stream_options": _object,
        "n": _integer(1, caps.n),
        "best_of": _integer(1, caps.n),  # no OpenAI field: vLLM makes as many and keeps `n`
        "max_tokens": _integer(1, caps.max_tokens),
        "max_completion_tokens": _integer(1, caps.max_tokens),
        "top_logprobs": _integer(0, caps.top_logprobs),
        "prompt_logprobs": _integer(0, caps.top_logprobs),  # vLLM's: as many for each prompt token
        "tools": _both(_sized(list, caps.tools, "a list of tools"), _tools),
        "response_format": _typed_object,
        "modalities": _modalities,
        "stop": _both(_stop, _some(list, caps.stop)),
        "logit_bias": _sized(dict, caps.logit_bias, "an object"),
        **_beyond_openai(caps),
    }


def _beyond_openai(caps: Caps) -> Mapping[str, Check]:
    """Bound what multiplies at servers that take more than OpenAI: vLLM, SGLang, TGI, TensorRT-LLM.
    What has another form there is theirs to judge."""
    return {
        "min_tokens": _some(int, caps.max_tokens),
        "num_beams": _some(int, caps.n),
        "beam_width": _some(int, caps.n),
        "stop_token_ids": _some(list, caps.stop),
        "bad_words": _some(list, caps.logit_bias),
        "allowed_token_ids": _some(list, caps.logit_bias),
        "guided_choice": _some(list, caps.logit_bias),
        "functions": _some(list, caps.tools),
    }


def _both_kinds_of_tools(body: Mapping[str, Any], most: int) -> None:
    given = [body[name] for name in ("tools", "functions") if isinstance(body.get(name), list)]
    if sum(map(len, given)) > most:
        raise _wrong("functions", f"a list with at most {most} entries, with those of tools")


def _both(first: Check, second: Check) -> Check:
    def check(field: str, value: object) -> None:
        first(field, value)
        second(field, value)

    return check


def _some(kind: type, most: int) -> Check:
    """Bound what is of a kind, a list's length or a number; what is of another kind is no matter of
    this."""

    def check(field: str, value: object) -> None:
        if kind is list and isinstance(value, list) and len(value) > most:
            raise _wrong(field, f"a list with at most {most} entries")
        if kind is int and isinstance(value, int | float) and value > most:
            raise _wrong(field, f"at most {most}")

    return check
