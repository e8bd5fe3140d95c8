"""Each fault an upstream is known for, over real sockets, and the error that comes of it."""

from __future__ import annotations

import gzip
from dataclasses import replace

import orjson
import pytest
from upstreams.asking import AFTER_TWO, DONE, END, KEY, PATIENT, REPLY, adapter, answer, ask, said
from upstreams.scripted import (
    LIMIT,
    Scripted,
    chunk,
    events,
    free_port,
    head,
    stream_head,
    streamed,
    whole,
)

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

# ------------------------------------------------------------------ faults, both ways

ERROR = b'{"error":{"message":"the words","type":"t","code":"c","param":"p"}}'


def refused(status, body=ERROR, **headers):
    return [whole(body, status, **headers)]


NO_MODEL = b'{"error":{"message":"The model `m` does not exist","code":"model_not_found"}}'
HASTY = replace(PATIENT, first_token=0.3)
FAULTS = {
    "F-02 reset before the head": (["reset"], UpstreamDown, "bad_response"),
    "F-02 closed before the head": (["close"], UpstreamDown, "bad_response"),
    "F-02 closed within the head": (
        [b"HTTP/1.1 200 OK\r\nx: y", "close"],
        UpstreamDown,
        "bad_response",
    ),
    "F-03 closed within the body": (
        [whole(REPLY)[:-20], "close"],
        UpstreamDown,
        "bad_response",
    ),
    "F-03 reset within the body": (
        [whole(REPLY)[:-20], 0.05, "reset"],
        UpstreamDown,
        "bad_response",
    ),
    "F-03 closed within a chunk": (
        [stream_head() + chunk(REPLY)[:-20], "close"],
        UpstreamDown,
        "bad_response",
    ),
    "F-04 500": (refused(500), UpstreamDown, "server"),
    "F-04 502 html": (refused(502, b"<html>"), UpstreamDown, "server"),
    "F-04 503": (refused(503, retry_after=7), UpstreamOverloaded, "overloaded"),
    "F-04 504": (refused(504, b""), UpstreamTimeout, "timeout"),
    "F-04 529": (refused(529), UpstreamOverloaded, "overloaded"),
    "F-04 500, its body cut": ([whole(ERROR, 500)[:-9], "close"], UpstreamDown, "server"),
    "F-05 429": (refused(429, retry_after=60), UpstreamBusy, "rate_limited"),
    "F-06 400": (refused(400), UpstreamRejected, "rejected"),
    "F-06 400 context": (
        refused(400, b'{"error":{"code":"context_length_exceeded"}}'),
        ContextTooLong,
        "context_length",
    ),
    "F-06 400 content": (
        refused(400, b'{"error":{"code":"content_filter"}}'),
        ContentRefused,
        "content_filter",
    ),
    "F-06 404 of the model": (refused(404, NO_MODEL), UpstreamRefusedUs, "auth"),
    "F-06 404 of anything else": (refused(404), NotFoundThere, "not_found"),
    "F-06 422": (refused(422), UpstreamRejected, "rejected"),
    "F-08 401": (refused(401), UpstreamRefusedUs, "auth"),
    "F-08 403": (refused(403), UpstreamRefusedUs, "auth"),
    "F-09 a hang before the head": (["hang"], UpstreamTimeout, "timeout"),
    "F-10 a hang after the head": ([stream_head(), "hang"], UpstreamTimeout, "timeout"),
    "F-13 an error in place of a reply": (
        refused(200, b'{"error":{"message":"x","type":"overloaded_error"}}'),
        UpstreamOverloaded,
        "overloaded",
    ),
    "F-14 not HTTP": ([b"SSH-2.0-OpenSSH_9.2\r\n", "hang"], UpstreamDown, "bad_response"),
    "F-18 html": (refused(200, b"<html>hi</html>"), UpstreamDown, "bad_response"),
    "F-18 empty": (refused(200, b""), UpstreamDown, "bad_response"),
    "F-18 null": (refused(200, b"null"), UpstreamDown, "bad_response"),
    "F-18 []": (refused(200, b"[]"), UpstreamDown, "bad_response"),
    "F-18 {}": (refused(200, b"{}"), UpstreamDown, "bad_response"),
    "F-18 no choices": (refused(200, b'{"choices":[]}'), UpstreamDown, "bad_response"),
    "F-18 no content": ([head(204)], UpstreamDown, "bad_response"),
    "F-20 a body over the cap": (
        [head(content_length=65 * 2**20), "hang"],
        UpstreamDown,
        "bad_response",
    ),
    "F-20 a head of a megabyte": (
        [b"HTTP/1.1 200 OK\r\nx: " + b"y" * 2**20, "hang"],
        UpstreamDown,
        "bad_response",
    ),
    "F-20 gzip": (
        [whole(gzip.compress(REPLY), content_encoding="gzip")],
        UpstreamDown,
        "bad_response",
    ),
    "F-23 a redirect": (refused(307, location="/elsewhere"), UpstreamDown, "server"),
}


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "streamed"])
@pytest.mark.parametrize(("script", "kind", "name"), FAULTS.values(), ids=FAULTS)
async def test_a_fault_has_its_error_and_lets_nothing_through(script, kind, name, stream):
    timeouts = HASTY if kind is UpstreamTimeout else PATIENT
    heard = await answer(*script, stream=stream, timeouts=timeouts)
    assert (type(heard.error), heard.error.kind, heard.deltas) == (kind, name, [])
    assert heard.sent == 1
    assert KEY not in str(heard.error)


