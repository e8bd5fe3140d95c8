"""The OpenAPI document: served where it is allowed, whole, and about what is there."""

from __future__ import annotations

import re

import httpx
import jsonschema
from api.serving import ask_for, config
from app.serving import listening

from gateway.api.openapi import DOCUMENT
from gateway.core.passing import PLACES, group_of

UNTOLD = {"/openapi.json", "/docs", "/metrics"}
PASSED = re.compile(r"/v1/(embeddings|moderations|audio|images|files|batches|responses/)")


def schema(reference):
    return {"$ref": reference["$ref"], "components": DOCUMENT["components"]}


async def test_it_is_served_where_it_is_allowed_and_is_about_what_is_there(tmp_path):
    async with (
        listening(tmp_path, config(server__docs=True)) as served,
        httpx.AsyncClient(base_url=served.base_url.removesuffix("/v1")) as client,
    ):
        told = (await client.get("/openapi.json")).json()
        assert told == DOCUMENT
        page = await client.get("/docs")
        assert all(path in page.text for path in told["paths"])
        assert "http" not in re.sub(r"</?(html|meta)[^>]*>", "", page.text)
        assert "default-src 'none'" in page.headers["content-security-policy"]
        answers = {
            "/v1/models": await client.get("/v1/models"),
            "/v1/models/{model}": await client.get("/v1/models/waterfall"),
            "/health/live": await client.get("/health/live"),
            "/health/ready": await client.get("/health/ready"),
            "/v1/chat/completions": await client.post("/v1/chat/completions", json=ask_for()),
            "/v1/route": await client.post("/v1/route", json=ask_for()),
        }
        for path, answer in answers.items():
            (own,) = told["paths"][path].values()
            reply = own["responses"][str(answer.status_code)]
            content = reply["content"]["application/json"]
            jsonschema.validate(answer.json(), schema(content["schema"]))
            for name in set(reply.get("headers", ())) - {"x-waterfall-cost-usd"}:
                assert name in answer.headers or path == "/v1/route", name
        refused = await client.post("/v1/chat/completions", json={"model": "waterfall"})
        jsonschema.validate(refused.json(), schema({"$ref": "#/components/schemas/Error"}))
        paths = {re.sub(r":path", "", route.path) for route in served.gateway.main().routes}
    mine = {path for path in paths - UNTOLD if not PASSED.match(path)}
    assert {path for path in DOCUMENT["paths"] if not PASSED.match(path)} == mine


def test_it_has_all_that_is_passed_through_and_nothing_else():
    told = {
        (method.upper(), path.removeprefix("/v1").replace("{id}", "id-1"))
        for path, methods in DOCUMENT["paths"].items()
        for method in methods
        if PASSED.match(path)
    }
    assert all(group_of(method, path) for method, path in told)
    for _, methods, place in PLACES:
        for method in methods.split("|"):
            assert any(m == method and re.fullmatch(place, path) for m, path in told), place


async def test_it_is_not_there_otherwise(tmp_path):
    async with listening(tmp_path) as served, httpx.AsyncClient() as client:
        for path in ("/openapi.json", "/docs"):
            reply = await client.get(served.base_url.replace("/v1", path))
            assert reply.status_code == 404
