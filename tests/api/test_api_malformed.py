"""Nothing that a client sends gives a traceback, a 500, or a call that it should not."""

from __future__ import annotations

import orjson
import pytest
from api.serving import CHAT, ask_for, header_rows, house, send

pytestmark = pytest.mark.asyncio(loop_scope="session")

USER = {"role": "user", "content": "Say hello."}


def _part(kind, held):
    return {"role": "user", "content": [{"type": kind, kind: held}]}


@pytest.mark.parametrize(
    ("param", "value"),
    [
        ("model", None),
        ("model", ""),
        ("model", 7),
        ("model", ["waterfall"]),
        ("messages", None),
        ("messages", []),
        ("messages", {}),
        ("messages", "hello"),
        ("messages", [USER] * 10_001),
        ("stream", "yes"),
        ("stream", 1),
        ("stream_options", []),
        ("logprobs", 3),
        ("n", 0),
        ("n", -1),
        ("n", 10**6),
        ("n", 1.5),
        ("n", True),
        ("n", "2"),
        ("max_tokens", 0),
        ("max_tokens", 10**15),
        ("max_tokens", float("1e300")),
        ("max_completion_tokens", -5),
        ("top_logprobs", 999),
        ("top_logprobs", -1),
        ("tools", {}),
        ("tools", [{"type": "function", "function": {"name": "f"}}] * 5_000),
        ("response_format", "json"),
        ("response_format", {}),
        ("stop", 5),
        ("stop", [1]),
        ("stop", ["x"] * 10_000),
        ("logit_bias", []),
        ("modalities", True),
        ("modalities", 1.5),
        ("modalities", [1]),
        ("logit_bias", {str(token): 1 for token in range(50_000)}),
    ],
    ids=lambda value: str(value)[:24],
)
async def test_a_wrong_field_is_named_with_what_it_must_be(tmp_path, param, value):
    body = ask_for(**({param: value} if param != "model" else {}))
    if param == "model":
        body["model"] = value
    async with house(tmp_path) as it:
        answer = await it.post(body)
        assert it.sent == []
        assert it.entries() == []
    assert answer.status == 400
    assert answer.error["type"] == "invalid_request_error"
    assert answer.error["param"] == param
    assert f"{param} must be" in answer.error["message"]


@pytest.mark.parametrize(
    ("message", "param"),
    [
        ("hello", "messages[1]"),
        (None, "messages[1]"),
        ({}, "messages[1].role"),
        ({"role": ""}, "messages[1].role"),
        ({"role": ["user"]}, "messages[1].role"),
        ({"role": "user", "content": 5}, "messages[1].content"),
        ({"role": "user", "content": {}}, "messages[1].content"),
        ({"role": "user", "content": ["a"]}, "messages[1].content[0]"),
        ({"role": "user", "content": [{"text": "a"}]}, "messages[1].content[0]"),
        (_part("file", 5), "messages[1].content[0].file"),
        (_part("input_audio", "x"), "messages[1].content[0].input_audio"),
        (_part("image_url", None), "messages[1].content[0].image_url"),
    ],
    ids=str,
)
async def test_a_wrong_message_is_named_by_its_place(it, message, param):
    answer = await it.chat(messages=[USER, message])
    assert answer.status == 400
    assert answer.error["param"] == param


@pytest.mark.parametrize(
    ("tool", "param"),
    [
        ("f", "tools[0]"),
        ({"function": {"name": "f"}}, "tools[0]"),
        ({"type": "function"}, "tools[0].function"),
        ({"type": "function", "function": {}}, "tools[0].function"),
        ({"type": "function", "function": {"name": "f", "parameters": [1]}}, "tools[0].function"),
    ],
    ids=str,
)
async def test_a_wrong_tool_is_named_by_its_place(it, tool, param):
    answer = await it.chat(tools=[tool])
    assert answer.status == 400
    assert answer.error["param"] == param


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b" ",
        b"{",
        b'{"model":"waterfall",}',
        b"null",
        b"[]",
        b'"waterfall"',
        b"7",
        b"NaN",
        b'{"model": NaN}',
        b'{"a": Infinity}',
        b"\xff\xfe{\x00}\x00",
        b"\xef\xbb\xbf{}",
        b'{"model": "\xff"}',
        b'{"model": "\\ud800", "messages": []}',
        b'{"a":' * 5_000,
        b'{"a":' * 500 + b"1" + b"}" * 500,
        b"[" * 100_000,
        b'{"model":"waterfall","messages":[{"role":"user","content":"x"}],"a":'
        + b"[" * 200
        + b"]" * 200
        + b"}",
        orjson.dumps(ask_for(max_tokens=1))[:-1] + b"0" * 5_000 + b"}",
        b"model=waterfall&messages=hi",
        b"%00",
    ],
    ids=lambda raw: repr(raw[:16]),
)
async def test_a_body_that_is_no_request_is_a_400(tmp_path, raw):
    async with house(tmp_path) as it:
        for path in (CHAT, "/v1/route"):
            answer = await it.post(raw, path)
            assert answer.status == 400, raw
            assert answer.raised is None
            assert answer.error["type"] == "invalid_request_error"
        assert it.sent == []


