"""Coding agents that nobody here wrote, at work through the gateway: each reads a file by a tool of
its own, as a tier that speaks OpenAI's chat tells it to, and says what is in it."""

from __future__ import annotations

import asyncio
import contextlib
import subprocess

import orjson
import pytest
import uvicorn
from api.serving import config
from app.serving import Process, until
from live.test_guides import CASES, NODE, _node, command_of, environ_of
from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Route

SECRET = "the heron is at the weir"
LIMIT = 120.0
TOOLS = {
    "Claude Code": ("Read", lambda path: {"file_path": str(path)}),
    "Codex": ("exec_command", lambda path: {"cmd": f"cat {path}"}),
}

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]  # most of a gigabyte to fetch


def chunks(*deltas, finish):
    """A stream of the chat."""
    told = [{"index": 0, "delta": delta, "finish_reason": None} for delta in deltas]
    told.append({"index": 0, "delta": {}, "finish_reason": finish})
    frame = {"id": "c-1", "object": "chat.completion.chunk", "created": 7, "model": "m"}
    events = [{**frame, "choices": [choice]} for choice in told]
    events.append({**frame, "choices": [], "usage": {"prompt_tokens": 9, "completion_tokens": 4}})
    data = b"".join(b"data: %b\n\n" % orjson.dumps(event) for event in events)
    return Response(data + b"data: [DONE]\n\n", media_type="text/event-stream")


class Model:
    """A model that has a file read first, where it is given the tool for that; `heard` are the
    results of tools that it was told."""

    def __init__(self, tool, arguments):
        self.tool, self.arguments, self.heard = tool, orjson.dumps(arguments).decode(), []

    async def answer(self, request):
        body = await request.json()
        results = [each["content"] for each in body["messages"] if each["role"] == "tool"]
        if results:
            self.heard.append(str(results[-1]))
            return chunks({"role": "assistant", "content": f"It says: {SECRET[:9]}"}, finish="stop")
        offered = {tool["function"]["name"] for tool in body.get("tools") or ()}
        if self.tool not in offered:
            return chunks({"role": "assistant", "content": "A title"}, finish="stop")
        half = len(self.arguments) // 2
        call = {"index": 0, "id": "call_1", "type": "function"}
        begun = {**call, "function": {"name": self.tool, "arguments": self.arguments[:half]}}
        more = {"index": 0, "function": {"arguments": self.arguments[half:]}}
        said = ({"role": "assistant", "content": "Let me look."}, {"tool_calls": [begun]})
        return chunks(*said, {"tool_calls": [more]}, finish="tool_calls")


@contextlib.asynccontextmanager
async def serving(model):
    app = Starlette(routes=[Route("/v1/chat/completions", model.answer, methods=["POST"])])
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="warning"))
    task = asyncio.create_task(server.serve())
    await until(lambda: server.started)
    try:
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}/v1"
    finally:
        server.should_exit = True
        await task


@pytest.mark.parametrize("agent", TOOLS)
async def test_an_agent_works_through_the_gateway(tmp_path, agent):
    home = await asyncio.to_thread(_node, agent, NODE[agent])
    if isinstance(home, str):
        pytest.skip(f"{agent} cannot be had here: {home}")
    folder = tmp_path / "work"
    folder.mkdir()
    (folder / "a.txt").write_text(SECRET)
    tool, arguments = TOOLS[agent]
    model = Model(tool, arguments(folder / "a.txt"))
    async with serving(model) as url:
        document = config(upstreams={"sim": {"base_url": url}})
        async with Process(tmp_path, document) as gateway:
            await gateway.ready()
            language, code = CASES[agent]
            text = code.replace("http://127.0.0.1:8080", gateway.url)
            command, cwd = command_of(language, home, text, folder)
            ended = await asyncio.to_thread(
                subprocess.run,
                command,
                cwd=cwd,
                env=environ_of(home, folder),
                capture_output=True,
                text=True,
                check=False,
                timeout=LIMIT,
            )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert [SECRET in told for told in model.heard] == [True], (model.heard, ended.stderr[-2000:])
    assert f"It says: {SECRET[:9]}" in ended.stdout
