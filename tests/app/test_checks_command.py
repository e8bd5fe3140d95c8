"""A program as a check: what it says, what bounds it, and that nothing of it is left running."""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
import time
from pathlib import Path

import orjson
import pytest
from api.serving import LIMIT, ask_for
from app.checking import alive, calls_tool, checking, document, found, said
from app.serving import Process, Wire, listening, posted, until
from upstreams.scripted import Scripted

from gateway.checks.command import Command, reading
from gateway.checks.complaints import first_lines
from gateway.checks.folder import PREFIX, Folder
from gateway.core.chat import ChatRequest, Choice, Reply
from gateway.core.check_spec import CommandCheck
from gateway.core.plan import Tier
from gateway.core.ports import Question
from gateway.waiting.guard import Raised, Unusable

TOOLS = [{"type": "function", "function": {"name": "add", "parameters": {"type": "object"}}}]


def script(folder, body, name="check.py"):
    """An executable Python script in a folder, called by its path from there."""
    path = folder / name
    path.write_text(f"#!{sys.executable} -I\n{body}")
    path.chmod(0o700)
    return f"./{name}"


def running(folder, body, **more):
    return {"kind": "command", "run": [script(folder, body)], "memory": "1GiB", **more}


@pytest.mark.parametrize(
    ("body", "tier", "result", "reason", "confidence"),
    [
        ("import sys; sys.exit(sys.stdin.read() != '42')", "small", "pass", "", None),
        ("import sys; sys.exit(sys.stdin.read() == '42')", "large", "fail", "check_failed", None),
        ("print('tests ran'); print('{\"confidence\": 0.9}')", "small", "pass", "", 0.9),
        ("print('{\"confidence\": 0.25}')", "large", "pass", "", 0.25),
        ("print('{\"confidence\": 25}')", "small", "abstain", "unusable", None),
        ("print('{\"confidence\": ')", "small", "abstain", "unusable", None),
        ("import sys; sys.exit(2)", "small", "abstain", "raised", None),
        ("import os; os.kill(os.getpid(), 15)", "small", "abstain", "raised", None),
        ("import time; time.sleep(60)", "small", "abstain", "timeout", None),
        ("while True: print('x' * 10_000)", "small", "abstain", "timeout", None),
    ],
)
async def test_what_it_says(tmp_path, body, tier, result, reason, confidence):
    limit = "1s" if reason == "timeout" else "20s"
    check = running(tmp_path, body, timeout=limit, cpu=limit)
    async with checking(tmp_path, [said("42")], ["hang"], check) as (it, *_):
        async with asyncio.timeout(LIMIT):
            reply = await it.chat()
        row = found(it.entry(reply))
    assert (reply.status, reply.told("tier")) == (200, tier)
    assert (row["result"], row["reason"], row["confidence"]) == (result, reason, confidence)


REPORT = """
import json, os, resource, sys
names = ("RLIMIT_CPU", "RLIMIT_AS", "RLIMIT_FSIZE", "RLIMIT_CORE", "RLIMIT_NPROC")
report = {
    "environ": dict(os.environ),
    "cwd": os.getcwd(),
    "files": os.listdir("."),
    "session": os.getsid(0) == os.getpid(),
    "given": sys.stdin.read(),
    "arguments": sys.argv[1:],
    **{name: resource.getrlimit(getattr(resource, name))[0] for name in names},
}
open(sys.argv[1], "w").write(json.dumps(report))
"""


async def report(tmp_path, small="42", fields=None, **more):
    """What a program finds around itself."""
    place = tmp_path / "report.json"
    check = running(tmp_path, REPORT, **{"timeout": "20s", **more})
    check["run"] += [str(place), "--fast"]
    first = small if isinstance(small, bytes) else said(small)
    async with checking(tmp_path, [first], ["hang"], check) as (it, *_):
        reply = await it.chat(**(fields or {}))
        assert found(it.entry(reply))["result"] == "pass"
    return json.loads(place.read_text())


