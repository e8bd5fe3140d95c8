"""A user's own function as a scorer: what it says counts, and what it does to us does not."""

from __future__ import annotations

import asyncio
import sys
import threading
import time

import pytest
from api.serving import LIMIT, ask_for, config, house
from app.scoring import metric

from gateway.app import REFUSALS
from gateway.waiting import breaker, threads
from gateway.waiting.threads import Taken, Threads

RULES = "rules@1+fallback"
MODULE = """
import asyncio, contextlib, threading, time

__version__ = "3.1"
seen = []
gate = threading.Event()


def long_is_hard(request):
    seen.append(dict(request))
    return min(len(request["text"]) / 100, 1)


async def awaited(request):
    await asyncio.sleep(0)
    return {"difficulty": 0.9}


class Model:
    async def __call__(self, request):
        return 0.9


model = Model()


def gain(request):
    return {"gain": 0.7}


def p_good(request):
    return {"p_good": [0.1, 0.95]}


def one_more(request):
    return {"p_good": [0.1, 0.2, 0.95]}


def thread(request):
    return 0.9 if threading.current_thread().name == "function" else 0.1


def hang(request):
    gate.wait()
    return 0.9


async def stubborn(request):
    with contextlib.suppress(asyncio.CancelledError):  # once
        await asyncio.sleep(60)
    await asyncio.sleep(60)


async def hang_async(request):
    await asyncio.sleep(60)


def raises(request):
    raise ValueError("the text was: " + request["text"])


def exits(request):
    raise SystemExit(3)


async def exits_async(request):
    raise SystemExit(3)


def stops(request):
    raise StopIteration


def writes(request):
    request["text"] = "changed"


def said(value):
    return lambda request: value


text, much, less, none, nan, false, list_, empty, one = map(
    said, ("0.5", 1.5, -0.1, None, float("nan"), True, [0.5], {}, {"p_good": [0.5]})
)
not_a_function = 5
"""


@pytest.fixture
def module(tmp_path, monkeypatch):
    """The module on PYTHONPATH, imported anew; its gate opens in the end."""
    place = tmp_path / "path"
    place.mkdir()
    (place / "own_scorer.py").write_text(MODULE)
    (place / "broken_scorer.py").write_text("import nothing_such")
    (place / "leaving_scorer.py").write_text("raise SystemExit(1)")
    monkeypatch.syspath_prepend(place)
    yield lambda: sys.modules["own_scorer"]
    if loaded := sys.modules.pop("own_scorer", None):
        loaded.gate.set()


def scored(name, **more):
    scorer = {"python": f"own_scorer.{name}", "timeout": "5s"} | more if more else name
    if not more:
        scorer = f"python:own_scorer.{name}"
    return config(routes__waterfall__scorer=scorer)


SLOWLY = {"timeout": "5s"}


@pytest.mark.parametrize(
    ("name", "value"),
    [("awaited", 0.9), ("model", 0.9), ("gain", 0.85), ("p_good", 0.925), ("thread", 0.9)],
)
async def test_what_it_says_counts(tmp_path, module, name, value):
    async with house(tmp_path, scored(name, **SLOWLY)) as it:
        reply = await it.chat()
        entry = it.entry(reply)
    assert (reply.told("start"), float(reply.told("difficulty"))) == ("large; score", value)
    assert reply.told("scorer") == entry["scorer"] == f"own_scorer.{name}@3.1"
    assert entry["p_good"] == ([0.1, 0.95] if name == "p_good" else [])
    assert entry["gain"] == {"gain": 0.7, "p_good": pytest.approx(0.85)}.get(name)


async def test_what_it_is_told(tmp_path, module):
    async with house(tmp_path, scored("long_is_hard", **SLOWLY)) as it:
        easy = await it.chat()
        hard = await it.chat(messages=[{"role": "user", "content": "x" * 90}], max_tokens=7)
        info = (await it.get("/metrics")).body.decode()
    assert (easy.told("start"), hard.told("start")) == ("small; score", "large; score")
    assert module().seen[1] == {
        "text": "x" * 90,
        "prompt_chars": 90,
        "prompt_tokens": 26,
        "turns": 1,
        "tools": 0,
        "images": 0,
        "wants_json": False,
        "max_tokens": 7,
        "choices": 1,
        "schema_chars": 0,
        "system_chars": 0,
    }
    assert 'scorer_version="own_scorer.long_is_hard@3.1"' in info


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        *((name, "raised") for name in ("raises", "exits", "exits_async", "stops", "writes")),
        *((name, "unusable") for name in ("text", "much", "less", "none", "nan", "false")),
        *((name, "unusable") for name in ("list_", "empty", "one", "one_more")),
    ],
)
async def test_whatever_it_does_no_request_fails(tmp_path, module, name, reason, caplog):
    async with house(tmp_path, scored(name, **SLOWLY)) as it:
        replies = [await it.chat() for _ in range(8)]
        counted = await metric(it, "scorer_fallbacks_total", route="waterfall", reason=reason)
    assert {reply.status for reply in replies} == {200}
    assert {reply.told("scorer") for reply in replies} == {RULES}
    assert counted == 8, "by a client's text it could be made to: that opens no breaker"
    told = [record for record in caplog.records if "could not decide" in record.message]
    assert len(told) == 1, "once in the log"


