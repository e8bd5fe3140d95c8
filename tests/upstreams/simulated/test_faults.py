"""Every fault, in process and over a socket: the gateway's own client must see the same thing."""

from __future__ import annotations

import asyncio

import pytest
from upstreams.simulated.talking import ask, eventually, talk, upstream_call

from gateway.core import errors
from gateway.upstreams.http1 import Timeouts
from gateway.upstreams.openai import OpenAIUpstream
from gateway.upstreams.simulated import Behaviour, Model, Pace, SimulatedUpstream, serve_simulated
from gateway.upstreams.simulated.script import FAULTS, STATUSES

PATIENT = 60.0
HASTY = 0.15

# fault -> (what a plain call raises, what a streamed one raises); None: a whole reply.
BAD = (errors.UpstreamDown, "bad_response")
DOWN = (errors.UpstreamDown, "server")
LATE = (errors.UpstreamTimeout, "timeout")
TEXT_ONLY = (None, None)
ROWS = {
    "refuse": (BAD, BAD),
    "reset": (BAD, BAD),
    "reset,after=3": (BAD, BAD),
    "status": (DOWN, DOWN),
    "hang": (LATE, LATE),
    "slow_first,seconds=30": (LATE, LATE),
    "slow_first,seconds=0.01": TEXT_ONLY,
    "stall": (LATE, LATE),
    "stall,after=3": (LATE, LATE),
    "cut": (BAD, BAD),
    "cut,after=3": (BAD, BAD),
    "error_event": (DOWN, DOWN),
    "error_event,after=3": (DOWN, DOWN),
    "malformed": (BAD, BAD),
    "malformed,after=2": (BAD, BAD),
    "short_body": (BAD, BAD),
    "html": (BAD, BAD),
    "empty": (BAD, BAD),
    "null": (BAD, BAD),
    "no_choices": (BAD, BAD),
    "no_done": TEXT_ONLY,
    "two_done": TEXT_ONLY,
    "after_done": TEXT_ONLY,
    "odd_sse": TEXT_ONLY,
    "no_usage": TEXT_ONLY,
    "absurd_usage": TEXT_ONLY,
    "wrong_model": TEXT_ONLY,
    "gzip": (BAD, BAD),
    "redirect": (DOWN, DOWN),
    "slow_loris,seconds=1": (LATE, LATE),
    "huge,size=1": TEXT_ONLY,
    "huge,size=9": (None, BAD),
    "big_head": (BAD, BAD),
    "refusal": TEXT_ONLY,
    "empty_reply": TEXT_ONLY,
    "bad_json": TEXT_ONLY,
}
HANGING = {"hang", "stall", "slow_loris"}


def test_there_is_a_row_for_every_fault():
    assert {row.partition(",")[0] for row in ROWS} == set(FAULTS)


@pytest.fixture
async def server():
    async with serve_simulated(Behaviour(seed=1)) as running:
        yield running


def _ears(server, patience):
    """The two ways to call the same provider, with the same patience."""
    timeouts = Timeouts(2.0, patience, patience, PATIENT)
    return (
        OpenAIUpstream("http", f"{server.url}/v1", None, timeouts),
        SimulatedUpstream("sim", Behaviour(seed=1), first_token=patience, silence=patience),
    )


def _patience(fault):
    return HASTY if fault.split(",")[0] in HANGING or "seconds=30" in fault else PATIENT


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
@pytest.mark.parametrize("fault", ROWS)
async def test_a_fault_means_the_same_in_process_and_over_http(server, fault, stream):
    body = ask(simulate=fault, stream=stream, stream_options={"include_usage": True})
    heard, lines = [], []
    for upstream in _ears(server, _patience(fault)):
        draft, error = await talk(upstream, body)
        await upstream.aclose()
        heard.append((error and (type(error), error.kind), draft.reply(complete=not error)))
        log = upstream.provider.log if isinstance(upstream, SimulatedUpstream) else server
        await eventually(lambda log=log: log.lines()[-1]["outcome"] != "open")
        lines.append(log.lines()[-1])
    assert [error for error, _ in heard] == [ROWS[fault][stream]] * 2
    if ROWS[fault][stream] is None:
        assert heard[0] == heard[1]
        assert {line["outcome"] for line in lines} == {fault.split(",")[0]}
        assert lines[0]["usage"] == lines[1]["usage"]
        assert lines[0]["tokens"] == lines[1]["tokens"]
    assert {line["fault"] for line in lines} == {fault.split(",")[0]}


