"""A model server in a thread, for commands that run a loop of their own; what ails it is in its
URL's first part."""

from __future__ import annotations

import contextlib
import threading
import time
from datetime import UTC, datetime
from email.utils import formatdate
from pathlib import Path

import uvicorn
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route

CERTS = Path(__file__).parents[1] / "upstreams" / "http1" / "certs"
MODELS = ("tiny-3b", "huge-70b")


async def models(request):
    return _dated(request, {"object": "list", "data": [{"id": name} for name in MODELS]})


async def chat(request):
    body = await request.json()
    if request.headers.get("authorization") == "Bearer wrong":
        return _dated(request, {"error": {"message": "no", "code": "invalid_api_key"}}, 401)
    if body["model"] not in MODELS:
        return _dated(request, {"error": {"message": "no", "code": "model_not_found"}}, 404)
    if "spent" in request.url.path:
        return _dated(request, {"error": {"message": "no", "code": "insufficient_quota"}}, 429)
    usage = {} if "silent" in request.url.path else {"usage": USAGE}
    return _dated(request, {"choices": [{"index": 0, "message": {"content": "ok"}}], **usage})


USAGE = {"prompt_tokens": 5, "completion_tokens": 1, "total_tokens": 6}


def _dated(request, value, status=200):
    late = 3600 if "late" in request.url.path else 0
    return JSONResponse(
        value, status, {"date": formatdate(datetime.now(tz=UTC).timestamp() - late, usegmt=True)}
    )


@contextlib.contextmanager
def standing(cert=None):
    """Serve; yields the address without a path."""
    routes = [
        Route("/{ails:path}/models", models),
        Route("/{ails:path}/chat/completions", chat, methods=["POST"]),
    ]
    tls = {"ssl_certfile": CERTS / cert} if cert else {}
    config = uvicorn.Config(
        Starlette(routes=routes), port=0, log_level="critical", lifespan="off", date_header=False,
        **tls,
    )  # fmt: skip
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.005)
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        yield f"http{'s' if cert else ''}://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join()
