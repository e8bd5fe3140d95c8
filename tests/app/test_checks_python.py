"""A user's own function as a check: what it says counts, and what it does to us does not."""

from __future__ import annotations

import asyncio
import os
import sys

import httpx
import pytest
from api.serving import CHAT, LIMIT, ask_for, house
from app.checking import checking, document, found, said
from app.scoring import metric
from app.serving import ROOT, Process
from upstreams.scripted import Scripted

from gateway.app import REFUSALS
from gateway.checks.function import reading
from gateway.cli import main
from gateway.core.verdict import ABSTAIN
from gateway.store import read
from gateway.waiting.guard import Unusable

MODULE = """
import asyncio, threading

seen = []
gate = threading.Event()
stubborn_ended = False


def ok(request, reply):
    seen.append((dict(request), dict(reply)))
    return reply["text"] == "42"


async def awaited(request, reply):
    await asyncio.sleep(0)
    return {"result": "fail"}


def sure(request, reply):
    return 0.65


def half(request, reply):
    return {"result": "pass", "confidence": 0.3}


def silent(request, reply):
    return None


def meddle(request, reply):
    request["messages"][0]["content"] = "meddled with"
    reply["choices"].clear()
    return False


def raises(request, reply):
    raise ValueError("no")


def leaves(request, reply):
    raise SystemExit(3)


async def leaves_later(request, reply):
    await asyncio.sleep(0)
    raise SystemExit(3)


def odd(request, reply):
    return {"result": "perhaps"}


def hang(request, reply):
    gate.wait()
    return True


async def hang_awaited(request, reply):
    await asyncio.Event().wait()


async def stubborn(request, reply):
    while not gate.is_set():
        try:
            await asyncio.sleep(0.01)
        except asyncio.CancelledError:
            pass


class Model:
    async def __call__(self, request, reply):
        return 0.1


model = Model()
nothing = 3
"""


@pytest.fixture
def own(tmp_path, monkeypatch):
    (tmp_path / "own_checks.py").write_text(MODULE)
    monkeypatch.syspath_prepend(tmp_path)
    sys.modules.pop("own_checks", None)
    import own_checks

    yield own_checks
    own_checks.gate.set()
    sys.modules.pop("own_checks", None)


def calling(name, **more):
    return {"kind": "python", "call": f"own_checks:{name}", **more}


@pytest.mark.parametrize(
    ("name", "tier", "result", "reason", "confidence"),
    [
        ("ok", "small", "pass", "", None),
        ("awaited", "large", "fail", "check_failed", None),
        ("sure", "large", "pass", "", 0.65),
        ("half", "large", "pass", "", 0.3),
        ("model", "large", "pass", "", 0.1),
        ("silent", "small", "abstain", "", None),
        ("raises", "small", "abstain", "raised", None),
        ("leaves", "small", "abstain", "raised", None),
        ("leaves_later", "small", "abstain", "raised", None),
        ("odd", "small", "abstain", "unusable", None),
        ("hang", "small", "abstain", "timeout", None),
        ("hang_awaited", "small", "abstain", "timeout", None),
        ("stubborn", "small", "abstain", "timeout", None),
    ],
)
async def test_what_it_says(own, tmp_path, name, tier, result, reason, confidence):
    check = calling(name, timeout="200ms" if reason == "timeout" else "20s")
    async with checking(tmp_path, [said("42")], ["hang"], check) as (it, *_):
        async with asyncio.timeout(LIMIT):
            reply = await it.chat()
        row = found(it.entry(reply))
        own.gate.set()
    assert (reply.status, reply.told("tier")) == (200, tier)
    assert (row["result"], row["reason"], row["confidence"]) == (result, reason, confidence)
    assert row["cost"] == 0


async def test_what_it_is_given_is_a_copy(own, tmp_path):
    async with checking(tmp_path, [said("42")], ["hang"], calling("meddle")) as (it, *_):
        reply = await it.chat()
        assert reply.told("tier") == "large"
        assert it.sent[-1]["messages"] == ask_for()["messages"]
    async with checking(tmp_path, [said("42")], ["hang"], calling("ok")) as (it, *_):
        await it.chat(user="u")
    ((request, reply),) = own.seen
    assert (request["user"], reply["text"]) == ("u", "42")
    assert reply["choices"] == [{"text": "42", "tool_calls": [], "finish_reason": "stop"}]