@pytest.mark.parametrize("status", STATUSES)
async def test_every_status_is_the_same_error(server, status):
    body = ask(simulate=f"{status},retry_after=7")
    found = []
    for upstream in _ears(server, PATIENT):
        _, error = await talk(upstream, body)
        found.append((type(error), error.status, error.message, error.retry_after))
        await upstream.aclose()
    assert found[0] == found[1]
    if status in {429, 503, 529}:
        assert found[0][3] == 7.0
    assert [line["status"] for line in server.lines()] == [status]


async def test_a_window_too_small_is_told_as_such(server):
    for upstream in _ears(server, PATIENT):
        _, error = await talk(upstream, ask(simulate="400,code=context_length_exceeded"))
        assert isinstance(error, errors.ContextTooLong)
        await upstream.aclose()


async def test_usage_that_nobody_can_believe_is_not_believed(server):
    for fault in ("no_usage", "absurd_usage"):
        for stream in (False, True):
            options = {"stream_options": {"include_usage": True}} if stream else {}
            for upstream in _ears(server, PATIENT):
                draft, error = await talk(upstream, ask(simulate=fault, stream=stream, **options))
                assert (error, draft.usage) == (None, None)
                assert draft.tokens > 0
                await upstream.aclose()
    told = {line["fault"]: line["usage"] for line in server.lines()}
    assert told["no_usage"] is None
    assert told["absurd_usage"]["completion_tokens"] == -7


# ------------------------------------------------------------------ in process


async def test_it_is_sent_before_anything_comes():
    order = []

    async def receive(delta):
        order.append("delta")
        return True

    upstream = SimulatedUpstream("sim", Behaviour())
    await upstream.call(upstream_call(ask(), on_sent=lambda: order.append("sent")), receive)
    assert order == ["sent", "delta"]


SLOW = Behaviour(default=Model(pace=Pace(per_token=0.001)))


async def test_a_reply_nobody_wants_any_more_is_stopped():
    upstream = SimulatedUpstream("sim", SLOW)
    seen = []

    async def receive(delta):
        seen.append(delta)
        return len(seen) < 5

    await upstream.call(upstream_call(ask(stream=True)), receive)
    (line,) = upstream.provider.log.lines()
    assert (len(seen), line["outcome"], line["tokens"], line["usage"]) == (
        5,
        "closed_by_peer",
        4,
        None,
    )
    assert line["closed_after_ms"] >= 0


async def test_a_cancel_stops_it_at_once():
    upstream = SimulatedUpstream("sim", Behaviour())
    task = asyncio.create_task(talk(upstream, ask(stream=True, simulate="stall,after=2")))
    await eventually(lambda: any(line["tokens"] == 2 for line in upstream.provider.log.lines()))
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    (line,) = upstream.provider.log.lines()
    assert (line["outcome"], line["fault"], line["tokens"]) == ("closed_by_peer", "stall", 2)


async def test_a_deadline_ends_it():
    upstream = SimulatedUpstream("sim", Behaviour())
    _, error = await talk(upstream, ask(simulate="hang"), timeout=0.02)
    assert isinstance(error, errors.UpstreamTimeout)
    assert "total" in error.message


async def test_a_plain_reply_given_up_early_has_cost_a_part_of_its_tokens():
    behaviour = Behaviour(default=Model(pace=Pace(per_token=0.05)))
    upstream = SimulatedUpstream("sim", behaviour)
    _, error = await talk(upstream, ask(), timeout=0.3)
    (line,) = upstream.provider.log.lines()
    assert isinstance(error, errors.UpstreamTimeout)
    assert 1 <= line["tokens"] <= 20
    assert line["outcome"] == "closed_by_peer"


async def test_what_only_we_asked_for_is_not_passed_on():
    upstream = SimulatedUpstream("sim", Behaviour())
    seen = []

    async def receive(delta):
        seen.append(delta)
        return True

    body = ask(stream=True, logprobs=True, stream_options={"include_usage": True})
    call = upstream_call(body, strip_usage=True, strip_logprobs=True)
    await upstream.call(call, receive)
    assert sum(len(piece.logprobs) for delta in seen for piece in delta.pieces) > 0
    assert seen[-1].usage is not None
    raw = b"".join(delta.raw for delta in seen)
    assert b"usage" not in raw
    assert b'"logprob"' not in raw