async def test_what_it_finds_around_itself(tmp_path, monkeypatch):
    monkeypatch.setenv("A_SECRET", "s")
    monkeypatch.setenv("MY_SETTING", "mine")
    limits = {"cpu": "1500ms", "memory": "900MB", "file_size": "1MB", "processes": 7}
    seen = await report(tmp_path, env=["MY_SETTING", "NOT_SET"], **limits)
    assert set(seen["environ"]) - {"LC_CTYPE"} <= {
        *("PATH", "LANG", "LC_ALL", "TZ", "MY_SETTING", "HOME", "TMPDIR"),
    }
    assert seen["environ"]["MY_SETTING"] == "mine"
    assert seen["cwd"] == seen["environ"]["HOME"] == seen["environ"]["TMPDIR"]
    assert (seen["files"], seen["session"], seen["given"]) == ([], True, "42")
    assert seen["arguments"][1] == "--fast"
    assert (seen["RLIMIT_CPU"], seen["RLIMIT_AS"], seen["RLIMIT_FSIZE"]) == (2, 900_000_000, 10**6)
    assert (seen["RLIMIT_CORE"], seen["RLIMIT_NPROC"] > 7) == (0, True)
    await until(lambda: not Path(seen["cwd"]).exists())


async def test_it_may_be_given_the_request_too(tmp_path):
    seen = await report(tmp_path, gives="json", fields={"user": "u"})
    given = json.loads(seen["given"])
    assert given["request"]["user"] == "u"
    assert given["reply"]["choices"][0] == {
        "text": "42",
        "tool_calls": [],
        "finish_reason": "stop",
    }


async def test_calls_of_tools_are_given_as_json(tmp_path):
    seen = await report(tmp_path, calls_tool(("add", {"a": 1})), {"tools": TOOLS})
    (call,) = json.loads(seen["given"])
    assert (call["name"], json.loads(call["arguments"])) == ("add", {"a": 1})


@pytest.mark.parametrize(
    "body",
    [
        "x = bytearray(10**9)",
        "open('big', 'wb').write(bytes(2_000_000))",
        "while True: pass",
    ],
    ids=["memory", "file size", "cpu"],
)
async def test_over_a_limit_it_ends(tmp_path, body):
    """Python ends with 1 when it cannot have memory: that is told from a fail by its own word."""
    body = f"import os, sys\ntry:\n    {body}\nexcept BaseException:\n    os._exit(9)\n"
    limits = {"memory": "300MB", "file_size": "1MB", "cpu": "1s", "timeout": "20s"}
    check = running(tmp_path, body) | limits
    async with checking(tmp_path, [said("42")], ["hang"], check) as (it, *_):
        reply = await it.chat()
        row = found(it.entry(reply))
    assert (row["result"], row["reason"]) == ("abstain", "raised")


