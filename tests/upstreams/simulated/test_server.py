"""The simulated server over real sockets: what it serves, when it notices, what it writes down."""

from __future__ import annotations

import asyncio
import json
import re

import pytest
from upstreams.simulated.talking import (
    CHAT,
    ask,
    event_data,
    eventually,
    hang_up,
    open_stream,
    post,
    talk,
)

from gateway.upstreams.http1 import Timeouts
from gateway.upstreams.openai import OpenAIUpstream
from gateway.upstreams.simulated import Behaviour, Model, Pace, serve_simulated

MODELS = Behaviour(seed=1, models={"small": Model(), "large": Model()})
SLOW = Behaviour(default=Model(pace=Pace(first_token=0.01, per_token=0.01)))


async def test_plain_and_streamed_over_a_socket_are_the_same_reply():
    async with serve_simulated(MODELS) as server:
        status, headers, raw = await post(server, ask())
        plain = json.loads(raw)
        assert (status, headers["content-type"]) == (200, "application/json")
        options = {"include_usage": True}
        status, headers, raw = await post(server, ask(stream=True, stream_options=options))
        assert headers["content-type"] == "text/event-stream"
    *chunks, done = event_data(raw)
    assert done == b"[DONE]"
    chunks = [json.loads(chunk) for chunk in chunks]
    said = "".join(c["choices"][0]["delta"].get("content") or "" for c in chunks if c["choices"])
    assert said == plain["choices"][0]["message"]["content"]
    assert chunks[-1]["usage"] == plain["usage"]
    assert [c["choices"][0]["finish_reason"] for c in chunks[-2:-1]] == ["stop"]


async def test_usage_comes_in_a_stream_only_when_asked():
    async with serve_simulated(MODELS) as server:
        _, _, raw = await post(server, ask(stream=True))
        assert b"usage" not in raw
        assert server.lines()[0]["usage"] is None


async def test_the_log_repeats_the_client_s_own_mark():
    async with serve_simulated(MODELS) as server:
        for user in ({"user": "r-17"}, {"user": 17}, {}):
            await post(server, ask(**user))
        assert [line["user"] for line in server.lines()] == ["r-17", None, None]


async def test_the_log_tells_each_call():
    async with serve_simulated(MODELS) as server:
        _, _, raw = await post(server, ask(), headers="x-request-id: abc\r\n")
        usage = json.loads(raw)["usage"]
        (line,) = server.lines()
        assert line["request_id"] == "abc"
        assert (line["model"], line["stream"], line["outcome"]) == ("small", False, "complete")
        assert (line["tokens"], line["usage"]) == (usage["completion_tokens"], usage)
        assert (line["status"], line["fault"], line["closed_after_ms"]) == (200, None, None)
        assert json.loads(raw)["id"] == f"chatcmpl-{line['id']}"
        _, _, told = await post(server, b"", "/log", method="GET")
        assert json.loads(told) == [line]
        await post(server, b"", "/log/reset")
        assert server.lines() == []


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/health", 200),
        ("GET", "/v1/models", 200),
        ("GET", CHAT, 404),
        ("POST", "/v1/other", 404),
    ],
)
async def test_other_places(method, path, status):
    async with serve_simulated(MODELS) as server:
        found, _, raw = await post(server, b"", path, method=method)
        assert found == status
        assert isinstance(json.loads(raw), dict)
        assert server.lines() == []


@pytest.mark.parametrize(
    ("body", "status"),
    [(b"{", 400), (b"[]", 400), (b"", 400), (b'{"model":"small"}', 400), (ask(model="x"), 404)],
)
async def test_a_call_that_is_declined_is_in_the_log(body, status):
    async with serve_simulated(MODELS) as server:
        found, _, raw = await post(server, body)
        assert found == status
        assert set(json.loads(raw)["error"]) == {"message", "type", "param", "code"}
        (line,) = server.lines()
        assert (line["outcome"], line["status"], line["tokens"]) == ("declined", status, 0)


async def test_a_key_is_asked_for():
    async with serve_simulated(MODELS, key="secret") as server:
        for headers in ("", "authorization: Bearer wrong\r\n", "authorization: secret\r\n"):
            status, _, raw = await post(server, ask(), headers=headers)
            assert status == 401
            assert json.loads(raw)["error"]["code"] == "invalid_api_key"
            status, _, _ = await post(server, b"", "/v1/models", headers, "GET")
            assert status == 401
        status, _, _ = await post(server, ask(), headers="authorization: Bearer secret\r\n")
        assert status == 200


async def test_a_header_names_a_fault():
    async with serve_simulated(MODELS) as server:
        status, headers, _ = await post(
            server, ask(), headers="x-simulate: fault=status,status=429,retry_after=3\r\n"
        )
        assert (status, headers["retry-after"]) == (429, "3")
        status, _, _ = await post(server, ask(), headers="x-simulate: gremlin\r\n")
        assert status == 400


async def test_the_script_can_be_replaced_while_it_runs():
    async with serve_simulated(MODELS) as server:
        rules = [{"fault": "503", "contains": "copper"}]
        assert (await post(server, rules, "/script"))[0] == 200
        assert (await post(server, ask("copper?")))[0] == 503
        assert (await post(server, ask("tin?")))[0] == 200
        assert (await post(server, [{"fault": "gremlin"}], "/script"))[0] == 400


