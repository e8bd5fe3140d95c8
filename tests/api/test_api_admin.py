"""The admin listener, and /metrics on the main one."""

from __future__ import annotations

import pytest
from api.serving import ask_for, config, house

pytestmark = pytest.mark.asyncio(loop_scope="session")

RELOAD, THRESHOLD = "/admin/reload", "/admin/threshold"
GOOD = {"route": "waterfall", "threshold": 0.25}


def token(it):
    return {"authorization": f"Bearer {it.gateway.admin_secret}"}


@pytest.mark.parametrize("authorization", [None, "Bearer x", "Basic x", "Bearer", "Bearer \u00e9"])
@pytest.mark.parametrize(("method", "path"), [("POST", RELOAD), ("PUT", THRESHOLD)])
async def test_writes_need_the_token(it, method, path, authorization):
    headers = {} if authorization is None else {"authorization": authorization}
    answer = await it.post(GOOD, path, app=it.admin, method=method, **headers)
    assert it.gateway.switch.service.routes["waterfall"].thresholds == (0.8,)
    assert answer.status == 401
    assert answer.error["type"] == "authentication_error"


async def test_the_token_is_drawn_anew_for_each_start(tmp_path):
    tokens = set()
    for _ in range(2):
        async with house(tmp_path) as it:
            tokens.add(it.gateway.admin_secret)
    assert len(tokens) == 2
    assert min(map(len, tokens)) >= 32


async def test_a_configured_key_stands_in_the_token_s_place(tmp_path):
    async with house(tmp_path, server__admin_key="own-admin-key") as it:
        answer = await it.post(b"", RELOAD, app=it.admin, authorization="Bearer own-admin-key")
    assert answer.status == 200


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://localhost:1", ""])
async def test_writes_of_another_origin_are_refused(it, origin):
    for method, path in (("POST", RELOAD), ("PUT", THRESHOLD)):
        answer = await it.post(GOOD, path, app=it.admin, method=method, origin=origin, **token(it))
        assert answer.status == 403, origin
        assert answer.error["type"] == "permission_error"


async def test_the_same_origin_may_write(it):
    answer = await it.post(
        {**GOOD, "threshold": 0.8},
        THRESHOLD,
        app=it.admin,
        method="PUT",
        origin="http://localhost",
        **token(it),
    )
    assert answer.status == 200


@pytest.mark.parametrize("host", ["evil.example", "", "localhost.evil"])
async def test_a_foreign_host_is_refused_even_with_the_token(tmp_path, host):
    async with house(tmp_path) as it:
        answers = [
            await it.post(GOOD, THRESHOLD, app=it.admin, method="PUT", host=host, **token(it)),
            await it.post(b"", RELOAD, app=it.admin, host=host, **token(it)),
            await it.get("/metrics", app=it.admin, host=host),
        ]
    assert [answer.status for answer in answers] == [400] * 3


async def test_the_threshold_written_is_in_force_at_once(tmp_path):
    async with house(tmp_path) as it:
        before = await it.chat()
        answer = await it.post(
            {"route": "waterfall", "threshold": 0},
            THRESHOLD,
            app=it.admin,
            method="PUT",
            **token(it),
        )
        after = await it.chat()
        metrics = (await it.get("/metrics", app=it.admin)).body.decode()
        reloaded = await it.post(b"", RELOAD, app=it.admin, **token(it))
        later = await it.chat()
    assert answer.json == {"route": "waterfall", "threshold": [0]}
    assert before.told("start") == "small; score"
    assert after.told("start") == "large; score"
    assert after.told("threshold") == "0"
    assert 'waterfall_threshold{route="waterfall"} 0.0' in metrics
    assert reloaded.status == 200
    assert later.told("start") == "small; score", "the file's threshold is back"


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"route": "waterfall"},
        {"route": "nope", "threshold": 0.5},
        {"route": 7, "threshold": 0.5},
        {"route": "waterfall", "threshold": "0.5"},
        {"route": "waterfall", "threshold": True},
        {"route": "waterfall", "threshold": False},
        {"route": "waterfall", "threshold": [True]},
        {"route": "waterfall", "threshold": []},
        {"route": "waterfall", "threshold": -0.1},
        {"route": "waterfall", "threshold": 2},
        {"route": "waterfall", "threshold": [0.5, 0.6]},
        {"route": "waterfall", "threshold": [0.9, "x"]},
        {"route": "waterfall", "threshold": [None]},
        [],
        b"{",
        b"",
    ],
    ids=str,
)
async def test_a_wrong_threshold_is_refused(it, body):
    answer = await it.post(body, THRESHOLD, app=it.admin, method="PUT", **token(it))
    assert it.gateway.switch.service.routes["waterfall"].thresholds == (0.8,)
    assert answer.status == 400
    assert answer.raised is None
    assert answer.error["type"] == "invalid_request_error"


