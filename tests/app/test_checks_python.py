"""A user's own function as a check: what it says counts, and what it does to us does not."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from pathlib import Path

import httpx
import orjson
import pytest
from api.serving import CHAT, LIMIT, ask_for, house
from app.checking import alive, checking, document, found, said
from app.scoring import metric
from app.serving import ROOT, Process, Wire, listening, posted, until
from upstreams.scripted import Scripted

from gateway.app import REFUSALS
from gateway.checks.function import reading
from gateway.cli import main
from gateway.core.verdict import ABSTAIN
from gateway.store import read
from gateway.waiting.guard import Unusable

MODULE = (Path(__file__).parent / "own_checks.py").read_text(encoding="utf-8")


@pytest.fixture
def own(tmp_path, monkeypatch):
    """The folder of the module, which is on PYTHONPATH."""
    (tmp_path / "own_checks.py").write_text(MODULE)
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path
    assert "own_checks" not in sys.modules, "it runs nowhere but in processes of its own"


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
        ("crashes", "small", "abstain", "raised", None),
        ("garbles", "small", "abstain", "raised", None),
        ("odd", "small", "abstain", "unusable", None),
        ("thing", "small", "abstain", "unusable", None),
        ("bulky", "small", "pass", "", None),
        ("vast", "small", "abstain", "unusable", None),
        ("prints", "small", "pass", "", None),
        ("hang", "small", "abstain", "timeout", None),
        ("backtrack", "small", "abstain", "timeout", None),
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
    request, reply = json.loads((own / "seen").read_text())
    assert (request["user"], reply["text"]) == ("u", "42")
    assert reply["choices"] == [{"text": "42", "tool_calls": [], "finish_reason": "stop"}]


async def test_one_that_raises_for_some_replies_is_not_left_alone(own, tmp_path):
    """A client could bring that about, and it would be everybody's."""
    del own
    async with checking(tmp_path, [said("42")], ["hang"], calling("raises")) as (it, *_):
        reasons = {found(it.entry(await it.chat()))["reason"] for _ in range(8)}
    assert reasons == {"raised"}


async def test_one_that_never_ends_blocks_nobody_and_is_not_left_alone(own, tmp_path):
    """A pure loop holds Python's lock: in the gateway's own process nothing would go on."""
    check = calling("hangs_on_x", timeout="100ms")
    async with checking(tmp_path, [said("42")], ["hang"], check) as (it, *_):
        hung = [asyncio.create_task(it.chat(user="x")) for _ in range(8)]
        longest, began = 0.0, time.perf_counter()
        while not all(each.done() for each in hung):
            await asyncio.sleep(0.01)
            now = time.perf_counter()
            longest, began = max(longest, now - began), now
        rows = [found(it.entry(each.result())) for each in hung]
        assert {(row["result"], row["reason"]) for row in rows} == {("abstain", "timeout")}
        assert longest < 5, "the event loop went on meanwhile"
        async with asyncio.timeout(LIMIT):
            while found(it.entry(await it.chat()))["result"] != "pass":  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        labels = {"route": "waterfall", "check": "second", "reason": "open"}
        assert await metric(it, "check_abstentions_total", **labels) is None


async def test_what_is_slow_but_ends_keeps_its_process(own, tmp_path):
    """A client that leaves, or a moment's delay, costs no process."""
    check = calling("slow", timeout="50ms", helpers=1)
    async with checking(tmp_path, [said("42")], ["hang"], check) as (it, *_):
        seen = set()
        for _ in range(3):
            assert found(it.entry(await it.chat()))["reason"] == "timeout"
            await asyncio.sleep(0.25)
            seen.add((own / "pids").read_text())
    assert len(seen) == 1


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
async def test_what_it_has_started_ends_with_it_when_the_client_leaves(own, tmp_path):
    check = calling("bears", timeout="60s")
    async with (
        Scripted(said("42")) as near,
        listening(tmp_path, document(near, near, check)) as served,
    ):
        async with Wire(served.base_url) as wire:
            await wire.send(posted(orjson.dumps(ask_for())))
            await until(lambda: (own / "pids").exists() and len(alive(own / "pids")) == 2)
        await until(lambda: not alive(own / "pids"))


async def test_a_limit_of_memory(own, tmp_path):
    for memory, result in (("1GB", "abstain"), ("off", "pass")):
        check = calling("greedy", memory=memory, timeout="20s")
        async with checking(tmp_path, [said("42")], ["hang"], check) as (it, *_):
            row = found(it.entry(await it.chat()))
        assert (row["result"], row["reason"]) == (result, "raised" if memory == "1GB" else "")


async def test_a_reload_takes_up_a_change_to_its_module(own, tmp_path):
    async with checking(tmp_path, [said("42")], ["hang"], calling("sure")) as (it, *_):
        assert found(it.entry(await it.chat()))["confidence"] == 0.65
        (own / "own_checks.py").write_text(MODULE.replace("0.65", "0.5"))
        assert await it.gateway.reload()
        assert found(it.entry(await it.chat()))["confidence"] == 0.5


async def test_what_it_raised_is_in_the_log_once(own, tmp_path, caplog):
    async with checking(tmp_path, [said("42")], ["hang"], calling("raises")) as (it, *_):
        for _ in range(3):
            await it.chat()
    assert caplog.text.count("it raised ValueError") == 1
    assert 'raise ValueError("no")' in caplog.text, "with its place in the module"


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("how", ["stop", "kill"])
async def test_nothing_is_left_when_the_gateway_ends(tmp_path, workers, how):
    (tmp_path / "own_checks.py").write_text(MODULE)
    check = calling("stubborn", timeout="50ms")
    async with Scripted(said("42")) as near:
        served = document(near, near, check, server__drain="1s", server__workers=workers)
        path = os.pathsep.join(map(str, (ROOT, tmp_path)))
        async with Process(tmp_path, served, PYTHONPATH=path) as it:
            await it.ready()
            async with httpx.AsyncClient(base_url=it.url, timeout=LIMIT) as client:
                assert (await client.post(CHAT, json=ask_for())).status_code == 200
            assert helpers(tmp_path)
            if how == "stop":
                it.signal()
                assert await it.ended() == 0
                (entry,) = read.requests(tmp_path / "waterfall.db")
                assert entry["outcome"] == "ok"
            else:
                it.child.kill()
                await it.ended()
            await until(lambda: not helpers(tmp_path))


def helpers(folder):
    """The running processes of functions that were started with this folder on PYTHONPATH."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            command, environ = ((process / it).read_bytes() for it in ("cmdline", "environ"))
        except OSError:
            continue  # it has ended
        if b"waiting/apart.py" in command and str(folder).encode() in environ:
            found.append(process.name)
    return found


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
