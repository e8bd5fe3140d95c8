from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from gateway import cli
from gateway.demo import run, stage
from gateway.demo.questions import split
from gateway.demo.traffic import ask_all


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("SMALL", "LARGE", "KEY", "PORT", "ADMIN", "SCORER"):
        monkeypatch.setenv(f"WATERFALL_DEMO_{name}", "")  # so that what the demo sets goes again
    return tmp_path


def test_the_simulated_demo_ends_in_its_table(here, monkeypatch, capfd):
    monkeypatch.setattr(run, "QUESTIONS", 60)
    assert cli.main(["demo", "--simulated", "--exit"]) == 0
    told = " ".join(capfd.readouterr().out.split())
    for words in ("from the ledger", "small@1 → small@2", "large alone", "a share of all-large's"):
        assert words in told
    found = json.loads(Path("waterfall-demo/figures.json").read_text())
    assert found["all-large"]["asked"] == 60
    assert found["small-plain"]["recipe"] == "small@1"
    assert found["small-better"]["recipe"] == "small@2"
    assert 0 < found["waterfall"]["cost"] < found["all-large"]["cost"]
    assert Path("waterfall-demo/curve.svg").read_text().startswith("<svg")


def test_a_folder_of_somebody_else_is_left_alone(here, capfd):
    (here / "waterfall-demo").mkdir()
    (here / "waterfall-demo" / "mine.txt").write_text("keep")
    assert cli.main(["demo", "--simulated", "--exit"]) == 1
    assert "move it away" in " ".join(capfd.readouterr().out.split())
    assert [each.name for each in (here / "waterfall-demo").iterdir()] == ["mine.txt"]


def test_without_llama_the_models_are_simulated_and_it_says_so(here, monkeypatch, capfd):
    monkeypatch.setattr(run, "QUESTIONS", 20)
    monkeypatch.setattr(stage, "ARTEFACTS", here / "nowhere")
    monkeypatch.setattr(stage, "SCORER", stage.SCORER)
    assert cli.main(["demo", "--exit"]) == 0
    told = " ".join(capfd.readouterr().out.split())
    assert "cannot be served here" in told
    assert "simulated" in told


def test_two_demos_do_not_share_a_folder(here, capfd):
    with stage.fresh_folder(simulated=True):
        ledger = here / "waterfall-demo" / "waterfall.db"
        ledger.write_text("the first one's")
        assert cli.main(["demo", "--simulated", "--exit"]) == 1
        assert ledger.read_text() == "the first one's"
    assert "Another demo serves" in " ".join(capfd.readouterr().out.split())


def test_a_folder_that_cannot_be_made_is_told_without_a_traceback(here, capfd):
    (here / "waterfall-demo").symlink_to(here / "nowhere")
    assert cli.main(["demo", "--simulated", "--exit"]) == 1
    assert "move it away" in " ".join(capfd.readouterr().out.split())


async def test_a_question_that_is_not_answered_ends_it_with_the_gateway_s_words():
    async def refuse(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 503 No\r\ncontent-length: 4\r\n\r\nbusy")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(refuse, "127.0.0.1", 0)
    base_url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
    with pytest.raises(RuntimeError, match="503: busy"):
        await ask_all(base_url, run.PLAIN, split(1, "demo", 4), lambda _: None)
    server.close()
    await server.wait_closed()


def test_control_c_ends_it_quietly(here):
    child = subprocess.Popen(
        [sys.executable, "-m", "gateway", "demo", "--simulated"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "PYTHONUNBUFFERED": "1"},
    )
    told = child.stdout.readline()
    assert "Two tiny models" in told
    log = here / "waterfall-demo" / "requests.log"
    while not (log.exists() and log.stat().st_size):
        assert child.poll() is None
        time.sleep(0.05)
    child.send_signal(signal.SIGINT)
    rest = child.communicate(timeout=60)[0]
    assert "Traceback" not in rest
    assert child.returncode == 130
