"""A user's own function as a scorer: what it says counts, and what it does to us does not."""

from __future__ import annotations

import asyncio
import json
import time

import pytest
from api.serving import LIMIT, ask_for, config, house
from app.scoring import metric

from gateway.app import REFUSALS

RULES = "rules@1+fallback"
MODULE = """
import asyncio, json, os, re
from pathlib import Path

__version__ = "3.1"
SEEN = Path(__file__).parent / "seen"


def long_is_hard(request):
    SEEN.write_text(json.dumps(request))
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


def hang(request):
    while "hang" in request["text"]:
        pass
    return 0.9


def backtrack(request):
    return 0.9 if re.fullmatch("(a+)+b|long ago", request["text"]) else 0.8


async def stubborn(request):
    while "hang" in request["text"]:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            pass
    return 0.9


def crashes(request):
    os._exit(3)


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
    """The folder of the module, which is on PYTHONPATH."""
    place = tmp_path / "path"
    place.mkdir()
    (place / "own_scorer.py").write_text(MODULE)
    (place / "broken_scorer.py").write_text("import nothing_such")
    (place / "leaving_scorer.py").write_text("raise SystemExit(1)")
    monkeypatch.syspath_prepend(place)
    return place


def scored(name, **more):
    scorer = {"python": f"own_scorer.{name}", "timeout": "5s"} | more if more else name
    if not more:
        scorer = f"python:own_scorer.{name}"
    return config(routes__waterfall__scorer=scorer)


SLOWLY = {"timeout": "5s"}


@pytest.mark.parametrize(
    ("name", "value"),
    [("awaited", 0.9), ("model", 0.9), ("gain", 0.85), ("p_good", 0.925), ("hang", 0.9)],
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
    assert json.loads((module / "seen").read_text()) == {
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
        "demands": [],
        "file_tokens": 0,
        "made": 1,
    }
    assert 'scorer_version="own_scorer.long_is_hard@3.1"' in info


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        *((name, "raised") for name in ("raises", "exits", "exits_async", "stops", "crashes")),
        *((name, "unusable") for name in ("text", "much", "less", "none", "nan", "false")),
        *((name, "unusable") for name in ("list_", "empty", "one", "one_more", "writes")),
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


@pytest.mark.parametrize(
    ("name", "text"), [("hang", "hang"), ("stubborn", "hang"), ("backtrack", "a" * 60)]
)
async def test_one_that_never_ends_on_a_prompt_holds_up_nobody(tmp_path, module, name, text):
    """Nor is it left alone: a client could bring that about, and it would be everybody's."""
    hostile = [{"role": "user", "content": text}]
    async with house(tmp_path, scored(name, timeout="50ms")) as it:
        began = time.perf_counter()
        replies = await asyncio.gather(*(it.chat(messages=hostile) for _ in range(40)))
        assert time.perf_counter() - began < LIMIT
        assert {reply.told("scorer") for reply in replies} == {RULES}
        failed = await metric(it, "scorer_fallbacks_total", route="waterfall", reason="timeout")
        opened = await metric(it, "scorer_fallbacks_total", route="waterfall", reason="open")
        assert (failed, opened) == (40, 0)
        async with asyncio.timeout(LIMIT):
            while (await it.chat()).told("scorer") == RULES:  # noqa: ASYNC110
                await asyncio.sleep(0.05)


async def test_nobody_waits_for_a_client_that_left(tmp_path, module):
    hostile = ask_for() | {"messages": [{"role": "user", "content": "hang"}]}
    async with house(tmp_path, scored("hang", **SLOWLY)) as it:
        began = time.perf_counter()
        assert (await it.post(hostile, stay=False)).status == 0
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