async def test_one_that_raises_for_some_replies_is_not_left_alone(own, tmp_path):
    """A client could bring that about, and it would be everybody's."""
    del own
    async with checking(tmp_path, [said("42")], ["hang"], calling("raises")) as (it, *_):
        reasons = {found(it.entry(await it.chat()))["reason"] for _ in range(8)}
    assert reasons == {"raised"}


async def test_it_blocks_nobody_and_one_that_hangs_is_left_alone(own, tmp_path):
    check = calling("hang", timeout="50ms")
    async with checking(tmp_path, [said("42")], ["hang"], check) as (it, *_):
        replies = await asyncio.gather(*(it.chat() for _ in range(5)))
        assert {reply.told("tier") for reply in replies} == {"small"}
        last = await it.chat()
        assert found(it.entry(last))["reason"] == "open"
        labels = {"route": "waterfall", "check": "second", "reason": "open"}
        assert await metric(it, "check_abstentions_total", **labels) == 1
        own.gate.set()


@pytest.mark.parametrize("workers", [1, 2])
async def test_one_that_will_not_be_cancelled_does_not_keep_the_gateway_from_ending(
    tmp_path, workers
):
    (tmp_path / "own_checks.py").write_text(MODULE)
    check = calling("stubborn", timeout="50ms")
    async with Scripted(said("42")) as near:
        served = document(near, near, check, server__drain="1s", server__workers=workers)
        path = os.pathsep.join(map(str, (ROOT, tmp_path)))
        async with Process(tmp_path, served, PYTHONPATH=path) as it:
            await it.ready()
            async with httpx.AsyncClient(base_url=it.url, timeout=LIMIT) as client:
                assert (await client.post(CHAT, json=ask_for())).status_code == 200
            it.signal()
            assert await it.ended() == 0
    assert "left behind, for they would not be cancelled: stubborn" in it.stderr
    (entry,) = read.requests(tmp_path / "waterfall.db")
    assert entry["outcome"] == "ok"


@pytest.mark.parametrize(
    ("call", "told"),
    [
        ("no_such_module:ok", "importing no_such_module raised"),
        ("own_checks:missing", "own_checks has no function 'missing'"),
        ("own_checks:nothing", "own_checks has no function 'nothing'"),
    ],
)
async def test_a_function_that_is_not_there_refuses_the_start(own, tmp_path, call, told):
    del own
    check = {"kind": "python", "call": call}
    async with Scripted("hang") as server:
        settings = document(server, server, check)
        with pytest.raises(REFUSALS, match=rf"\.yaml:\d+: checks\.second\.call: {told}"):
            async with house(tmp_path, settings):
                pass


def test_check_tells_where_it_is_named(tmp_path, capsys):
    path = tmp_path / "own.yaml"
    lines = [
        "upstreams: {sim: {kind: simulated}}",
        "checks:",
        "  mine:",
        "    kind: python",
        "    call: no_such_module:ok",
        "tiers:",
        "  small: {upstream: sim, model: s, price: {input: 1, output: 2}, bar: {checks: [mine]}}",
        "  large: {upstream: sim, model: l, price: {input: 1, output: 2}}",
        "routes: {waterfall: {tiers: [small, large], scorer: rules}}",
    ]
    path.write_text("\n".join(lines))
    path.chmod(0o600)
    assert main(["check", "--config", str(path)]) == 2
    told = capsys.readouterr().err
    assert "own.yaml:5: checks.mine.call: importing no_such_module raised" in told


@pytest.mark.parametrize(
    "words",
    ["0.5", b"1", [1], float("nan"), 1.5, -0.1, {}, {"result": "pass", "confidence": "x"}],
)
def test_what_is_no_answer(words):
    with pytest.raises(Unusable):
        reading(words)


def test_what_abstains():
    assert reading({"result": "abstain"}) == reading(None) == ABSTAIN
