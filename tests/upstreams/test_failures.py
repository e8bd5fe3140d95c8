"""Statuses, error bodies and Retry-After to the core's errors, as real servers say them."""

from __future__ import annotations

import orjson
import pytest

from gateway.core.errors import (
    ContentRefused,
    ContextTooLong,
    NotFoundThere,
    UpstreamBusy,
    UpstreamDown,
    UpstreamOverloaded,
    UpstreamRefusedUs,
    UpstreamRejected,
    UpstreamTimeout,
)
from gateway.upstreams.failures import (
    from_reply,
    from_wire,
    in_event,
    in_payload,
)
from gateway.upstreams.http1 import Broken, ConnectFailed, TimedOut, TooLarge


def told(status, error=None, **headers):
    named = {name.replace("_", "-").encode(): value for name, value in headers.items()}
    body = error if isinstance(error, bytes) else orjson.dumps({"error": error})
    return from_reply(status, named, body)


# ------------------------------------------------------------------ statuses

STATUSES = {
    400: (UpstreamRejected, "rejected"),
    401: (UpstreamRefusedUs, "auth"),
    402: (UpstreamRefusedUs, "auth"),
    403: (UpstreamRefusedUs, "auth"),
    404: (UpstreamRefusedUs, "auth"),
    405: (UpstreamDown, "server"),
    408: (UpstreamTimeout, "timeout"),
    409: (UpstreamDown, "server"),
    413: (UpstreamRejected, "rejected"),
    418: (UpstreamDown, "server"),
    422: (UpstreamRejected, "rejected"),
    429: (UpstreamBusy, "rate_limited"),
    500: (UpstreamDown, "server"),
    502: (UpstreamDown, "server"),
    503: (UpstreamOverloaded, "overloaded"),
    504: (UpstreamTimeout, "timeout"),
    529: (UpstreamOverloaded, "overloaded"),
    301: (UpstreamDown, "server"),
    307: (UpstreamDown, "server"),
}
BODIES = [
    b"",
    b"null",
    b"[]",
    b"[[]]",
    b"<html>503</html>",
    b"\xff\xfe",
    b'{"error":{"mess',
    b'{"error":{"message":"the model is lazy","type":"x","code":5}}',
    b'{"error":[{}]}',
]


@pytest.mark.parametrize("body", BODIES)
@pytest.mark.parametrize(("status", "meaning"), STATUSES.items())
def test_a_status_decides_whatever_the_body(status, meaning, body):
    error = told(status, body)
    assert (type(error), error.kind) == meaning
    assert error.message
    if isinstance(error, UpstreamRejected):
        assert error.status == status


def test_a_rejection_keeps_what_the_upstream_said():
    error = told(422, {"message": "n must be 1", "param": "n", "code": "bad_n", "type": "t"})
    assert (error.status, error.message, error.param, error.code, error.falls_through) == (
        422,
        "n must be 1",
        "n",
        "bad_n",
        False,
    )


def test_only_rejections_repeat_the_upstream_s_words():
    """Organisation names, quotas and hosts of ours are no business of the client's."""
    for status in set(STATUSES) - {400, 413, 422}:
        error = told(status, {"message": "org-7 at http://10.0.0.1 is broke", "code": "broke"})
        assert "org-7" not in error.message
        assert "10.0.0.1" not in error.message
        assert f"({status}, broke)" in error.message


SHAPES = {
    "openai": {"error": {"message": "no"}},
    "text": {"error": "no"},
    "old vllm": {"object": "error", "message": "no", "code": 400},
    "google": [{"error": {"code": 400, "message": "no", "status": "INVALID_ARGUMENT"}}],
    "fastapi": {"detail": "no"},
    "message only": {"message": "no"},
}


@pytest.mark.parametrize("body", SHAPES.values(), ids=SHAPES)
def test_a_message_is_found_in_every_usual_shape(body):
    assert from_reply(400, {}, orjson.dumps(body)).message == "no"


def test_a_structured_message_is_kept_as_json():
    error = from_reply(422, {}, b'{"detail": [{"loc": ["n"], "msg": "too many"}]}')
    assert error.message == '[{"loc":["n"],"msg":"too many"}]'


