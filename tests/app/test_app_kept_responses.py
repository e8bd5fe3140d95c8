"""Responses that an upstream keeps, over real sockets: read, deleted and gone on from by whoever
made them, at the upstream that keeps them."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import itertools

import httpx
import orjson
import pytest
import uvicorn
from api.serving import ALONE, config
from app.serving import listening, until
from starlette.applications import Starlette
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from gateway.store import read

NAMES = ("near", "far")
KEYS = {name: {"authorization": f"Bearer sk-{name}"} for name in ("one", "two")}


class Keeper:
    """A provider that keeps what it has answered."""

    def __init__(self, name):
        self.name, self.kept, self.seen = name, {}, []
        self._numbers = itertools.count(1)

    async def create(self, request):
        body = await request.json()
        self.seen.append(body)
        earlier = body.get("previous_response_id")
        if earlier and earlier not in self.kept:
            told = {"message": "not found", "code": "previous_response_not_found"}
            return JSONResponse({"error": told}, 400)
        made = f"resp_{self.name}_{next(self._numbers)}"
        text = {"type": "output_text", "text": f"{self.name} says hello.", "annotations": []}
        item = {"type": "message", "id": "m", "role": "assistant", "content": [text]}
        own = {"id": made, "object": "response", "status": "completed", "output": [item]}
        own |= {"model": "m", "created_at": 7, "usage": {"input_tokens": 3, "output_tokens": 2}}
        self.kept[made] = own
        if body.get("background"):
            return JSONResponse({**own, "status": "queued", "output": []})
        if not body.get("stream"):
            return JSONResponse(own)
        events = (
            {"type": "response.created", "response": {**own, "output": []}},
            {"type": "response.output_text.delta", "output_index": 0, "delta": text["text"]},
            {"type": "response.completed", "response": own},
        )
        lines = (f"event: {e['type']}\ndata: {orjson.dumps(e).decode()}\n\n" for e in events)
        return Response("".join(lines), media_type="text/event-stream")

    async def one(self, request):
        self.seen.append(str(request.url).partition("/v1")[2])
        found = self.kept.get(request.path_params["id"])
        if found is None:
            return JSONResponse({"error": {"message": "It is gone."}}, 404)
        if request.method == "DELETE":
            del self.kept[found["id"]]
            return JSONResponse({"id": found["id"], "deleted": True})
        listed = request.url.path.endswith("/input_items")
        return JSONResponse({"object": "list", "data": []} if listed else found)


@contextlib.asynccontextmanager
async def keeping(name):
    keeper = Keeper(name)
    places = [
        Route("/v1/responses", keeper.create, methods=["POST"]),
        Route("/v1/responses/{id}", keeper.one, methods=["GET", "DELETE"]),
        Route("/v1/responses/{id}/input_items", keeper.one, methods=["GET"]),
    ]
    server = uvicorn.Server(uvicorn.Config(Starlette(routes=places), port=0, log_level="warning"))
    task = asyncio.create_task(server.serve())
    await until(lambda: server.started)
    keeper.url = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}/v1"
    try:
        yield keeper
    finally:
        server.should_exit = True
        await task


@pytest.fixture
async def place(tmp_path):
    async with keeping("near") as near, keeping("far") as far:
        document = config(
            upstreams={
                k.name: {"base_url": k.url, "api_key": "sk-up", **ALONE} for k in (near, far)
            },
            keys=[
                {
                    "name": name,
                    "hash": f"sha256:{hashlib.sha256(f'sk-{name}'.encode()).hexdigest()}",
                }
                | {"allow": ["tier"], "routes": ["waterfall"]}
                for name in KEYS
            ],
        )
        for tier, keeper in (("small", near), ("large", far)):
            document["tiers"][tier] |= {"upstream": keeper.name, "wire": "responses"}
        async with (
            listening(tmp_path, document) as served,
            httpx.AsyncClient(base_url=served.base_url, timeout=20) as client,
        ):
            yield client, near, far, served


def asked(model="large", **fields):
    return {"model": model, "input": "Say hello.", **fields}


def made_in(reply):
    if reply.headers["content-type"] == "application/json":
        return reply.json()["id"]
    first = next(line for line in reply.text.splitlines() if line.startswith("data: "))
    return orjson.loads(first[6:])["response"]["id"]


@pytest.mark.parametrize("stream", [False, True])
async def test_whoever_made_a_response_has_it_where_it_is_kept(place, stream):
    client, near, far, served = place
    one, two = KEYS["one"], KEYS["two"]
    reply = await client.post("/responses", json=asked(stream=stream), headers=one)
    made = made_in(reply)
    assert made == "resp_far_1"
    found = await client.get(f"/responses/{made}?include=a", headers=one)
    assert (found.status_code, found.json()) == (200, far.kept[made])
    assert far.seen[-1] == f"/responses/{made}?include=a"
    items = await client.get(f"/responses/{made}/input_items", headers=one)
    assert items.json() == {"object": "list", "data": []}
    # Whatever tier a request would start at, it goes on where the earlier one is kept.
    on = asked("waterfall", previous_response_id=made)
    second = await client.post("/responses", json=on, headers=one)
    assert (second.status_code, second.headers["x-waterfall-tier"]) == (200, "large")
    assert (far.seen[-1]["previous_response_id"], near.seen) == (made, [])
    wrong = await client.post("/responses", json={**on, "model": "small"}, headers=one)
    assert (wrong.status_code, wrong.json()["error"]["param"]) == (400, "previous_response_id")
    # Nobody else has it, nor hears that it is there.
    before = len(far.seen)
    for call in (
        client.get(f"/responses/{made}", headers=two),
        client.delete(f"/responses/{made}", headers=two),
        client.get(f"/responses/{made}/input_items", headers=two),
        client.get("/responses/resp_none", headers=one),
    ):
        refused = await call
        assert refused.status_code == 404
        assert refused.json()["error"]["code"] == "response_not_found"
    stolen = await client.post("/responses", json=on, headers=two)
    assert (stolen.status_code, len(far.seen)) == (400, before)
    assert stolen.json()["error"]["code"] == "previous_response_not_found"
    gone = await client.delete(f"/responses/{made}", headers=one)
    assert gone.json() == {"id": made, "deleted": True}
    again = await client.get(f"/responses/{made}", headers=one)
    assert (again.status_code, again.json()["error"]["message"]) == (404, "It is gone.")
    store = served.gateway.store
    assert store.flush(5)
    rows = [row for row in read.requests(store.path) if row["route"] == "passthrough/responses"]
    assert {(row["key"], row["cost"]) for row in rows} == {("one", 0)}
    assert [row["status"] for row in rows] == [200, 200, 200, 404]


async def test_what_is_not_to_be_kept_is_not_known(place):
    client, _, far, _ = place
    reply = await client.post("/responses", json=asked(store=False), headers=KEYS["one"])
    refused = await client.get(f"/responses/{reply.json()['id']}", headers=KEYS["one"])
    assert (refused.status_code, len(far.seen)) == (404, 1)
    talk = asked(conversation="conv_1")
    refused = await client.post("/responses", json=talk, headers=KEYS["one"])
    assert refused.json()["error"]["code"] == "state_not_kept_by_key"


async def test_what_goes_on_in_the_background_is_begun_once_and_found_when_it_is_done(place):
    client, near, far, _ = place
    begun = await client.post(
        "/responses", json=asked("waterfall", background=True), headers=KEYS["one"]
    )
    assert (begun.status_code, begun.json()["status"]) == (200, "queued")
    assert begun.headers["x-waterfall-degraded"] == "false"
    assert (len(near.seen), len(far.seen)) == (1, 0)
    done = await client.get(f"/responses/{begun.json()['id']}", headers=KEYS["one"])
    assert (done.json()["status"], done.json()["output"][0]["id"]) == ("completed", "m")
