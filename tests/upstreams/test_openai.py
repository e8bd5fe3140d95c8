"""The adapter over real sockets: what is sent, and what is heard of whole replies."""

from __future__ import annotations

import orjson
import pytest
from upstreams.asking import BODY, DONE, END, KEY, PATIENT, REPLY, adapter, answer, ask, said
from upstreams.scripted import Scripted, chunk, events, head, streamed, whole

from gateway.core.money import Usage
from gateway.upstreams.openai import LONGEST_ID, OpenAIUpstream

# ------------------------------------------------------------------ what is sent


async def test_the_request_on_the_wire():
    async with Scripted(whole(REPLY)) as server, adapter(server.url) as upstream:
        await ask(upstream)
        start, _, body = server.requests[0].partition(b"\r\n\r\n")
    lines = start.split(b"\r\n")
    assert lines[0] == b"POST /v1/chat/completions HTTP/1.1"
    assert {
        b"authorization: Bearer " + KEY.encode(),
        b"content-type: application/json",
        b"accept: application/json, text/event-stream",
        b"user-agent: waterfall",
    } <= set(lines)
    assert orjson.loads(body) == {**BODY, "stream": False}


async def test_without_a_key_none_is_sent():
    async with Scripted(whole(REPLY)) as server, adapter(server.url, key=None) as upstream:
        await ask(upstream)
        assert b"authorization" not in server.requests[0]


@pytest.mark.parametrize("key", ["two words", "line\nbreak", "nön-ascii", "nul\0"])
def test_a_key_that_no_header_may_hold_is_refused_unseen(key):
    with pytest.raises(ValueError, match="'u'") as raised:
        OpenAIUpstream("u", "http://127.0.0.1/v1", key, PATIENT)
    assert key not in str(raised.value)


# ------------------------------------------------------------------ what is heard


async def test_a_plain_reply_is_one_delta_of_the_upstream_s_own_bytes():
    heard = await answer(whole(REPLY))
    assert [delta.raw for delta in heard.deltas] == [REPLY]
    assert heard.deltas[0].usage == Usage(41, 17)
    assert (heard.text, heard.sent, heard.error) == ("ab", 1, None)


async def test_a_stream_is_forwarded_event_by_event():
    payloads = [said("a"), said("b"), END]
    heard = await answer(streamed(events(*payloads, DONE)), stream=True)
    assert [delta.raw for delta in heard.deltas] == payloads
    assert (heard.text, heard.sent, heard.error) == ("ab", 1, None)


async def test_what_we_asked_for_is_stripped():
    used = orjson.dumps({"choices": [], "usage": {"prompt_tokens": 41, "completion_tokens": 17}})
    heard = await answer(
        streamed(events(said("a", usage=None), END, used, DONE)),
        stream=True,
        strip_usage=True,
        strip_logprobs=True,
    )
    assert [delta.raw for delta in heard.deltas] == [said("a"), END, b""]
    assert heard.deltas[2].usage == Usage(41, 17)


# F-15: legal but odd. F-16: no [DONE], two, data after it. F-17: usage. F-19: model names.
ODD_STREAMS = {
    "crlf": streamed(events(said("a"), said("b"), END, DONE).replace(b"\n", b"\r\n")),
    "cr": streamed(events(said("a"), said("b"), END, DONE).replace(b"\n", b"\r")),
    "no space": streamed(events(said("a"), said("b"), END, DONE).replace(b"data: ", b"data:")),
    "comments": streamed(
        b": hi\n\n" + events(said("a")), b": ping\n\n", events(said("b"), END, DONE)
    ),
    "a mark": streamed(b"\xef\xbb\xbf" + events(said("a"), said("b"), END, DONE)),
    "over several lines": streamed(
        events(said("a"), said("b"), END).replace(b",", b",\ndata: "), events(DONE)
    ),
    "byte by byte": streamed(*[bytes([byte]) for byte in events(said("a"), said("b"), END, DONE)]),
    "no content type": head(transfer_encoding="chunked")
    + streamed(events(said("a"), said("b"), END, DONE)).partition(b"\r\n\r\n")[2],
    "json content type": head(content_type="application/json", transfer_encoding="chunked")
    + streamed(events(said("a"), said("b"), END, DONE)).partition(b"\r\n\r\n")[2],
    "no done": streamed(events(said("a"), said("b"), END)),
    "two dones": streamed(events(said("a"), said("b"), END, DONE, DONE)),
    "data after done": streamed(events(said("a"), said("b"), END, DONE, said("late"), b"{")),
    "done without a finish reason": streamed(events(said("a"), said("b"), DONE)),
    "heartbeats": streamed(events(b'{"type":"ping"}', said("a"), said("b"), END, DONE)),
    "negative usage": streamed(
        events(said("a"), said("b", usage={"prompt_tokens": -5, "completion_tokens": 10**18}), END)
    ),
}


@pytest.mark.parametrize("reply", ODD_STREAMS.values(), ids=ODD_STREAMS)
async def test_an_odd_stream_says_the_same(reply):
    heard = await answer(reply, stream=True)
    assert (heard.text, heard.error) == ("ab", None)
    assert {delta.usage for delta in heard.deltas} == {None}
    assert b"late" not in b"".join(delta.raw for delta in heard.deltas)


async def test_a_stream_ended_by_its_connection_is_complete_when_it_says_so():
    reply = head(content_type="text/event-stream") + events(said("ab"), END, DONE)
    heard = await answer(reply, "close", stream=True)
    assert (heard.text, heard.error) == ("ab", None)


async def test_five_thousand_events_in_one_packet():
    payloads = [said(str(number % 10)) for number in range(5000)]
    heard = await answer(streamed(events(*payloads, END, DONE)), stream=True)
    assert [delta.raw for delta in heard.deltas] == [*payloads, END]


async def test_the_model_s_own_name_is_left_alone():
    heard = await answer(whole(REPLY))
    assert heard.deltas[0].payload["model"] == "theirs-v2"


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("headers", "named"),
    [
        ({}, ""),
        ({"x_request_id": "req_1"}, "req_1"),
        ({"request_id": "req_2"}, "req_2"),
        ({"X_Request_Id": "req_1", "request_id": "req_2"}, "req_1"),
        ({"x_request_id": "x" * 500}, "x" * LONGEST_ID),
    ],
)
async def test_what_the_provider_calls_the_request_is_heard(stream, headers, named):
    heard = []
    reply = whole(REPLY, **headers)
    if stream:
        told = {"content_type": "text/event-stream", "transfer_encoding": "chunked", **headers}
        reply = head(**told) + chunk(events(said("a"), END, DONE)) + chunk(b"")
    await answer(reply, stream=stream, on_named=heard.append)
    refused = whole(b"{}", 503, **headers)
    await answer(refused, stream=stream, on_named=heard.append)
    assert heard == [named, named]
