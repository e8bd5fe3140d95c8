"""A provider of all that is passed through, on a real socket, that remembers what reached it."""

from __future__ import annotations

import asyncio
import base64
import contextlib

import uvicorn
from starlette.applications import Starlette
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

KEY = "sk-upstream"
FLOATS = base64.b64encode(bytes(8)).decode()

REFUSALS = {
    b"unknown": ({"error": {"message": "no such model", "code": "model_not_found"}}, 404),
    b"busy": ({"error": {"message": "slow"}}, 429, {"retry-after": "7"}),
}
ANSWERS = {
    "/embeddings": {
        "object": "list",
        "data": [{"object": "embedding", "index": 0, "embedding": FLOATS}],
        "model": "e",
        "usage": {"prompt_tokens": 1000, "total_tokens": 1000},
    },
    "/images/generations": {
        "data": [{"b64_json": "A" * 200_000}],
        "usage": {
            "input_tokens": 10,
            "output_tokens": 1000,
            "output_tokens_details": {"image_tokens": 1000},
        },
    },
    "/audio/transcriptions": {"text": 'he said "usage": {}', "usage": {"type": "duration"}},
    "/moderations": {"id": "m", "results": [{"flagged": False}]},
}


class Provider:
    """Answers by path; `seen` is (method, target, headers, bytes of body), `left` counts replies
    whose reader went away."""

    def __init__(self):
        self.seen, self.left = [], 0
        self.slow = asyncio.Event()

    async def serve(self, request):
        size, first = 0, b""
        async for block in request.stream():
            first, size = first or block, size + len(block)
        target = request.url.path + (f"?{request.url.query}" if request.url.query else "")
        self.seen.append((request.method, target, dict(request.headers), size))
        return self.answer(request.url.path.removeprefix("/v1"), first)

    def answer(self, path, first):
        if path == "/audio/speech":
            return StreamingResponse(self.speech(), media_type="audio/mpeg")
        if path.endswith("/content"):
            disposition = {"content-disposition": 'attachment; filename="a.jsonl"'}
            return Response(b"x" * 3_000_000, headers=disposition)
        for word, answer in REFUSALS.items():
            if word in first:
                return JSONResponse(*answer)
        return JSONResponse(ANSWERS.get(path, {"id": "file-1", "object": "file"}))

    async def speech(self):
        try:
            yield b"a" * 1000
            await self.slow.wait()
            yield b"b" * 1000
        except asyncio.CancelledError:
            self.left += 1
            raise


@contextlib.asynccontextmanager
async def providing():
    """The provider and its address."""
    provider = Provider()
    methods = ["GET", "POST", "DELETE"]
    app = Starlette(routes=[Route("/v1/{rest:path}", provider.serve, methods=methods)])
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="error", lifespan="off"))
    task = asyncio.create_task(server.serve())
    while not server.started:  # noqa: ASYNC110
        await asyncio.sleep(0.005)
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        yield provider, f"http://127.0.0.1:{port}/v1"
    finally:
        provider.slow.set()
        server.should_exit = True
        await task