async def test_writes_are_json_only_and_small(it):
    form = await it.post(
        b"route=waterfall&threshold=0",
        THRESHOLD,
        app=it.admin,
        method="PUT",
        content_type="application/x-www-form-urlencoded",
        **token(it),
    )
    big = await it.post(
        {"route": "x" * 100_000}, THRESHOLD, app=it.admin, method="PUT", **token(it)
    )
    assert form.status == 415
    assert big.status == 413


async def test_reload_by_request_tells_the_new_digest_or_what_is_wrong(tmp_path):
    async with house(tmp_path) as it:
        old = it.gateway.settings.digest
        it.write(config(routes__waterfall__threshold=0.1))
        good = await it.post(b"", RELOAD, app=it.admin, **token(it))
        it.write(config(routes__waterfall__treshold=0.1))
        bad = await it.post(b"", RELOAD, app=it.admin, **token(it))
        answer = await it.chat()
        metrics = (await it.get("/metrics", app=it.admin)).body.decode()
    assert good.status == 200
    assert good.json["config"] != old
    assert bad.status == 400
    assert "threshold" in bad.error["message"], "did you mean"
    assert answer.told("threshold") == "0.1"
    assert 'waterfall_config_reloads_total{result="failed"} 1.0' in metrics
    assert 'waterfall_config_reloads_total{result="ok"} 1.0' in metrics


async def test_metrics_on_both_listeners_of_the_loopback(tmp_path):
    async with house(tmp_path) as it:
        await it.chat()
        pages = [await it.get("/metrics"), await it.get("/metrics", app=it.admin)]
    for page in pages:
        assert page.status == 200
        assert page.header("content-type").startswith("text/plain; version=")
        assert "waterfall_requests_total{" in page.body.decode()


async def test_off_loopback_metrics_are_the_admin_s_and_need_its_key(tmp_path):
    key = {"name": "k", "hash": "sha256:" + "0" * 64}
    changes = {
        "server__host": "0.0.0.0",
        "server__admin": "0.0.0.0:0",
        "server__admin_key": "own-admin-key",
        "keys": [key],
    }
    async with house(tmp_path, **changes) as it:
        assert (await it.get("/metrics")).status == 404
        assert (await it.get("/metrics", app=it.admin)).status == 401
        mine = {"authorization": "Bearer own-admin-key"}
        answer = await it.get("/metrics", app=it.admin, host="gateway.example", **mine)
    assert answer.status == 200


async def test_no_client_adds_a_series(tmp_path):
    async with house(tmp_path) as it:
        await it.chat()
        before = len((await it.get("/metrics")).body.splitlines())
        for number in range(60):
            await it.post(
                ask_for(f"model-{number}", user=f"u{number}"),
                f"/v1/chat/completions{'' if number % 2 else f'/{number}'}",
                user_agent=f"agent-{number}",
            )
            await it.post(ask_for(user=f"u{number}"), x_waterfall_session=f"s{number}")
        page = (await it.get("/metrics")).body.decode()
    assert len(page.splitlines()) == before
    assert "model-" not in page
    assert "agent-" not in page


@pytest.mark.parametrize("path", ["/", "/admin", "/v1/chat/completions", "/v1/models", "/docs"])
async def test_nothing_else_is_on_the_admin_listener(it, path):
    assert (await it.get(path, app=it.admin)).status == 404
