"""Which names there are, what answers to them, and what is said of the rest."""

from __future__ import annotations

import pytest
from api.serving import CHAT, LARGE, SMALL, ask_for, config, house

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_models_lists_routes_tiers_and_aliases(tmp_path):
    async with house(tmp_path, config(aliases={"gpt-4o": "waterfall"})) as it:
        answer = await it.get("/v1/models")
    assert answer.status == 200
    assert answer.json["object"] == "list"
    listed = {model["id"]: model["kind"] for model in answer.json["data"]}
    tiers = {"small": "tier", "large": "tier"}
    assert listed == {"waterfall": "route", "auto": "route", "gpt-4o": "route", **tiers}
    assert all(model["object"] == "model" for model in answer.json["data"])


async def test_each_listed_model_can_be_read_and_asked(tmp_path):
    async with house(tmp_path, config(aliases={"org/gpt-4o": "waterfall"})) as it:
        for model in (await it.get("/v1/models")).json["data"]:
            assert (await it.get(f"/v1/models/{model['id']}")).json == model
            assert (await it.chat(model=model["id"])).status == 200


@pytest.mark.parametrize(
    ("name", "tier", "route"),
    [
        ("waterfall", "small", "waterfall"),
        ("auto", "small", "waterfall"),
        ("gpt-4o", "small", "waterfall"),
        ("big", "large", "waterfall"),
        ("small", "small", "waterfall"),
        ("large", "large", "waterfall"),
    ],
)
async def test_a_name_leads_to_its_route_or_tier(tmp_path, name, tier, route):
    async with house(tmp_path, config(aliases={"gpt-4o": "waterfall", "big": "large"})) as it:
        answer = await it.chat(model=name)
        entry = it.entry(answer)
    assert answer.told("tier") == tier
    assert answer.told("route") == entry["route"] == route
    assert entry["requested_model"] == name


async def test_a_tier_by_name_is_that_tier_alone(it):
    answer = await it.chat(model="small", simulate={SMALL: "500"})
    refused = await it.chat(model="small", simulate={SMALL: "refusal"})
    assert answer.status == 502
    assert [each["tier"] for each in answer.error["attempts"]] == ["small"]
    assert refused.status == 200
    assert refused.told("tier") == "small"
    assert refused.told("start") == "small; override"


async def test_a_tier_of_no_route_can_be_asked_for(tmp_path):
    spare = {"upstream": "sim", "model": "x", "price": {"input": 1, "output": 1}}
    async with house(tmp_path, tiers__spare=spare) as it:
        answer = await it.chat(model="spare")
        assert answer.status == 200, answer.body
        assert answer.told("tier") == "spare"
        assert it.entry(answer)["tier"] == "spare"
        assert (await it.post(ask_for("spare"), "/v1/route")).status == 200


@pytest.mark.parametrize(
    "name",
    [
        "gpt-9",
        "waterfall ",
        "Waterfall",
        "openai/gpt-4o",
        "../../etc/passwd",
        "*",
        "{{7*7}}",
        "a\r\nx: y",
        "nul\x00",
        "\u202e",
        "m" * 100_000,
    ],
)
async def test_an_unknown_model_is_not_found_and_the_names_that_exist_are_told(it, name):
    answer = await it.chat(model=name)
    assert it.sent == []
    assert it.entries() == []
    assert answer.status == 404
    error = answer.error
    assert (error["type"], error["code"], error["param"]) == (
        "not_found",
        "model_not_found",
        "model",
    )
    for known in ("waterfall", "auto", "small", "large"):
        assert known in error["message"]
    assert len(error["message"]) < 400


@pytest.mark.parametrize(
    "path", ["/v1/models/nope", "/v1/models/a/b/c", "/v1/models/" + "m" * 9000]
)
async def test_an_unknown_model_cannot_be_read(it, path):
    answer = await it.get(path)
    assert answer.status == 404
    assert answer.error["code"] == "model_not_found"


@pytest.mark.parametrize("stream", [False, True])
async def test_the_reply_names_the_served_model(it, stream):
    small = await it.chat(stream=stream)
    large = await it.chat(stream=stream, simulate={SMALL: "refusal"})
    for answer, model in ((small, SMALL), (large, LARGE)):
        assert answer.body.count(b'"model"') >= 1
        assert f'"model": "{model}"'.replace(" ", "") in answer.body.decode().replace(" ", "")


async def test_the_dry_run_tells_what_would_happen_and_calls_nobody(it):
    answer = await it.post(ask_for(), "/v1/route")
    assert it.sent == []
    assert it.entries() == []
    plan = answer.json
    assert answer.status == 200
    assert plan["route"] == "waterfall"
    assert plan["start"] == {"tier": "small", "reason": "score"}
    assert [tier["tier"] for tier in plan["tiers"]] == ["small", "large"]
    assert [tier["judged"] for tier in plan["tiers"]] == [True, False]
    assert plan["threshold"] == 0.8
    assert 0 <= plan["difficulty"] < 0.8
    assert plan["signals"]["turns"] == 1
    assert answer.told("start") == "small; score"
    assert answer.header("x-request-id")


async def test_the_dry_run_and_the_request_agree(tmp_path):
    hard = "Prove step by step why the integral diverges: ```python\nx = 1```\n" * 40
    body = {"model": "auto", "messages": [{"role": "user", "content": hard}]}
    async with house(tmp_path, routes__waterfall__threshold=0.3) as it:
        dry, wet = await it.post(body, "/v1/route"), await it.post(body)
    assert dry.told("start") == wet.told("start") == "large; score"
    assert dry.told("difficulty") == wet.told("difficulty")
    assert dry.json["start"]["tier"] == wet.told("tier") == "large"


async def test_the_dry_run_refuses_what_a_request_would_be_refused_for(it):
    for body in (b"{", {"model": "nope", "messages": [{"role": "user"}]}, {"model": "auto"}):
        assert (await it.post(body, "/v1/route")).json == (await it.post(body, CHAT)).json


async def test_health_says_ok_and_no_more(tmp_path):
    async with house(tmp_path) as it:
        live, ready = await it.get("/health/live"), await it.get("/health/ready")
        assert (live.status, live.json) == (200, {"status": "ok"})
        assert (ready.status, ready.json) == (200, {"status": "ok"})
        it.gateway.switch.draining = True
        drained = await it.get("/health/ready")
        assert (drained.status, drained.json) == (503, {"status": "unready"})
        assert (await it.get("/health/live")).status == 200
        refused = await it.chat()
    assert refused.status == 503
    assert refused.error["type"] == "overloaded"
    assert refused.header("retry-after") == "1"


async def test_not_ready_while_no_upstream_can_be_reached(tmp_path, unused_tcp_port):
    nowhere = {"base_url": f"http://127.0.0.1:{unused_tcp_port}/v1"}
    async with house(tmp_path, upstreams__sim=nowhere) as it:
        assert (await it.get("/health/ready")).status == 503
        assert (await it.get("/health/live")).status == 200
