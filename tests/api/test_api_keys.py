"""Who may ask for what: keys, and without keys the loopback only."""

from __future__ import annotations

import asyncio
import hashlib
import hmac

import pytest
from api.serving import CHAT, SMALL, ask_for, config, header_rows, house, send

import gateway.api.auth

pytestmark = pytest.mark.asyncio(loop_scope="session")

APP, PLAIN, OTHER = "sk-app-0123456789", "sk-plain-0123456789", "sk-other-0123456789"


def key(name, text, **more):
    return {"name": name, "hash": f"sha256:{hashlib.sha256(text.encode()).hexdigest()}", **more}


KEYS = [
    key("app", APP, allow=["tier", "threshold", "mode"]),
    key("plain", PLAIN, routes=["waterfall"]),
    key("other", OTHER, routes=["second"], allow=["tier"]),
]


def locked(**changes):
    second = {"tiers": ["small", "large"], "scorer": "rules", "aliases": ["two"]}
    return config(keys=KEYS, routes__second=second, **changes)


def bearer(text):
    return {"authorization": f"Bearer {text}"}


@pytest.mark.parametrize(
    "authorization",
    [
        None,
        "",
        "Bearer",
        "Bearer ",
        "Bearer wrong",
        f"Bearer {APP}x",
        f"Bearer {APP[:-1]}",
        f"Bearer {APP} {APP}",
        f"Bearer Bearer {APP}",
        f"Basic {APP}",
        f"Token {APP}",
        APP,
        "Bearer ' OR 1=1 --",
        "Bearer ${jndi:ldap://x}",
        "Bearer \u00e9\u00ff",
        "Bearer " + "k" * 200_000,
        f"Bearer sha256:{hashlib.sha256(APP.encode()).hexdigest()}",
    ],
)
async def test_without_a_known_key_nothing_is_told(tmp_path, authorization):
    rows = [(b"host", b"localhost"), (b"content-type", b"application/json")]
    if authorization is not None:
        rows.append((b"authorization", authorization.encode("latin-1")))
    async with house(tmp_path, locked()) as it:
        answers = [
            await send(it.app, "GET" if "models" in path else "POST", path, headers=rows)
            for path in (CHAT, "/v1/route", "/v1/models", "/v1/models/waterfall")
        ]
        assert it.sent == []
    for answer in answers:
        assert answer.status == 401
        assert answer.raised is None
        assert answer.error["type"] == "authentication_error"
        assert answer.error["code"] == "invalid_api_key"
        assert answer.header("x-request-id")
        assert APP not in answer.body.decode()
        assert "waterfall" not in answer.error["message"]


async def test_a_key_in_the_query_or_another_header_is_no_key(tmp_path):
    rows = header_rows({"host": "localhost", "api_key": APP, "x_key": APP})
    async with house(tmp_path, locked()) as it:
        answer = await send(
            it.app, "GET", "/v1/models", headers=rows, query=f"api_key={APP}".encode()
        )
    assert answer.status == 401


async def test_a_known_key_is_served_under_any_host_and_recorded_by_name(tmp_path):
    async with house(tmp_path, locked()) as it:
        answer = await it.post(ask_for(), host="gateway.example.com", **bearer(APP))
        entry = it.entry(answer)
    assert answer.status == 200
    assert entry["key"] == "app"


async def test_the_scheme_has_no_case(tmp_path):
    async with house(tmp_path, locked()) as it:
        assert (await it.get("/v1/models", authorization=f"bEARER {APP}")).status == 200


async def test_a_wrong_key_is_refused_before_the_body_is_read(tmp_path):
    async def never():
        raise AssertionError("the body was read")

    told = []

    async def take(message):
        told.append(message)

    async with house(tmp_path, locked()) as it:
        scope = {
            "type": "http",
            "method": "POST",
            "path": CHAT,
            "root_path": "",
            "query_string": b"",
            "headers": header_rows({"host": "x", "content_length": "50000000", **bearer("no")}),
        }
        await it.app(scope, never, take)
    assert told[0]["status"] == 401


async def test_every_key_is_compared_in_constant_time_whichever_matches(tmp_path, monkeypatch):
    compared = []

    def counting(first, second):
        compared.append((len(first), len(second)))
        return hmac.compare_digest(first, second)

    class Counting:
        compare_digest = staticmethod(counting)

    monkeypatch.setattr(gateway.api.auth, "hmac", Counting)
    async with house(tmp_path, locked()) as it:
        for text in (APP, OTHER, "nobody", "n"):
            compared.clear()
            await it.get("/v1/models", **bearer(text))
            assert compared == [(32, 32)] * len(KEYS)


async def test_a_key_sees_and_reaches_its_own_routes_only(tmp_path):
    async with house(tmp_path, locked()) as it:
        listed = (await it.get("/v1/models", **bearer(OTHER))).json["data"]
        mine = await it.post(ask_for("two"), **bearer(OTHER))
        foreign = await it.post(ask_for("waterfall"), **bearer(OTHER))
        unknown = await it.post(ask_for("nope"), **bearer(OTHER))
        read = await it.get("/v1/models/waterfall", **bearer(OTHER))
        entry = it.entry(mine)
    assert {model["id"] for model in listed} == {"second", "two", "small", "large"}
    assert mine.status == 200
    assert entry["route"] == "second"
    for answer in (foreign, unknown, read):
        assert answer.status == 404
        assert answer.error["code"] == "model_not_found"
        assert "auto" not in answer.error["message"], "names of other routes are not told"
    assert foreign.error["message"].replace("waterfall", "nope") == unknown.error["message"]


