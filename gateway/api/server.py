"""The main listener's app: FastAPI carries the endpoints, the hot ones as plain ASGI."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from fastapi import FastAPI
from starlette.routing import Route

from gateway.api import openapi
from gateway.api.admin import Render, metrics_endpoint
from gateway.api.chat import Chat
from gateway.api.count_tokens import CountTokens
from gateway.api.endpoints import Endpoints, error_handlers
from gateway.api.feedback import Feedback
from gateway.api.http import Receive, Scope, Send
from gateway.api.passing import METHODS, PATHS, PassThrough
from gateway.api.planning import Clocks
from gateway.api.service import Switch
from gateway.core.ledger import Refusal
from gateway.dialects.completions import COMPLETIONS
from gateway.dialects.messages import MESSAGES
from gateway.dialects.responses import RESPONSES
from gateway.store.labels import Labels

ASGI = Callable[[Scope, Receive, Send], Awaitable[None]]


class App(FastAPI):
    """FastAPI, with endpoints that are asked before any of its layers. Those cost a plain chat a
    twelfth of its CPU, and do nothing for an endpoint that answers its own errors."""

    def __init__(self) -> None:
        """Begin without endpoints, and without FastAPI's own pages."""
        super().__init__(docs_url=None, redoc_url=None, openapi_url=None, redirect_slashes=False)
        self._hot: dict[str, ASGI] = {}

    def add_hot(self, path: str, endpoint: Chat | CountTokens) -> None:
        """Have `endpoint` take every POST to a path."""
        self._hot[path] = endpoint.__call__  # bound, so that a request calls a function
        self.router.routes.append(Route(path, endpoint, methods=["POST"]))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        hot = self._hot.get(scope["path"]) if scope["type"] == "http" else None
        if hot is not None and scope["method"] == "POST":
            await hot(scope, receive, send)
        else:
            await super().__call__(scope, receive, send)


def main_app(
    switch: Switch,
    clocks: Clocks,
    labels: Labels,
    render_metrics: Render | None,
    *,
    docs: bool = False,
) -> FastAPI:
    """Build the app. `labels` takes feedback; `render_metrics` is None where the listener is not
    loopback's; `docs` says whether it describes itself."""
    app = App()

    def refuse(refused: Refusal) -> None:
        switch.service.meter.refuse(refused)

    for kind, handler in error_handlers(clocks, refuse).items():
        app.add_exception_handler(kind, handler)
    small = Endpoints(switch)
    chat, dry = Chat(switch, clocks), Chat(switch, clocks, dry=True)
    app.add_hot("/v1/chat/completions", chat)
    app.add_hot("/v1/route", dry)
    app.add_hot("/v1/messages", Chat(switch, clocks, dialect=MESSAGES))
    app.add_hot("/v1/responses", Chat(switch, clocks, dialect=RESPONSES))
    app.add_hot("/v1/completions", Chat(switch, clocks, dialect=COMPLETIONS))
    app.add_hot("/v1/messages/count_tokens", CountTokens(switch, clocks))
    through = PassThrough(switch, clocks)
    app.router.routes.extend(Route(path, through, methods=METHODS) for path in PATHS)
    app.add_route("/v1/feedback", Feedback(switch, clocks, labels).post, ["POST"])
    app.add_route("/v1/models", small.models, ["GET"])
    app.add_route("/v1/models/{model:path}", small.model, ["GET"])
    app.add_route("/health/live", small.live, ["GET"])
    app.add_route("/health/ready", small.ready, ["GET"])
    if docs:
        app.add_route("/openapi.json", openapi.openapi, ["GET"])
        app.add_route("/docs", openapi.docs, ["GET"])
    if render_metrics is not None:
        app.add_route("/metrics", metrics_endpoint(render_metrics), ["GET"])
    return app
