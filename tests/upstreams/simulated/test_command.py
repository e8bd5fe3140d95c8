"""The log's file, and the command that serves a simulated provider."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys

import pytest
from upstreams.simulated.talking import ask, eventually, hang_up, open_stream, post

from gateway.upstreams.simulated import Behaviour, Model, read_log, serve_simulated
from gateway.upstreams.simulated.log import CallLog

MODELS = Behaviour(seed=1, models={"small": Model(), "large": Model()})


async def test_the_file_has_every_call_before_its_answer(tmp_path):
    path = tmp_path / "log.jsonl"
    async with serve_simulated(MODELS, log=path) as server:
        _, writer = await open_stream(server, simulate="hang")
        await eventually(server.lines)
        (line,) = read_log(path)
        assert (line["outcome"], line["tokens"]) == ("open", 0)
        await post(server, ask())
        await hang_up(writer)
        await eventually(lambda: server.lines()[0]["outcome"] != "open")
        assert read_log(path) == server.lines()
        assert len(path.read_bytes().splitlines()) == 4
        assert path.stat().st_mode & 0o077 == 0


def test_memory_is_bounded(monkeypatch):
    monkeypatch.setattr("gateway.upstreams.simulated.log._KEEP", 10)
    log = CallLog()
    for number in range(25):
        log.end(log.open(str(number), stream=False), "complete")
    assert [line["model"] for line in log.lines()] == [str(n) for n in range(15, 25)]


# ------------------------------------------------------------------ the command


def _start(*arguments):
    command = [sys.executable, "-m", "gateway.upstreams.simulated", *arguments]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    line = process.stdout.readline()
    return process, int(re.fullmatch(r"listening http://127\.0\.0\.1:(\d+)\n", line)[1])


class _Elsewhere:
    def __init__(self, port):
        self.port = port


async def test_the_command_serves_what_it_is_told(tmp_path):
    answers, log = tmp_path / "answers.json", tmp_path / "log.jsonl"
    answers.write_text(json.dumps({"Capital of Norway?": "Oslo"}))
    process, port = _start(
        "--port", "0", "--model", "small", "--model", "large", "--seed", "1",
        "--answers", str(answers), "--accuracy", "small=0", "--log", str(log),
        "--key", "k", "--coached", "small=carefully=1", "--context", "large=9",
        "--script", '[{"fault": "cut", "contains": "cut me"}]',
    )  # fmt: skip
    server, auth = _Elsewhere(port), "authorization: Bearer k\r\n"
    try:
        wrong = json.loads((await post(server, ask("Capital of Norway?"), headers=auth))[2])
        assert wrong["choices"][0]["message"]["content"] != "Oslo"
        coached = ask("Capital of Norway?")
        coached["messages"].insert(0, {"role": "system", "content": "Answer carefully."})
        right = json.loads((await post(server, coached, headers=auth))[2])
        assert right["choices"][0]["message"]["content"] == "Oslo"
        assert (await post(server, ask("x" * 99, "large"), headers=auth))[0] == 400
        assert (await post(server, ask(model="other"), headers=auth))[0] == 404
    finally:
        process.send_signal(signal.SIGTERM)
        process.stdout.close()
        assert process.wait(20) == 0
    assert [line["status"] for line in read_log(log)] == [200, 200, 400, 404]


async def test_killed_it_has_lost_no_call(tmp_path):
    log = tmp_path / "log.jsonl"
    process, port = _start("--log", str(log))
    reader, writer = await open_stream(_Elsewhere(port), simulate="stall,after=2")
    await reader.readuntil(b'"content":"')
    os.kill(process.pid, signal.SIGKILL)
    process.wait(20)
    process.stdout.close()
    (line,) = read_log(log)
    assert (line["model"], line["outcome"]) == ("small", "open")
    await hang_up(writer)


@pytest.mark.parametrize(
    "arguments",
    [
        ["--accuracy", "small"],
        ["--accuracy", "small=2"],
        ["--answers", "/nowhere/at/all.json"],
        ["--script", "[3]"],
        ["--script", "/nowhere/at/all.json"],
    ],
)
def test_the_command_refuses_what_it_cannot_read(arguments):
    command = [sys.executable, "-m", "gateway.upstreams.simulated", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "error:" in done.stderr
    assert "Traceback" not in done.stderr


def test_it_needs_no_web_framework():
    look = "import gateway.upstreams.simulated.__main__, sys; print('fastapi' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", look], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