async def test_tiers_are_told_of_only_to_keys_that_may_name_them(tmp_path):
    async with house(tmp_path, locked()) as it:
        listed = (await it.get("/v1/models", **bearer(PLAIN))).json["data"]
        asked = await it.post(ask_for("small"), **bearer(PLAIN))
        read = await it.get("/v1/models/small", **bearer(PLAIN))
    assert {model["kind"] for model in listed} == {"route"}
    for answer in (asked, read):
        assert answer.status == 403
        assert answer.error["param"] == "model"


async def test_a_tier_of_two_routes_belongs_to_the_route_that_the_key_may_use(tmp_path):
    async with house(tmp_path, locked()) as it:
        answer = await it.post(ask_for("small"), **bearer(OTHER))
        assert answer.status == 200, answer.body
        assert it.entry(answer)["route"] == "second"


OVERRIDES = {
    "x_waterfall_tier": "large",
    "x_waterfall_threshold": "0",
    "x_waterfall_mode": "observe",
}


@pytest.mark.parametrize("name", OVERRIDES)
async def test_tier_threshold_and_mode_need_leave(tmp_path, name):
    override = {name: OVERRIDES[name]}
    async with house(tmp_path, locked()) as it:
        refused = await it.post(ask_for(), **bearer(PLAIN), **override)
        allowed = await it.post(ask_for(), **bearer(APP), **override)
        assert len(it.sent) == 1
    assert refused.status == 403
    assert refused.error["type"] == "permission_error"
    assert refused.error["param"] == name.replace("_", "-")
    assert allowed.status == 200
    assert allowed.told("tier") == "large"


async def test_a_tier_as_the_model_is_an_override_too(tmp_path):
    async with house(tmp_path, locked()) as it:
        assert (await it.post(ask_for("large"), **bearer(PLAIN))).status == 403
        assert (await it.post(ask_for("large"), **bearer(APP))).status == 200


async def test_bounds_that_can_only_be_lowered_need_no_leave(tmp_path):
    bounds = {"x_waterfall_max_cost_usd": "0.4", "x_waterfall_deadline": "30s"}
    async with house(tmp_path, locked()) as it:
        answer = await it.post(
            ask_for(),
            **bearer(PLAIN),
            **bounds,
            x_waterfall_session="s",
            x_waterfall_details="true",
        )
    assert answer.status == 200


async def test_sessions_of_two_keys_are_two_sessions(tmp_path):
    async with house(tmp_path, locked()) as it:
        raised = await it.post(
            ask_for(simulate={SMALL: "refusal"}), **bearer(APP), x_waterfall_session="1"
        )
        own = await it.post(ask_for(), **bearer(APP), x_waterfall_session="1")
        foreign = await it.post(ask_for(), **bearer(PLAIN), x_waterfall_session="1")
    assert raised.told("tier") == "large"
    assert own.told("start") == "large; latch"
    assert foreign.told("start") == "small; score"


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST:8080", "127.0.0.1:1", "[::1]:80", "[::1]"]
)
async def test_without_keys_this_machine_is_served(it, host):
    assert (await it.post(ask_for(), host=host)).status == 200
    assert (await it.get("/v1/models", host=host)).status == 200


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "localhost.evil.example",
        "127.0.0.1.evil.example:80",
        "evil/?localhost",
        "evil/#",
        "x@localhost",
        "localhost@evil",
        "localhost:80:80",
        "",
        "\t",
        ":80",
        "0.0.0.0",
        "128.0.0.1",
    ],
)
async def test_without_keys_no_other_name_is_served(tmp_path, host):
    async with house(tmp_path) as it:
        answers = [
            await it.post(ask_for(), host=host),
            await it.post(ask_for(), "/v1/route", host=host),
            await it.get("/v1/models", host=host),
            await it.get("/metrics", host=host),
        ]
        assert it.sent == []
    for answer in answers:
        assert answer.status == 400
        assert answer.error["code"] == "host_not_allowed"


async def test_a_forwarded_host_or_a_role_in_a_header_changes_nothing(it):
    tricks = {
        "x_forwarded_host": "localhost",
        "x_original_url": "/health/live",
        "x_rewrite_url": "/health/live",
        "x_http_method_override": "GET",
        "x_user_role": "admin",
        "forwarded": "host=localhost",
    }
    assert (await it.post(ask_for(), host="evil.example", **tricks)).status == 400
    plain, tricked = await it.post(ask_for()), await it.post(ask_for(), **tricks)
    assert plain.text == tricked.text
    assert plain.told("tier") == tricked.told("tier")


async def test_no_route_is_reached_without_a_key_by_a_strange_path(tmp_path):
    paths = [
        "//v1/models",
        "/v1//models",
        "/v1/./models",
        "/v1/../v1/models",
        "/v1%2fmodels",
        "/V1/MODELS",
        "/v1/models;x=1",
        "/v1/models\x00",
        "/v1/models/",
        "/v1/chat/completions/",
        "/admin/reload",
        "/docs",
        "/openapi.json",
        "/redoc",
        "/.env",
        "/dashboard/",
        "",
    ]
    async with house(tmp_path, locked()) as it:
        answers = await asyncio.gather(*(it.get(path) for path in paths))
        posted = await asyncio.gather(*(it.post(ask_for(), path) for path in paths))
    for answer in [*answers, *posted]:
        assert answer.status in {401, 404, 405}
        assert "waterfall" not in answer.error["message"]