@pytest.mark.parametrize("name", ["hang", "hang_async", "stubborn"])
async def test_one_that_hangs_is_left_alone(tmp_path, module, name, monkeypatch):
    now = [0.0]
    monkeypatch.setattr(breaker.Breaker.__init__, "__defaults__", (lambda: now[0], 5, 10.0))
    async with house(tmp_path, scored(name, timeout="30ms")) as it:
        for _ in range(6):
            assert (await it.chat()).told("scorer") == RULES
        began = time.perf_counter()
        replies = await asyncio.gather(*(it.chat() for _ in range(40)))
        took = time.perf_counter() - began
        hung = [each for each in threading.enumerate() if each.name == "function"]
        failed = await metric(it, "scorer_fallbacks_total", route="waterfall", reason="timeout")
        opened = await metric(it, "scorer_fallbacks_total", route="waterfall", reason="open")
        assert (failed, opened) == (5, 41)
        assert len(hung) <= threads.THREADS
        assert all(each.daemon for each in hung), "the process may end"
        assert {reply.told("scorer") for reply in replies} == {RULES}
        assert took < LIMIT
        now[0] = 11.0
        module().gate.set()
        if name == "hang":
            async with asyncio.timeout(LIMIT):
                while (await it.chat()).told("scorer") == RULES:
                    now[0] += 11.0


async def test_the_loop_s_own_threads_stay_free(tmp_path, module):
    async with house(tmp_path, scored("hang", timeout="20ms")) as it:
        await asyncio.gather(*(it.chat() for _ in range(30)))
        async with asyncio.timeout(LIMIT):
            assert await asyncio.to_thread(lambda: "free") == "free"


async def test_nobody_waits_for_a_client_that_left(tmp_path, module):
    async with house(tmp_path, scored("hang", **SLOWLY)) as it:
        began = time.perf_counter()
        assert (await it.post(ask_for(), stay=False)).status == 0
        assert time.perf_counter() - began < 4
        (entry,) = it.entries()
    assert (entry["outcome"], entry["cost"]) == ("cancelled", 0)


@pytest.mark.parametrize(
    ("target", "told"),
    [
        ("own_scorer.missing", "has no function 'missing'"),
        ("own_scorer.not_a_function", "has no function 'not_a_function'"),
        ("nowhere_at_all.score", "No module named 'nowhere_at_all'"),
        ("broken_scorer.score", "No module named 'nothing_such'"),
        ("leaving_scorer.score", "SystemExit"),
    ],
)
async def test_one_that_cannot_be_imported_is_a_clear_error(tmp_path, module, target, told):
    with pytest.raises(REFUSALS, match=told) as caught:
        async with house(tmp_path, config(routes__waterfall__scorer=f"python:{target}")):
            pass
    assert f"python:{target}" in str(caught.value)
    async with house(tmp_path) as it:
        it.write(config(routes__waterfall__scorer=f"python:{target}"))
        assert not await it.gateway.reload()
        assert (await it.chat()).status == 200


# ------------------------------------------------------------------ the threads


async def test_threads_are_few_and_what_waits_is_bounded(monkeypatch):
    monkeypatch.setattr(threads, "WAITING", 3)
    pool, gate = Threads(2), threading.Event()
    running = [asyncio.create_task(pool.run(gate.wait)) for _ in range(5)]
    await asyncio.sleep(0)
    with pytest.raises(Taken):
        await pool.run(gate.wait)
    gate.set()
    assert await asyncio.gather(*running) == [True] * 5
    assert await pool.run(lambda: 7) == 7
    assert len([each for each in threading.enumerate() if each.name == "function"]) <= 2
    pool.close()


async def test_work_that_was_given_up_before_it_began_is_not_done():
    pool, gate, done = Threads(1), threading.Event(), []
    first = asyncio.create_task(pool.run(gate.wait))
    second = asyncio.create_task(pool.run(lambda: done.append(1)))
    await asyncio.sleep(0)
    second.cancel()
    await asyncio.gather(second, return_exceptions=True)
    gate.set()
    await first
    await pool.run(lambda: None)
    pool.close()
    assert done == []