# ------------------------------------------------------------------ connections


async def _read_reply(reader):
    head = await reader.readuntil(b"\r\n\r\n")
    length = int(re.search(rb"content-length: (\d+)", head)[1])
    return await reader.readexactly(length)


async def test_many_requests_down_one_connection_are_answered_in_order():
    async with serve_simulated(MODELS) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        for number in range(300):
            body = json.dumps(ask(str(number))).encode()
            head = f"POST {CHAT} HTTP/1.1\r\nhost: x\r\ncontent-length: {len(body)}\r\n\r\n"
            writer.write(head.encode() + body)
        said = [json.loads(await _read_reply(reader))["id"] for _ in range(300)]
        assert said == [f"chatcmpl-{line['id']}" for line in server.lines()]
        assert server.open_connections == 1
        await hang_up(writer)
        await eventually(lambda: server.open_connections == 0)


async def test_a_request_in_pieces_is_read():
    async with serve_simulated(MODELS) as server:
        body = json.dumps(ask()).encode()
        head = f"POST {CHAT} HTTP/1.1\r\nhost: x\r\ncontent-length: {len(body)}\r\n\r\n"
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        raw = head.encode() + body
        for place in range(0, len(raw), 11):
            writer.write(raw[place : place + 11])
            await writer.drain()
        assert json.loads(await _read_reply(reader))["object"] == "chat.completion"
        await hang_up(writer)


async def test_what_is_not_http_is_refused():
    async with serve_simulated(MODELS) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(b"hello\r\n\r\n")
        assert (await reader.read()).startswith(b"HTTP/1.1 400 ")
        await hang_up(writer)


@pytest.mark.parametrize("how", ["close", "half", "reset"])
async def test_a_peer_that_leaves_is_noticed(how):
    async with serve_simulated(SLOW) as server:
        reader, writer = await open_stream(server)
        for _ in range(3):
            await reader.readuntil(b"\n\n\r\n")
        if how == "half":
            writer.write_eof()
        else:
            writer.close() if how == "close" else writer.transport.abort()
        await eventually(lambda: server.lines()[0]["outcome"] != "open")
        (line,) = server.lines()
        assert line["outcome"] == "closed_by_peer"
        assert line["tokens"] >= 1
        assert line["usage"] is None
        assert line["closed_after_ms"] >= 0
        await hang_up(writer)
        await eventually(lambda: server.open_connections == 0)


async def test_a_stalled_stream_knows_when_it_was_left():
    async with serve_simulated(MODELS) as server:
        _, writer = await open_stream(server, simulate="stall,after=3")
        await eventually(lambda: server.lines() and server.lines()[0]["tokens"] == 3)
        await asyncio.sleep(0.05)
        await hang_up(writer)
        await eventually(lambda: server.lines()[0]["outcome"] != "open")
        (line,) = server.lines()
        assert (line["outcome"], line["fault"], line["tokens"]) == ("closed_by_peer", "stall", 3)
        assert line["closed_after_ms"] >= 45


async def test_a_plain_reply_left_early_has_cost_a_part():
    async with serve_simulated(Behaviour(default=Model(pace=Pace(per_token=0.05)))) as server:
        body = json.dumps(ask()).encode()
        _, writer = await asyncio.open_connection("127.0.0.1", server.port)
        head = f"POST {CHAT} HTTP/1.1\r\nhost: x\r\ncontent-length: {len(body)}\r\n\r\n"
        writer.write(head.encode() + body)
        await asyncio.sleep(0.3)
        await hang_up(writer)
        await eventually(lambda: server.lines()[0]["outcome"] != "open")
        assert 1 <= server.lines()[0]["tokens"] <= 30


async def test_a_slow_reader_gets_it_all_and_a_deaf_one_holds_nothing_up():
    async with serve_simulated(MODELS) as server:
        _, writer = await open_stream(server, simulate="huge,size=20")
        status, _, _ = await post(server, ask())
        assert status == 200
        status, _, raw = await post(server, ask(simulate="huge,size=20"))
        assert len(raw) > 20_000_000
        await hang_up(writer)


async def test_odd_framing_reads_the_same_byte_for_byte():
    async with serve_simulated(MODELS) as server:
        timeouts = Timeouts(2.0, 60.0, 60.0, 60.0)
        upstream = OpenAIUpstream("http", f"{server.url}/v1", None, timeouts)
        plain, _ = await talk(upstream, ask(stream=True))
        odd, error = await talk(upstream, ask(stream=True, simulate="odd_sse"))
        loris, late = await talk(upstream, ask(stream=True, simulate="slow_loris,seconds=0.00001"))
        await upstream.aclose()
    assert (error, late) == (None, None)
    assert plain.texts == odd.texts == loris.texts


async def test_tokens_take_their_time():
    pace = Pace(first_token=0.05, per_token=0.002)
    async with serve_simulated(Behaviour(default=Model(pace=pace))) as server:
        for stream in (False, True):
            await post(server, ask(stream=stream))
        for line in server.lines():
            assert line["seconds"] >= 0.05 + 0.0015 * line["tokens"]