@pytest.mark.parametrize("stream", [False, True])
async def test_f20_a_reply_that_is_too_large_would_be_so_again(stream):
    head_alone = FAULTS["F-20 a head of a megabyte"][0]
    over = (
        [streamed(b"data: " + b"x" * (9 * 2**20))]
        if stream
        else FAULTS["F-20 a body over the cap"][0]
    )
    for script, lasting in ((head_alone, True), (over, True), (refused(502), False)):
        assert (await answer(*script, stream=stream)).error.lasting is lasting


async def test_f01_refused():
    async with adapter(f"http://127.0.0.1:{free_port()}/v1") as upstream:
        heard = await ask(upstream)
    assert (heard.error.kind, heard.sent) == ("connect", 0)


async def test_f02_reset_as_soon_as_accepted():
    heard = await answer("reset", eager=True)
    assert (type(heard.error), heard.deltas) == (UpstreamDown, [])


async def test_f05_a_wait_is_passed_on():
    heard = await answer(*refused(429, retry_after=60))
    assert heard.error.retry_after == 60.0


async def test_f06_a_rejection_keeps_status_words_param_and_code():
    error = (await answer(*refused(422))).error
    assert (error.status, error.message, error.param, error.code) == (422, "the words", "p", "c")


async def test_f08_an_echoed_key_is_not_passed_on():
    body = orjson.dumps({"error": {"message": f"what is Bearer {KEY}?", "code": KEY}})
    error = (await answer(*refused(400, body))).error
    assert error.message == "what is Bearer ***?"
    assert KEY not in orjson.dumps(error.body()).decode()
    streamed_error = (await answer(streamed(events(body)), stream=True)).error
    assert KEY not in str(streamed_error)


async def test_f21_a_kept_connection_that_was_closed_costs_nothing():
    async with (
        Scripted([whole(REPLY), "close"], [whole(REPLY)]) as server,
        adapter(server.url) as upstream,
    ):
        for _ in range(3):
            heard = await ask(upstream)
            assert (heard.text, heard.error, heard.sent) == ("ab", None, 1)
        assert server.accepted == 2


async def test_f22_a_byte_at_a_time_ends_with_the_call_s_own_timeout():
    slow = [step for byte in whole(REPLY) for step in (bytes([byte]), 0.02)]
    heard = await answer(*slow, timeout=0.3)
    assert type(heard.error) is UpstreamTimeout
    assert "total" in heard.error.message


async def test_a_call_may_not_take_longer_than_the_upstream_s_own_total():
    heard = await answer("hang", timeouts=replace(PATIENT, total=0.1), timeout=LIMIT)
    assert "total" in heard.error.message


