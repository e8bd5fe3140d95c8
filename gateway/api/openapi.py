"""The OpenAPI document of the main listener, and a page that reads it out: `server.docs: true`.

The schemas say what the gateway itself checks; it passes every other field on. Nothing here is
fetched from anywhere: the page is one answer without scripts.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from html import escape
from typing import Any

from fastapi import Request
from fastapi.responses import HTMLResponse, JSONResponse, Response

import gateway
from gateway.api.openapi_passed import passed_paths

Schema = dict[str, Any]
_MODEL = {"type": "string", "minLength": 1, "description": "a route, an alias or a tier"}
_HEADERS = {
    "x-request-id": "the ledger's id of it, or the client's own",
    "x-waterfall-route": "the route that was asked",
    "x-waterfall-tier": "who served",
    "x-waterfall-start": "where it started, and why",
    "x-waterfall-cost-usd": "what it cost; plain replies",
}
_STATUSES = {
    "400": "The request is wrong; `param` names the field.",
    "401": "No key, or none that is known.",
    "403": "The key may not do this.",
    "404": "No such model, route or endpoint.",
    "413": "The body is too large.",
    "415": "The body is not JSON.",
    "422": "An upstream's own refusal of the request.",
    "429": "A limit is reached; `Retry-After` says when to come back.",
    "500": "The gateway failed.",
    "502": "No upstream could answer.",
    "503": "Overloaded, starting or stopping.",
    "504": "Out of time.",
}


def document() -> Schema:
    """Return the document."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Waterfall",
            "version": gateway.__version__,
            "description": "An OpenAI-compatible gateway: the cheapest model that is good enough.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "security": [{"key": []}, {}],
        "paths": dict(_paths()),
        "components": {"schemas": _schemas(), "securitySchemes": {"key": _BEARER}},
    }


_BEARER = {"type": "http", "scheme": "bearer", "description": "not asked for while no keys are set"}


def _schemas() -> Schema:
    nullable = ["string", "null"]
    error = {
        "message": {"type": "string"},
        "type": {"type": "string"},
        "param": {"type": nullable},
        "code": {"type": nullable},
    }
    return {
        "Error": _object({"error": _object(error, required=[*error])}, required=["error"]),
        "Any": {"type": "object"},
        "AnyError": _object({"error": {"type": "object"}}, required=["error"]),
        "MessagesRequest": _object(
            {"model": _MODEL, "messages": {"type": "array", "minItems": 1}},
            required=["model", "messages"],
        ),
        "ResponsesRequest": _object(
            {"model": _MODEL, "input": {"type": ["string", "array"]}}, required=["model", "input"]
        ),
        "CompletionsRequest": _object(
            {"model": _MODEL, "prompt": {"type": ["string", "array"]}},
            required=["model", "prompt"],
        ),
        "Feedback": _object(
            {"request_id": {"type": "string"}, "score": {"type": ["number", "boolean"]}},
            required=["request_id", "score"],
        ),
        "Message": _object(
            {
                "role": {"type": "string", "minLength": 1},
                "content": {"type": ["string", "array", "null"]},
            },
            required=["role"],
        ),
        "ChatRequest": _object(
            {
                "model": _MODEL,
                "messages": {
                    "type": "array",
                    "minItems": 1,
                    "items": {"$ref": "#/components/schemas/Message"},
                },
                "stream": {"type": ["boolean", "null"]},
                "temperature": {"type": ["number", "null"], "minimum": 0, "maximum": 2},
                "max_completion_tokens": {"type": ["integer", "null"], "minimum": 1},
            },
            required=["model", "messages"],
        ),
        "ChatReply": _object(
            {
                "choices": {"type": "array", "items": {"type": "object"}},
                "model": {"type": "string"},
            },
            required=["choices"],
        ),
        "Plan": _object(
            {
                "object": {"const": "waterfall.plan"},
                "route": {"type": "string"},
                "difficulty": {"type": ["number", "null"]},
                "start": {"type": "object"},
                "tiers": {"type": "array"},
            },
            required=["object", "route", "difficulty", "start", "tiers"],
        ),
        "Model": _object(
            {"id": {"type": "string"}, "object": {"const": "model"}}, required=["id", "object"]
        ),
        "Models": _object(
            {
                "object": {"const": "list"},
                "data": {"type": "array", "items": {"$ref": "#/components/schemas/Model"}},
            },
            required=["object", "data"],
        ),
        "Status": _object({"status": {"enum": ["ok", "unready"]}}, required=["status"]),
    }


def _object(properties: Schema, required: list[str]) -> Schema:
    return {"type": "object", "properties": properties, "required": required}


