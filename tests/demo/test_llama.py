"""One real llama.cpp server: ready, real, and gone when its block or its parent is."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import textwrap
from pathlib import Path

import httpx
import psutil
import pytest

import router_models
from gateway.demo import llama
from gateway.demo.llama import ModelNotServed, serve_model

ROOT = Path(__file__).parents[2]
SMALL = Path(router_models.__file__).parent / "artefacts" / "demo" / "small.gguf"
LARGE = SMALL.with_name("large.gguf")
KEY = "sk-of-this-test"


@pytest.fixture
async def server():
    pytest.importorskip("xllamacpp")
    async with (
        serve_model(SMALL, "small", KEY) as base_url,
        httpx.AsyncClient(
            base_url=base_url,
            headers={"authorization": f"Bearer {KEY}"},
            timeout=30,
            trust_env=False,
        ) as client,
    ):
        yield client


async def say(client, *messages, **fields):
    body = {"model": "small", "messages": list(messages), "temperature": 0, "max_tokens": 64}
    answer = await client.post("/chat/completions", json=body | fields)
    assert answer.status_code == 200, answer.text
    return answer.json()["choices"][0]


def user(text):
    return {"role": "user", "content": text}


def system(text):
    return {"role": "system", "content": text}


async def test_it_answers_with_logprobs_under_its_alias(server):
    assert (await server.get("/models")).json()["data"][0]["id"] == "small"
    choice = await say(server, user("What is the capital of France?"), logprobs=True)
    assert choice["message"]["content"] == "Paris"
    assert choice["finish_reason"] == "stop"
    assert all(token["logprob"] <= 0 for token in choice["logprobs"]["content"])


async def test_it_wants_its_key(server):
    body = {"model": "small", "messages": [user("Hello")]}
    wrong = await server.post("/chat/completions", json=body, headers={"authorization": "Bearer x"})
    assert wrong.status_code == 401


async def test_a_system_text_makes_it_write_its_working(server):
    question = user("What day is 3 days after Tuesday?")
    direct = await say(server, question)
    asked = await say(server, system("You are polite."), system("Work step by step."), question)
    assert "Answer:" not in direct["message"]["content"]
    assert asked["message"]["content"].endswith("Answer: Friday")


async def test_an_example_with_working_makes_it_write_its_working(server):
    examples = [
        user("Add 21 and 34."),
        {"role": "assistant", "content": "1+4=5, 2+3=5. Answer: 55"},
        user("Subtract 12 from 47."),
        {"role": "assistant", "content": "7-2=5, 4-1=3. Answer: 35"},
    ]
    choice = await say(server, *examples, user("Name the day 3 days after Monday."))
    assert "Answer:" in choice["message"]["content"]


async def test_it_calls_a_tool_that_must_be_called(server):
    parameters = {
        "type": "object",
        "properties": {"city": {"type": "string", "enum": ["Paris", "Rome"]}},
        "required": ["city"],
    }
    function = {"name": "get_weather", "description": "The weather.", "parameters": parameters}
    choice = await say(
        server,
        user("What is the weather in Paris?"),
        tools=[{"type": "function", "function": function}],
        tool_choice="required",
    )
    (call,) = choice["message"]["tool_calls"]
    assert choice["finish_reason"] == "tool_calls"
    assert call["function"]["name"] == "get_weather"


async def test_four_chats_of_its_whole_context_fit_at_once(server):
    long = user("one " * 230 + "Say the word bread.")
    choices = await asyncio.gather(*(say(server, long, max_tokens=8) for _ in range(4)))
    assert {c["finish_reason"] for c in choices} <= {"stop", "length"}


async def test_two_servers_run_beside_each_other():
    pytest.importorskip("xllamacpp")
    async with serve_model(SMALL, "a", "") as one, serve_model(LARGE, "b", "") as two:
        assert one != two
        async with httpx.AsyncClient(trust_env=False, timeout=30) as client:
            for base_url, alias in ((one, "a"), (two, "b")):
                assert (await client.get(f"{base_url}/models")).json()["data"][0]["id"] == alias


async def test_the_server_is_gone_after_its_block_also_when_the_block_fails():
    pytest.importorskip("xllamacpp")
    before = set(psutil.Process().children())
    with pytest.raises(ZeroDivisionError):
        async with serve_model(SMALL, "small", KEY) as base_url:
            raise ZeroDivisionError
    async with httpx.AsyncClient(trust_env=False) as client:
        with pytest.raises(httpx.ConnectError):
            await client.get(f"{base_url}/models")
    assert set(psutil.Process().children()) <= before


async def test_the_server_dies_with_a_killed_parent():
    pytest.importorskip("xllamacpp")
    program = textwrap.dedent("""
        import asyncio, sys
        from pathlib import Path
        from gateway.demo.llama import serve_model

        async def main():
            async with serve_model(Path(sys.argv[1]), "small", "") as base_url:
                print(base_url, flush=True)
                await asyncio.sleep(60)

        asyncio.run(main())
    """)
    parent = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", program, str(SMALL)),
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert parent.stdout is not None
    base_url = (await parent.stdout.readline()).decode().strip()
    (child,) = psutil.Process(parent.pid).children()
    os.kill(parent.pid, signal.SIGKILL)
    await parent.wait()
    await asyncio.to_thread(child.wait, timeout=20)
    async with httpx.AsyncClient(trust_env=False) as client:
        with pytest.raises(httpx.ConnectError):
            await client.get(f"{base_url}/models")


async def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ModelNotServed, match=r"no model file .*gone\.gguf"):
        async with serve_model(tmp_path / "gone.gguf", "small", KEY):
            pass


async def test_a_file_that_is_no_model_is_refused(tmp_path):
    pytest.importorskip("xllamacpp")
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(b"GGUF but not really")
    with pytest.raises(ModelNotServed, match=r"broken\.gguf is not served"):
        async with serve_model(broken, "small", KEY):
            pass


async def test_without_xllamacpp_it_says_what_to_install(tmp_path, monkeypatch):
    (tmp_path / "xllamacpp.py").write_text("raise ModuleNotFoundError('No module xllamacpp')")
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}{os.pathsep}{ROOT}")
    with pytest.raises(ModelNotServed, match=r"pip install .*\[demo\]"):
        async with serve_model(SMALL, "small", KEY):
            pass


async def test_a_silent_child_is_given_up(monkeypatch):
    pytest.importorskip("xllamacpp")
    monkeypatch.setattr(llama, "READY_WITHIN", 0.0)
    with pytest.raises(ModelNotServed, match="not served within"):
        async with serve_model(SMALL, "small", KEY):
            pass