CHILD = """
import os, subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
open(sys.argv[1], "w").write(f"{os.getpid()} {child.pid}")
if sys.argv[2:] != ["leave"]:
    time.sleep(600)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("how", ["wait", "leave"])
async def test_its_children_end_with_it(tmp_path, how):
    place = tmp_path / "pids"
    check = running(tmp_path, CHILD, timeout="4s" if how == "wait" else "20s", processes=50)
    check["run"] += [str(place), how]
    async with checking(tmp_path, [said("42")], ["hang"], check) as (it, *_):
        row = found(it.entry(await it.chat()))
        await until(lambda: not alive(place))
    assert row["result"] == ("abstain" if how == "wait" else "pass")


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
async def test_a_client_that_leaves_ends_it(tmp_path):
    place = tmp_path / "pids"
    check = running(tmp_path, CHILD, timeout="60s", processes=50)
    check["run"].append(str(place))
    async with (
        Scripted(said("42")) as near,
        listening(tmp_path, document(near, near, check)) as served,
    ):
        async with Wire(served.base_url) as wire:
            await wire.send(posted(orjson.dumps(ask_for())))
            await until(lambda: place.exists() and len(place.read_text().split()) == 2)
            assert len(alive(place)) == 2
        await until(lambda: not alive(place))


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
async def test_a_killed_gateway_takes_it_along(tmp_path):
    """And a gateway as a process of its own can run it at all, on the loop that it has."""
    place = tmp_path / "pids"
    body = CHILD.replace("child = subprocess", "child = None and subprocess")
    body = body.replace("{os.getpid()} {child.pid}", "{os.getpid()}")
    fast = running(tmp_path, "", timeout="60s")
    slow = {**fast, "run": [script(tmp_path, body, "slow.py"), str(place)]}
    async with Scripted(said("42")) as near:
        settings = document(near, near, fast)
        settings["checks"]["slow"] = slow
        settings["tiers"]["small"]["bar"]["checks"].append("slow")
        # The program's folder is what stays: here, not in everybody's.
        async with Process(tmp_path, settings, TMPDIR=str(tmp_path)) as served:
            await served.ready()
            async with Wire(served.url) as wire:
                await wire.send(posted(orjson.dumps(ask_for())))
                await until(lambda: place.exists() and place.read_text())
                assert len(alive(place)) == 1
                served.child.kill()
                await served.ended()
            await until(lambda: not alive(place))


async def test_a_program_that_is_gone_abstains_and_is_left_alone(tmp_path):
    check = running(tmp_path, "")
    async with checking(tmp_path, [said("42")], ["hang"], check) as (it, *_):
        (tmp_path / "check.py").unlink()
        reasons = [found(it.entry(await it.chat()))["reason"] for _ in range(6)]
    assert reasons == ["error"] * 5 + ["open"]


async def test_many_at_once_take_turns(tmp_path):
    body = "import time; time.sleep(0.05)"
    check = running(tmp_path, body, timeout="20s")
    async with checking(tmp_path, [said("42")], ["hang"], check) as (it, *_):
        replies = await asyncio.gather(*(it.chat() for _ in range(8)))
        assert {found(it.entry(reply))["result"] for reply in replies} == {"pass"}


async def test_no_folder_is_left_whenever_it_is_cancelled(tmp_path, monkeypatch):
    """Also while the folder is being made: the thread that makes it is not stopped by a cancel."""
    made = tempfile.mkdtemp

    def slowly(**how):
        place = made(**how, dir=tmp_path)
        time.sleep(0.02)
        return place

    monkeypatch.setattr(tempfile, "mkdtemp", slowly)
    check = Command("mine", CommandCheck(run=(script(tmp_path, "import time; time.sleep(60)"),)))
    question = Question(ChatRequest(ask_for()), Tier("small", "sim", "m"), None, a_reply)
    for each in range(40):
        asked = asyncio.create_task(check.ask(question, 60.0, None))
        await asyncio.sleep(each * 0.001)
        asked.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asked
    await check.aclose()
    await until(lambda: not list(tmp_path.glob(f"{PREFIX}*")))
    await asyncio.get_running_loop().shutdown_default_executor()
    assert not list(tmp_path.glob(f"{PREFIX}*"))


async def a_reply():
    return Reply((Choice("42"),))


async def test_one_that_breaks_fails_and_says_so_in_the_log_once(tmp_path, caplog):
    body = "import sys\nsys.stdin.read()\nprint('\\x1bx' * 10**6, file=sys.stderr)\nno_such_name"
    check = running(tmp_path, body, timeout="20s")
    async with checking(tmp_path, [said("42")], ["hang"], check) as (it, *_):
        rows = [found(it.entry(await it.chat())) for _ in range(3)]
    assert {(row["result"], row["reason"]) for row in rows} == {("fail", "check_failed")}
    (told,) = [each for each in caplog.messages if "ended with 1" in each]
    assert told.startswith("The program of the check second ended with 1 and said: ?x?x")
    assert len(told) < 1_500


def test_what_is_told_of_its_errors():
    assert first_lines(b"") == ""
    traceback = (
        b"Traceback (most recent call last):\n  File x\n\n    y\nNameError: \xff\nmore\nand more"
    )
    assert first_lines(traceback) == (
        "Traceback (most recent call last): | File x | y | NameError: \ufffd | more"
    )


async def test_one_that_passes_may_say_what_it_likes(tmp_path, caplog):
    check = running(tmp_path, "import sys; print('all is well', file=sys.stderr)", timeout="20s")
    async with checking(tmp_path, [said("42")], ["hang"], check) as (it, *_):
        assert found(it.entry(await it.chat()))["result"] == "pass"
    assert "all is well" not in caplog.text


def test_a_folder_that_is_not_wanted_any_more_is_not_made():
    folder = Folder()
    folder.remove()
    with pytest.raises(FileNotFoundError):
        folder.make()


def test_whatever_it_prints():
    assert reading(0, b"").result == "pass"
    assert reading(0, b"[0.5]").confidence is None
    assert reading(0, b"{" + b" " * 2_000 + b"}").confidence is None
    assert reading(0, b'x\n{"confidence": 1}\n\n').confidence == 1.0
    assert reading(1, b'{"confidence": 1}').result == "fail"
    with pytest.raises(Unusable):
        reading(0, b'{"confidence": true}')
    with pytest.raises(Raised):
        reading(-9, b"")
    with pytest.raises(OSError, match="cannot be run"):
        reading(126, b"")