async def test_an_error_s_body_is_not_waited_for_long(monkeypatch):
    monkeypatch.setattr("gateway.upstreams.openai.ERROR_PATIENCE", 0.05)
    heard = await answer(head(429, content_length=99, retry_after=7), "hang")
    assert (type(heard.error), heard.error.retry_after) == (UpstreamBusy, 7.0)


async def test_an_error_s_body_is_not_read_without_end():
    flood = [chunk(b"x" * 65536)] * 100
    heard = await answer(head(500, transfer_encoding="chunked"), *flood, "hang")
    assert heard.error.kind == "server"


# ------------------------------------------------------------------ faults within a stream

LATE_FAULTS = {
    "F-11 a stall": ([AFTER_TWO, "hang"], UpstreamTimeout, "timeout"),
    "F-12 reset": ([AFTER_TWO, 0.05, "reset"], UpstreamDown, "bad_response"),
    "F-12 closed": ([AFTER_TWO, "close"], UpstreamDown, "bad_response"),
    "F-12 ended early": ([AFTER_TWO, chunk(b"")], UpstreamDown, "bad_response"),
    "F-12 ended within an event": (
        [AFTER_TWO, chunk(b'data: {"choices"'), chunk(b"")],
        UpstreamDown,
        "bad_response",
    ),
    "F-12 closed, unframed": (
        [head() + events(said("a"), said("b")), "close"],
        UpstreamDown,
        "bad_response",
    ),
    "F-13 an error later": (
        [AFTER_TWO, chunk(events(b'{"error":{"code":429}}', DONE)), chunk(b"")],
        UpstreamBusy,
        "rate_limited",
    ),
    "F-13 an error event": (
        [AFTER_TWO, chunk(b"event: error\ndata: boom\n\n"), chunk(b"")],
        UpstreamDown,
        "server",
    ),
    "F-14 malformed JSON": (
        [AFTER_TWO, chunk(b'data: {"cho\n\n'), "hang"],
        UpstreamDown,
        "bad_response",
    ),
    "F-14 null": ([AFTER_TWO, chunk(events(b"null")), "hang"], UpstreamDown, "bad_response"),
    "F-14 a broken chunk": ([AFTER_TWO, b"zz\r\nboo\r\n", "hang"], UpstreamDown, "bad_response"),
    "F-20 an endless event": (
        [AFTER_TWO, *[chunk(b"data: " + b"x" * 2**20)] * 9, "hang"],
        UpstreamDown,
        "bad_response",
    ),
}


@pytest.mark.parametrize(("script", "kind", "name"), LATE_FAULTS.values(), ids=LATE_FAULTS)
async def test_a_late_fault_comes_after_what_was_good(script, kind, name):
    timeouts = replace(PATIENT, silence=0.3) if kind is UpstreamTimeout else PATIENT
    heard = await answer(*script, stream=True, timeouts=timeouts)
    assert (type(heard.error), heard.error.kind, heard.text) == (kind, name, "ab")


NO_STREAM = {
    "a plain reply": whole(REPLY),
    "no events": streamed(b": nothing\n\n"),
    "only done": streamed(events(DONE)),
    "only heartbeats": streamed(events(b"{}", b'{"type":"ping"}', DONE)),
    "only usage": streamed(events(b'{"choices":[],"usage":{}}', DONE)),
    "one of two choices": streamed(
        events(said("a"), END, orjson.dumps({"choices": [{"index": 1, "delta": {}}]}))
    ),
}


@pytest.mark.parametrize("reply", NO_STREAM.values(), ids=NO_STREAM)
async def test_what_is_no_stream_or_only_half_of_one_is_refused(reply):
    heard = await answer(reply, stream=True)
    assert (type(heard.error), heard.error.kind) == (UpstreamDown, "bad_response")


async def test_an_error_first_in_a_stream_comes_before_any_delta():
    heard = await answer(streamed(events(b'{"error":{"code":503}}')), stream=True)
    assert (type(heard.error), heard.deltas) == (UpstreamOverloaded, [])