# ------------------------------------------------------------------ what is not found

OURS = {
    "openai": {"message": "The model `x` does not exist", "code": "model_not_found"},
    "anthropic": {"type": "not_found_error", "message": "model: claude-x"},
    "vllm": {"message": "The model `x` does not exist.", "type": "NotFoundError", "code": 404},
    "ollama": {"message": 'model "x" not found, try pulling it first', "type": "api_error"},
    "azure": {"code": "DeploymentNotFound", "message": "The API deployment does not exist."},
    "azure's path": {"code": "404", "message": "Resource not found"},
    "google": {"code": 404, "message": "models/x is not found for API version v1"},
    "openrouter": {"code": 404, "message": "No endpoints found for x."},
    "llama.cpp's path": {"code": 404, "message": "File Not Found", "type": "not_found_error"},
    "openai's path": {"message": "Invalid URL (POST /v1/x)", "type": "invalid_request_error"},
    "fastapi": "Not Found",
}
OF_THE_REQUEST = [
    ("File not found: file_x", "not_found_error"),
    ("File not found: file_model", "gone"),
    ("Item with id 'rs_model' not found.", "not_found"),
    ("Response with id 'resp_1' not found.", "x"),
    ("No such File object: file-1", "t"),
]


@pytest.mark.parametrize("error", OURS.values(), ids=OURS)
def test_a_404_of_the_model_or_address_is_ours(error):
    found = told(404, error)
    assert type(found) is UpstreamRefusedUs
    assert (found.credentials, found.sure) == (False, True)


@pytest.mark.parametrize(
    ("status", "said"),
    [(403, "no"), (404, "No endpoints found that support image input"), (401, "model")],
)
def test_a_refusal_that_may_be_of_what_a_request_says_is_not_sure(status, said):
    found = told(status, {"message": said})
    assert (type(found), found.sure) == (UpstreamRefusedUs, False)


def test_a_model_that_is_not_there_keeps_its_code():
    assert told(404, OURS["openai"]).code == "model_not_found"


@pytest.mark.parametrize(("message", "code"), OF_THE_REQUEST)
def test_a_404_of_what_the_request_names_is_told_as_it_came(message, code):
    found = told(404, {"message": message, "type": code})
    assert (type(found), found.status, found.code) == (NotFoundThere, 404, code)
    assert (found.message, found.falls_through) == (message, True)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        ({"code": "rate_limit_exceeded"}, "rate_limit_exceeded"),
        ({"type": "insufficient_quota"}, "insufficient_quota"),
        ({"type": "rate_limit_error"}, "rate_limited"),
        ({}, "rate_limited"),
    ],
)
def test_a_limit_keeps_its_code(error, code):
    assert told(429, error).code == code


# ------------------------------------------------------------------ what falls through

CONTEXT = {
    "openai": {"code": "context_length_exceeded", "message": "x", "type": "invalid_request_error"},
    "openai's words": {
        "message": "This model's maximum context length is 8192 tokens. However, .."
    },
    "vllm": {
        "message": "The prompt (length 900) is longer than the maximum model length of 512.",
        "type": "BadRequestError",
        "code": 400,
    },
    "llama.cpp": {"type": "exceed_context_size_error", "code": 400, "n_ctx": 512},
    "llama.cpp's words": {
        "message": "the request exceeds the available context size, try increasing it",
        "code": 400,
    },
    "tgi": "`inputs tokens + max_new_tokens` must be <= 4096",
    "sglang": {"message": "The input (9000 tokens) is longer than the model's context length"},
    "anthropic": {"type": "invalid_request_error", "message": "prompt is too long: 210000 tokens"},
    "google": {"message": "The input token count (5) exceeds the maximum number of tokens allowed"},
}


@pytest.mark.parametrize("error", CONTEXT.values(), ids=CONTEXT)
@pytest.mark.parametrize("status", [400, 413, 422])
def test_a_full_context_is_recognised(status, error):
    found = told(status, error)
    assert type(found) is ContextTooLong
    assert (found.status, found.falls_through) == (status, True)
    assert type(in_payload({"error": error})) is ContextTooLong


