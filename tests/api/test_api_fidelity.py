"""What gateways lose between an upstream and a client, in every dialect that clients speak here and
on every wire that tiers are asked on, plain and streamed."""

from __future__ import annotations

import asyncio

import orjson
import pytest
from api.serving import ALONE, CHAT, config, house
from app.serving import Wire, listening, posted, until
from upstreams.scripted import Scripted, events, streamed, whole

from gateway.store import read

SAID = [{"role": "user", "content": "Say hello."}]
CLIENTS = {
    CHAT: {"messages": SAID},
    "/v1/completions": {"prompt": "Say hello."},
    "/v1/responses": {"input": "Say hello."},
    "/v1/messages": {"messages": SAID, "max_tokens": 64},
}
WIRES = ("chat", "messages", "responses")
EVERY = [(path, wire, stream) for path in CLIENTS for wire in WIRES for stream in (False, True)]


def tiers_at(url):
    """A configuration with a tier on each wire, named by it, all at one address."""
    plain = {"base_url": url, **ALONE}
    tiers = {
        "chat": {"upstream": "openai", "model": "m"},
        "responses": {"upstream": "openai", "model": "m", "wire": "responses"},
        "messages": {"upstream": "anthropic", "model": "m"},
    }
    priced = {name: {**tier, "price": {"input": 1, "output": 2}} for name, tier in tiers.items()}
    return config(
        upstreams={"openai": plain, "anthropic": {**plain, "kind": "anthropic"}},
        tiers=priced,
        routes__waterfall__tiers=list(WIRES),
    )


def asked(path, model, **fields):
    return {"model": model, **CLIENTS[path], **fields}


def refused(status, code, message, **headers):
    error = {"message": message, "type": "t", "param": "p", "code": code}
    return whole(orjson.dumps({"error": error}), status, **headers)


LONG = "This model's maximum context length is 8 tokens, and there are 9."
CLAUDE_S = whole(
    b'{"type":"error","error":{"type":"invalid_request_error",'
    b'"message":"prompt is too long: 9 tokens > 8 maximum"}}',
    400,
)
HTML = whole(b"<html>It works!</html>", content_type="text/html")
FAULTS = {
    "429": (refused(429, "slow", "Slow down.", retry_after=17), 429, None, "17"),
    "503": (refused(503, "busy", "Busy.", retry_after=9), 503, None, "9"),
    "context": (
        refused(400, "context_length_exceeded", LONG),
        400,
        "context_length_exceeded",
        None,
    ),
    "context, as Anthropic says it": (CLAUDE_S, 400, "context_length_exceeded", None),
    "rejected": (refused(422, "odd_thing", "That is odd."), 422, "odd_thing", None),
    "quota": (refused(429, "insufficient_quota", "Spent."), 429, "insufficient_quota", "1"),
    "a file of the request's": (refused(404, "gone", "File not found: file_m"), 404, "gone", None),
    "200 and HTML": (HTML, 502, None, None),
    "200 and nothing": (whole(b""), 502, None, None),
    "events that are none": (streamed(events(b"<html>")), 502, None, None),
    "500": (whole(b"oops", 500), 502, None, None),
}


@pytest.mark.parametrize(("script", "status", "code", "wait"), FAULTS.values(), ids=FAULTS)
async def test_an_upstream_s_failure_reaches_every_client(tmp_path, script, status, code, wait):
    async with Scripted(script) as server, house(tmp_path, tiers_at(server.url)) as gateway:
        for path, wire, stream in EVERY:
            answer = await gateway.post(asked(path, wire, stream=stream), path)
            case = path, wire, stream
            assert (case, answer.status) == (case, status)
            assert (case, answer.header("retry-after")) == (case, wait)
            error = answer.json["error"]
            assert code is None or (case, error["code"]) == (case, code)
            if status == 422:
                assert (case, error["param"], error["message"]) == (case, "p", "That is odd.")
            if "context" in (code or "") and path == "/v1/messages":
                # What Anthropic's own clients look for before they shorten a conversation.
                assert error["message"].startswith("prompt is too long")


@pytest.mark.parametrize("path", CLIENTS)
async def test_what_is_no_request_is_the_client_s_fault(tmp_path, path):
    async with house(tmp_path) as gateway:
        unknown = await gateway.post(asked(path, "gpt-9"), path)
        assert (unknown.status, unknown.json["error"]["code"]) == (404, "model_not_found")
        for body in (b"[1]", b'"x"', b"7", b"null", b"", b"{", b"\xff"):
            assert (body, (await gateway.post(body, path)).status) == (body, 400)
        assert gateway.sent == []


@pytest.mark.parametrize("stream", [False, True])
async def test_an_upstream_is_left_when_a_client_leaves(tmp_path, stream):
    left = 0
    async with Scripted("hang") as server, listening(tmp_path, tiers_at(server.url)) as served:
        for path, wire, _ in EVERY[::2]:
            async with Wire(served.base_url) as client:
                body = orjson.dumps(asked(path, wire, stream=stream))
                await client.send(posted(body, path))
                left += 1
                await until(lambda: len(server.requests) == left)  # noqa: B023
            await asyncio.wait_for(server.left.wait(), 2)
            server.left.clear()
        await until(lambda: not served.gateway.switch.service.in_flight.count)
        assert server.open == 0
        store = served.gateway.store
        assert await asyncio.to_thread(store.flush, 5)
        assert [entry["status"] for entry in read.requests(store.path)] == [499] * left
