"""The line to a user's function: what others than who was asked write there is none."""

from __future__ import annotations

import asyncio

import pytest

from gateway.waiting.function import UserFunction
from gateway.waiting.guard import Raised
from gateway.waiting.helper import NotFound

MODULE = """
import contextlib, os, stat, threading, time
from pathlib import Path


def write(words):
    for each in Path("/dev/fd").iterdir():
        with contextlib.suppress(OSError):
            if stat.S_ISSOCK(each.stat().st_mode):
                os.write(int(each.name), words.encode())


def forks(name, wait):
    if name == "first" and os.fork() == 0:
        name = "a child's"
        wait += 0.1
    time.sleep(wait)
    return [name, os.getpid()]


async def forks_awaited(name, wait):
    return forks(name, wait)


def leaves_a_child():
    if os.fork() == 0:
        time.sleep(60)
    os._exit(3)


def garbles(words, later):
    if words:
        threading.Timer(later, write, (words,)).start()
        time.sleep(0.0 if later else 0.2)
    else:
        time.sleep(0.4)
    return os.getpid()
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    (tmp_path / "lined.py").write_text(MODULE)
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


@pytest.fixture
async def calling(folder):
    del folder
    made = []

    async def call(name):
        made.append(await asyncio.to_thread(UserFunction, "lined", name, 1))
        return made[-1]

    yield call
    for each in made:
        await each.aclose()


@pytest.mark.parametrize("name", ["forks", "forks_awaited"])
async def test_a_forked_child_answers_nobody_and_takes_no_call(calling, name):
    """It would be the answer of the next call: one request's verdict on another's reply."""
    function = await calling(name)
    first, asked = await function("first", 0.0)
    second, then = await function("second", 0.4)
    assert (first, second) == ("first", "second")
    assert {(await function("more", 0.0))[1] for _ in range(10)} | {then} == {asked}


async def test_a_module_that_forks_when_it_is_imported(folder):
    (folder / "forking.py").write_text(
        "import os, time\nif os.fork() == 0: time.sleep(0.1)\n"
        "def ok(wait):\n    time.sleep(wait)\n    return os.getpid()\n"
    )
    function = await asyncio.to_thread(UserFunction, "forking", "ok", 1)
    try:
        assert len({await function(wait) for wait in (0.3, 0.0, 0.0, 0.0)}) == 1
    finally:
        await function.aclose()


async def test_a_forked_child_does_not_hide_the_end_of_its_parent(calling):
    function = await calling("leaves_a_child")
    async with asyncio.timeout(20):
        with pytest.raises(Raised, match="ended in the middle"):
            await function()


@pytest.mark.parametrize(
    "words",
    [
        "\n",
        "no\n",
        "1\n",
        "1 []\n",
        "1 5\n",
        "1 {}\n",
        '1 {"ready": "0"}\n',
        '1 {"raised": "X"}\n',
        '1 {"said": 1}\nno',
        '1 {"said": 1}\n1 {"said": 2}\n',
        '0 {"said": 1}\n',
        '{"said": 1}\n',
        "1 " + "[" * 100_000 + "\n",
        "1 " + "9" * 100_000 + "\n",
        "x" * 2_500_000,
    ],
)
async def test_what_is_no_answer_ends_the_helper(calling, words):
    function = await calling("garbles")
    before = function._helpers._idle[0]
    with pytest.raises(Raised, match=r"what is no answer|ended in the middle"):
        await function(words, 0.0)
    while before.alive:  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    assert await function("", 0.0) > 0, "by another"


async def test_an_answer_that_comes_late_is_no_answer_to_the_next_call(calling):
    function = await calling("garbles")
    assert await function('1 {"said": "late"}\n', 0.1)
    with pytest.raises(Raised, match="what is no answer"):
        await function("", 0.0)
    assert await function("", 0.0) != "late"


@pytest.mark.parametrize("words", ["no", "[]", "0 {}", '0 {"said": 1}', '1 {"ready": "0"}'])
def test_a_module_that_writes_there_when_it_is_imported(folder, words):
    (folder / "writing.py").write_text(
        f"import lined\nlined.write({words + chr(10)!r})\nok = print"
    )
    with pytest.raises(NotFound, match="importing writing: its process said what is no answer"):
        UserFunction("writing", "ok")