@pytest.mark.parametrize(
    "message",
    ["context is required", "the window is too long", "length exceeded", "maximum of 4 stop words"],
)
def test_other_complaints_are_not_about_context(message):
    assert type(told(400, {"message": message})) is UpstreamRejected


CONTENT = {
    "azure": {"code": "content_filter", "message": "filtered", "param": "prompt"},
    "azure, inner": {
        "code": "400",
        "message": "filtered",
        "innererror": {"code": "ResponsibleAIPolicyViolation"},
    },
    "openai": {"code": "content_policy_violation", "message": "filtered"},
    "as a type": {"type": "content_filter", "message": "filtered"},
}


@pytest.mark.parametrize("error", CONTENT.values(), ids=CONTENT)
@pytest.mark.parametrize("status", [400, 403, 422])
def test_moderation_is_recognised(status, error):
    found = told(status, error)
    assert type(found) is ContentRefused
    assert (found.message, found.falls_through) == ("filtered", True)
    assert found.status == (400 if status == 403 else status)


def test_too_many_tokens_a_minute_is_a_rate_limit_even_as_413():
    assert type(told(413, {"code": "rate_limit_exceeded", "message": "TPM"})) is UpstreamBusy


# ------------------------------------------------------------------ errors in a stream

REPORTED = {
    "a code that is a status": ({"code": 503, "message": "x"}, UpstreamOverloaded),
    "a status as text": ({"code": "429", "message": "x"}, UpstreamBusy),
    "overloaded": ({"type": "overloaded_error"}, UpstreamOverloaded),
    "rate": ({"type": "rate_limit_error"}, UpstreamBusy),
    "quota": ({"code": "insufficient_quota"}, UpstreamBusy),
    "key": ({"code": "invalid_api_key"}, UpstreamRefusedUs),
    "model": ({"code": "model_not_found"}, UpstreamRefusedUs),
    "timeout": ({"type": "timeout"}, UpstreamTimeout),
    "request": ({"type": "invalid_request_error", "message": "x"}, UpstreamRejected),
    "vllm": ({"type": "BadRequestError", "message": "x", "code": 400}, UpstreamRejected),
    "server": ({"type": "server_error", "message": "x"}, UpstreamDown),
    "text": ("boom", UpstreamDown),
    "absurd code": ({"code": 10**15}, UpstreamDown),
    "true": (True, UpstreamDown),
}


@pytest.mark.parametrize(("error", "kind"), REPORTED.values(), ids=REPORTED)
def test_an_error_object_without_a_status_still_means_something(error, kind):
    assert type(in_payload({"error": error})) is kind
    assert type(in_event(orjson.dumps({"error": error}))) is kind
    if isinstance(error, dict):
        assert type(in_event(orjson.dumps(error))) is kind


@pytest.mark.parametrize("payload", [{}, {"error": None}, {"error": {}}, {"choices": []}])
def test_a_payload_without_an_error_has_none(payload):
    assert in_payload(payload) is None


@pytest.mark.parametrize("data", [b"", b"boom", b"null", b"{}", b"[]"])
def test_an_error_event_is_an_error_whatever_it_holds(data):
    error = in_event(data)
    assert type(error) is UpstreamDown
    assert error.kind == "server"


# ------------------------------------------------------------------ under the reply

WIRE = [
    (ConnectFailed("refused", "10.0.0.1:80"), UpstreamDown, "connect"),
    (ConnectFailed("tls", "expired"), UpstreamDown, "connect"),
    (TimedOut("connect"), UpstreamTimeout, "timeout"),
    (TimedOut("first_token"), UpstreamTimeout, "timeout"),
    (Broken("the connection was lost"), UpstreamDown, "bad_response"),
    (TooLarge("a longer body than allowed"), UpstreamDown, "bad_response"),
]


@pytest.mark.parametrize(("error", "kind", "name"), WIRE)
def test_a_broken_wire_has_a_name(error, kind, name):
    found = from_wire(error)
    assert (type(found), found.kind) == (kind, name)
    assert "10.0.0.1" not in found.message


def test_a_timeout_names_its_phase():
    assert "first token" in from_wire(TimedOut("first_token")).message
