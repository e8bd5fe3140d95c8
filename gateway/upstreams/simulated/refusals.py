"""What a provider refuses to answer: requests out of shape or out of range, in OpenAI's words."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

_TYPES = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    429: "rate_limit_error",
}


class Declined(Exception):
    """The provider answers with an error. `status` is HTTP's."""

    def __init__(
        self, status: int, message: str, code: str | None = None, param: str | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.param = param

    def body(self) -> bytes:
        """Return the error as OpenAI's JSON."""
        return error_body(self.status, str(self), self.code, self.param)


def error_body(
    status: int, message: str, code: str | None = None, param: str | None = None
) -> bytes:
    """Return an error as OpenAI's JSON."""
    kind = _TYPES.get(status, "invalid_request_error" if status < 500 else "server_error")
    error = {"message": message, "type": kind, "param": param, "code": code}
    return json.dumps({"error": error}).encode()


def admit(body: Mapping[str, Any]) -> None:
    """Check the fields whose shape the simulation relies on. Raises Declined."""
    _need(isinstance(body.get("model"), str) and bool(body["model"]), "model", "must be a name")
    _admit_messages(body.get("messages"))
    for name, low, high in (
        ("n", 1, 128),
        ("max_tokens", 1, 10**9),
        ("max_completion_tokens", 1, 10**9),
        ("top_logprobs", 0, 20),
    ):
        _need(_in_range(body.get(name), low, high), name, f"must be from {low} to {high}")
    _need(
        not body.get("top_logprobs") or bool(body.get("logprobs")),
        "top_logprobs",
        "needs logprobs",
    )
    stop = body.get("stop")
    _need(stop is None or isinstance(stop, str) or _all(stop, str), "stop", "must be text or texts")
    _need(body.get("tools") is None or _all(body["tools"], Mapping), "tools", "must be a list")
    _need(_is_sound(body.get("response_format")), "response_format", "must be an object")


def _admit_messages(messages: object) -> None:
    _need(_all(messages, Mapping) and bool(messages), "messages", "must be a list with a message")


def _all(values: object, kind: Any) -> bool:
    return isinstance(values, list | tuple) and all(isinstance(value, kind) for value in values)


def _in_range(value: object, low: int, high: int) -> bool:
    if value is None:
        return True
    return isinstance(value, int) and not isinstance(value, bool) and low <= value <= high


def _is_sound(wanted: object) -> bool:
    if wanted is None:
        return True
    inner = wanted.get("json_schema", {}) if isinstance(wanted, Mapping) else None
    return isinstance(inner, Mapping) and isinstance(inner.get("schema", {}), Mapping)


def _need(holds: bool, param: str, rule: str) -> None:
    if not holds:
        raise Declined(400, f"`{param}` {rule}.", "invalid_value", param)
