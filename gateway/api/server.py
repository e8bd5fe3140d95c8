"""The main listener's app: FastAPI carries the endpoints, the hot ones as plain ASGI."""

from __future__ import annotations

from fastapi import FastAPI
from starlette.routing import Route

from gateway.api.admin import Render, metrics_endpoint
from gateway.api.chat import Chat
from gateway.api.endpoints import Endpoints, error_handlers
from gateway.api.feedback import Feedback
from gateway.api.planning import Clocks
from gateway.api.service import Switch
from gateway.core.ledger import Refusal
from gateway.store.labels import Labels


def main_app(
    switch: Switch, clocks: Clocks, labels: Labels, render_metrics: Render | None
) -> FastAPI:
    """Build the app. `labels` takes feedback; `render_metrics` is None where the listener is not
    loopback's."""
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None, redirect_slashes=False)

    def refuse(refused: Refusal) -> None:
        switch.service.meter.refuse(refused)

    for kind, handler in error_handlers(clocks, refuse).items():
        app.add_exception_handler(kind, handler)
    small = Endpoints(switch)
    chat, dry = Chat(switch, clocks), Chat(switch, clocks, dry=True)
    app.router.routes.append(Route("/v1/chat/completions", chat, methods=["POST"]))
    app.router.routes.append(Route("/v1/route", dry, methods=["POST"]))
    app.add_route("/v1/feedback", Feedback(switch, clocks, labels).post, ["POST"])
    app.add_route("/v1/models", small.models, ["GET"])
    app.add_route("/v1/models/{model:path}", small.model, ["GET"])
    app.add_route("/health/live", small.live, ["GET"])
    app.add_route("/health/ready", small.ready, ["GET"])
    if render_metrics is not None:
        app.add_route("/metrics", metrics_endpoint(render_metrics), ["GET"])
    return app
