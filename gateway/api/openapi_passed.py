"""What the OpenAPI document says of the endpoints that one upstream answers as they are."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

_JSON = "application/json"
_FORM = "multipart/form-data"
_ANY = "*/*"
_TO_NAMED = "Passed through to the upstream that is named for it"
_TO_KEEPER = "Passed through to the upstream that keeps the response"
# path, method, what it takes, what it answers
_PASSED = (
    ("/v1/embeddings", "post", _JSON, _JSON),
    ("/v1/moderations", "post", _JSON, _JSON),
    ("/v1/audio/speech", "post", _JSON, _ANY),
    ("/v1/audio/transcriptions", "post", _FORM, _ANY),
    ("/v1/audio/translations", "post", _FORM, _ANY),
    ("/v1/images/generations", "post", _JSON, _ANY),
    ("/v1/images/edits", "post", _FORM, _ANY),
    ("/v1/images/variations", "post", _FORM, _JSON),
    ("/v1/files", "get", "", _JSON),
    ("/v1/files", "post", _FORM, _JSON),
    ("/v1/files/{id}", "get", "", _JSON),
    ("/v1/files/{id}", "delete", "", _JSON),
    ("/v1/files/{id}/content", "get", "", _ANY),
    ("/v1/batches", "get", "", _JSON),
    ("/v1/batches", "post", _JSON, _JSON),
    ("/v1/batches/{id}", "get", "", _JSON),
    ("/v1/batches/{id}/cancel", "post", "", _JSON),
    ("/v1/responses/{id}", "get", "", _ANY),
    ("/v1/responses/{id}", "delete", "", _JSON),
    ("/v1/responses/{id}/input_items", "get", "", _JSON),
    ("/v1/responses/{id}/cancel", "post", "", _JSON),
)
_ID = {
    "name": "id",
    "in": "path",
    "required": True,
    "schema": {"type": "string", "pattern": "^[A-Za-z0-9._:-]{1,200}$"},
}


def passed_paths(errors: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield each path with its methods; `errors` are the answers of one that fails."""
    found: dict[str, dict[str, Any]] = {}
    for path, method, takes, answers in _PASSED:
        own: dict[str, Any] = found.setdefault(path, {})
        own[method] = _operation(path, takes, answers, errors)
    yield from found.items()


def _operation(path: str, takes: str, answers: str, errors: dict[str, Any]) -> dict[str, Any]:
    told: dict[str, Any] = {
        "summary": _TO_KEEPER if path.startswith("/v1/responses/") else _TO_NAMED,
        "responses": {
            "200": {
                "description": "The upstream's own answer.",
                "content": {answers: {"schema": {"type": "object"} if answers == _JSON else {}}},
            },
            **errors,
        },
    }
    if takes:
        told["requestBody"] = {"required": True, "content": {takes: {"schema": {"type": "object"}}}}
    if "{id}" in path:
        told["parameters"] = [_ID]
    return told