def _paths() -> Iterator[tuple[str, Schema]]:
    yield (
        "/v1/chat/completions",
        _post("Ask the waterfall", "ChatRequest", "ChatReply", events=True),
    )
    yield "/v1/route", _post("Say what would happen to a request; calls no model", "ChatRequest",
                             "Plan")  # fmt: skip
    for path, told, asks in _DIALECTS:
        yield path, _post(told, asks, "Any", events=True, error="AnyError")
    yield "/v1/feedback", _post("Say what somebody thought of an answer", "Feedback", "Any")
    yield from passed_paths(_errors())
    yield "/v1/models", _get("List what can be asked", "Models")
    one = _get("One of them", "Model")
    one["get"]["parameters"] = [
        {"name": "model", "in": "path", "required": True, "schema": {"type": "string"}}
    ]
    yield "/v1/models/{model}", one
    yield "/health/live", _get("Is it alive?", "Status", open_to_all=True)
    ready = _get("Can it serve?", "Status", open_to_all=True)
    ready["get"]["responses"]["503"] = _json("It cannot.", "Status")
    yield "/health/ready", ready


_DIALECTS = (
    ("/v1/messages", "The same in Anthropic's Messages", "MessagesRequest"),
    ("/v1/messages/count_tokens", "Estimate a prompt's tokens", "MessagesRequest"),
    ("/v1/responses", "The same in OpenAI's Responses", "ResponsesRequest"),
    ("/v1/completions", "The same in OpenAI's legacy completions", "CompletionsRequest"),
)
_SAID = [{"role": "user", "content": "Say hello."}]
_EXAMPLES: Mapping[str, Schema] = {
    "ChatRequest": {"model": "waterfall", "messages": _SAID},
    "MessagesRequest": {"model": "waterfall", "messages": _SAID, "max_tokens": 64},
    "ResponsesRequest": {"model": "waterfall", "input": "Say hello."},
    "CompletionsRequest": {"model": "waterfall", "prompt": "Say hello."},
}


def _post(
    told: str, asks: str, answers: str, *, events: bool = False, error: str = "Error"
) -> Schema:
    reply = _json("The answer.", answers, headers=True)
    if events:
        event = _object({"data": {"type": "string"}}, required=["data"])
        reply["content"]["text/event-stream"] = {"schema": event}
    asked: Schema = {"schema": {"$ref": f"#/components/schemas/{asks}"}}
    if asks in _EXAMPLES:
        asked["example"] = _EXAMPLES[asks]
    body = {"application/json": asked}
    return {
        "post": {
            "summary": told,
            "requestBody": {"required": True, "content": body},
            "responses": {"200": reply, **_errors(error)},
        }
    }


def _get(told: str, answers: str, *, open_to_all: bool = False) -> Schema:
    errors = {} if open_to_all else _errors()
    own: Schema = {"summary": told, "responses": {"200": _json("It is.", answers), **errors}}
    return {"get": own | ({"security": []} if open_to_all else {})}


def _json(told: str, schema: str, *, headers: bool = False) -> Schema:
    content = {"application/json": {"schema": {"$ref": f"#/components/schemas/{schema}"}}}
    reply: Schema = {"description": told, "content": content}
    if headers:
        reply["headers"] = {
            name: {"description": text, "schema": {"type": "string"}}
            for name, text in _HEADERS.items()
        }
    return reply


def _errors(error: str = "Error") -> Schema:
    content = {"application/json": {"schema": {"$ref": f"#/components/schemas/{error}"}}}
    return {status: {"description": told, "content": content} for status, told in _STATUSES.items()}


DOCUMENT = document()


async def openapi(request: Request) -> Response:
    """`GET /openapi.json`."""
    del request
    return JSONResponse(DOCUMENT)


async def docs(request: Request) -> Response:
    """`GET /docs`: the document read out."""
    del request
    return HTMLResponse(page(DOCUMENT), headers={"content-security-policy": _POLICY})


_POLICY = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"
_STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:44rem;margin:2rem auto;padding:0 1rem;"
    "color-scheme:light dark}code{font-size:.95em}h2{margin:2rem 0 .2rem}"
    "td{padding:.1rem 1rem .1rem 0;vertical-align:top}"
)


def page(told: Mapping[str, Any]) -> str:
    """Write the document as a page."""
    info = told["info"]
    parts = [
        f"<h1>{escape(info['title'])} {escape(info['version'])}</h1>",
        f"<p>{escape(info['description'])}</p>",
        '<p>The same for machines: <a href="/openapi.json">openapi.json</a>.</p>',
        "<p>Every other field of a request is passed on as it is.</p>",
    ]
    for path, methods in told["paths"].items():
        for method, own in methods.items():
            parts.append(f"<h2><code>{method.upper()} {escape(path)}</code></h2>")
            parts.append(f"<p>{escape(own['summary'])}.</p><table>")
            for status, reply in own["responses"].items():
                what = escape(reply["description"])
                parts.append(f"<tr><td><code>{status}</code></td><td>{what}</td></tr>")
            parts.append("</table>")
    title = escape(info["title"])
    head = f'<meta charset="utf-8"><title>{title}</title><style>{_STYLE}</style>'
    return f'<!doctype html><html lang="en"><head>{head}</head><body>{"".join(parts)}</body></html>'