async def test_of_a_key_given_twice_the_last_counts_for_us_and_the_upstream(it):
    raw = b'{"model":"large","messages":[{"role":"user","content":"x"}],"model":"small"}'
    answer = await it.post(raw)
    assert it.entry(answer)["requested_model"] == "small"
    assert [body["model"] for body in it.sent] == ["s-model"]
    assert answer.told("tier") == "small"


@pytest.mark.parametrize(
    "kind",
    [
        None,
        "",
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "application/jsonp",
        "application/json-seq",
        "json",
    ],
)
async def test_what_is_not_sent_as_json_is_a_415(it, kind):
    rows = header_rows({"host": "localhost"} | ({} if kind is None else {"content_type": kind}))
    answer = await send(it.app, "POST", CHAT, headers=rows, blocks=[orjson.dumps(ask_for())])
    assert answer.status == 415
    assert answer.error["code"] == "unsupported_media_type"


@pytest.mark.parametrize("kind", ["application/json; charset=utf-8", "Application/JSON"])
async def test_json_by_its_other_names_is_served(it, kind):
    assert (await it.post(ask_for(), content_type=kind)).status == 200


@pytest.mark.parametrize("coding", ["gzip", "br", "zstd", "deflate", "gzip, gzip", "x"])
async def test_a_compressed_body_is_a_415(it, coding):
    answer = await it.post(b"\x1f\x8b\x08" + bytes(100), content_encoding=coding)
    assert answer.status == 415


@pytest.mark.parametrize("coding", ["", "identity", "Identity"])
async def test_a_body_that_is_said_to_be_as_it_is_is_served(it, coding):
    assert (await it.post(ask_for(), content_encoding=coding)).status == 200


async def test_a_body_over_the_limit_is_a_413_declared_or_not(tmp_path):
    big = ask_for(padding="x" * 3_000)
    async with house(tmp_path, server__max_body="2KB") as it:
        rows = header_rows({"host": "localhost", "content_type": "application/json"})
        declared = await it.post(big, content_length=str(len(orjson.dumps(big))))
        unread = await send(
            it.app, "POST", CHAT, headers=[*rows, (b"content-length", b"9999999")], blocks=[b"{"]
        )
        in_chunks = await send(it.app, "POST", CHAT, headers=rows, blocks=[b" " * 500] * 40)
        lying = await it.post(big, content_length="10")
        giant = await it.post(ask_for(), content_length="9" * 5_000)
        fits = await it.post(ask_for(padding="x" * 1_500))
        odd = await send(
            it.app,
            "POST",
            CHAT,
            headers=[*rows, (b"content-length", b"\xb2")],
            blocks=[orjson.dumps(ask_for())],
        )
        assert len(it.sent) == 2
    for answer in (declared, unread, in_chunks, lying, giant):
        assert answer.status == 413
        assert answer.error["code"] == "body_too_large"
        assert "2000" in answer.error["message"]
    assert fits.status == odd.status == 200


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", CHAT, 405),
        ("PUT", CHAT, 405),
        ("DELETE", CHAT, 405),
        ("OPTIONS", CHAT, 405),
        ("TRACE", CHAT, 405),
        ("CONNECT", CHAT, 405),
        ("PATCH", "/v1/route", 405),
        ("POST", "/v1/models", 405),
        ("POST", "/health/live", 405),
        ("POST", "/metrics", 405),
        ("BREW", CHAT, 405),
        ("POST", "/v1/chat/completions/", 404),
        ("POST", "/v1/embeddings", 404),
        ("POST", "/admin/reload", 404),
        ("PUT", "/admin/threshold", 404),
        ("GET", "/docs", 404),
        ("GET", "/\u202e\x1b[31m", 404),
        ("GET", "/" + "x" * 200_000, 404),
    ],
)
async def test_a_wrong_method_or_path_is_told_in_openai_s_shape(tmp_path, method, path, status):
    async with house(tmp_path) as it:
        answer = await it.post(ask_for(), path, method=method)
        assert it.sent == []
    assert answer.status == status
    assert answer.raised is None
    assert answer.header("x-request-id")
    assert len(answer.error["message"]) < 500
    if status == 405:
        assert answer.error["code"] == "method_not_allowed"
        assert answer.error["message"].split()[-1] in {"POST.", "GET.", "HEAD."}


async def test_a_client_that_leaves_while_it_sends_is_nobody_s_fault(it):
    rows = header_rows({"host": "localhost", "content_type": "application/json"})
    answer = await send(it.app, "POST", CHAT, headers=rows, blocks=(), stay=False)
    assert it.entries() == []
    assert answer.raised is None
    assert answer.status == 0
