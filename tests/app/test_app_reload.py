"""Reload: a new configuration takes over whole, a bad one not at all, nothing under way is hurt."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from dataclasses import replace

import pytest
import yaml
from api.serving import LIMIT, REFUSES, SMALL, ask_for, config, house
from app.serving import until

import gateway.app
from gateway.app import read_settings
from gateway.launcher import running

SLOWLY = {"kind": "simulated", "first_token": 0, "per_token": "20ms", "tokens": [15, 20]}


@pytest.mark.parametrize("stream", [False, True])
async def test_a_request_under_way_ends_on_the_service_it_began_with(tmp_path, stream):
    async with house(tmp_path, upstreams__sim=SLOWLY) as it:
        old = it.gateway.switch.service
        closed = asyncio.Event()
        real = old.close

        async def close():
            await real()
            closed.set()

        object.__setattr__(old, "close", close)
        asking = asyncio.create_task(it.chat(stream=stream))
        await until(lambda: old.in_flight.count)
        it.write(config(routes__waterfall__threshold=0))
        assert await it.gateway.reload()
        assert it.gateway.switch.service is not old
        meanwhile = await it.chat()
        assert not closed.is_set(), "what a request uses stays open"
        answer = await asking
        async with asyncio.timeout(LIMIT):
            await closed.wait()
        entries = [it.entry(answer), it.entry(meanwhile)]
    assert answer.status == 200
    assert answer.told("start") == "small; score"
    assert answer.told("threshold") == "0.8"
    assert meanwhile.told("start") == "large; score"
    assert entries[0]["config"] != entries[1]["config"]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "tiers: 5",
        "upstreams: {}",
        "\x00",
        "a: &a [*a]",
        "!!python/object/apply:os.system [id]",
        "routes: {waterfall: {tiers: [nope]}}",
    ],
)
async def test_a_bad_file_keeps_the_last_good_one_and_says_so(tmp_path, text, caplog):
    async with house(tmp_path) as it:
        service, digest = it.gateway.switch.service, it.gateway.settings.digest
        it.path.write_text(text)
        with caplog.at_level(logging.ERROR, logger="waterfall"):
            assert not await it.gateway.reload()
        assert it.gateway.switch.service is service
        assert it.gateway.settings.digest == digest
        assert (await it.chat()).status == 200
        metrics = (await it.get("/metrics")).body.decode()
    assert 'waterfall_config_reloads_total{result="failed"} 1.0' in metrics
    assert "the last good configuration stays" in caplog.text
    assert "waterfall.yaml" in caplog.text


async def test_a_file_that_has_gone_keeps_the_last_good_one(tmp_path):
    async with house(tmp_path) as it:
        it.path.unlink()
        assert not await it.gateway.reload()
        assert (await it.chat()).status == 200


async def test_a_scorer_or_answer_key_that_cannot_be_opened_keeps_the_last_good_one(tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "key.json").write_text("[1")
    sim = {"kind": "simulated", "answers": "key.json"}
    async with house(tmp_path) as it:
        it.write(config(routes__waterfall__scorer="./empty"))
        assert not await it.gateway.reload()
        it.write(config(upstreams__sim=sim))
        assert not await it.gateway.reload()
        assert (await it.chat()).status == 200


async def test_a_reload_cannot_open_the_door(tmp_path):
    """Where it listens is fixed; what the file says of it now does not count."""
    key = {"name": "k", "hash": "sha256:" + "0" * 64}
    async with house(tmp_path, keys=[key], server__host="0.0.0.0") as it:
        it.write(config())
        assert not await it.gateway.reload(), "without keys, and still open to others"
        assert (await it.get("/v1/models")).status == 401
        it.write(config(keys=[key]))
        assert await it.gateway.reload()
        it.write(config())
        assert not await it.gateway.reload(), "the same after a reload that was well"


async def test_what_needs_a_restart_stays_and_is_said(tmp_path, caplog):
    async with house(tmp_path) as it:
        it.write(config(server__max_body="100", ledger__url="sqlite:///other.db"))
        with caplog.at_level(logging.WARNING, logger="waterfall"):
            assert await it.gateway.reload()
        assert (await it.chat()).status == 200
        assert len(it.entries()) == 1
    assert "only with a restart" in caplog.text


async def test_the_digest_names_what_is_in_force(tmp_path):
    """What stays as it was is not in the file's digest, and is in that of the gateway."""
    async with house(tmp_path) as it:
        before = it.gateway.settings.digest
        it.write(config(server__max_body="100", ledger__url="sqlite:///other.db"))
        assert await it.gateway.reload()
        assert it.gateway.settings.digest == before
        assert it.entry(await it.chat())["config"] == before
        assert f'config_hash="{before}"' in (await it.get("/metrics")).body.decode()


async def test_what_the_command_line_has_changed_is_no_change_of_the_file(tmp_path, caplog):
    path = tmp_path / "waterfall.yaml"
    path.write_text(yaml.safe_dump(config()))
    settings = read_settings(path, {})
    server = replace(settings.server, port=0, host="127.0.0.2")
    with (tmp_path / "log").open("ab") as log:
        async with running(settings, path, log.fileno(), server) as served:
            assert served.base_url.startswith("http://127.0.0.2:")
            digest = served.gateway.settings.digest
            assert digest != settings.digest
            assert await served.gateway.reload()
            assert served.gateway.settings.digest == digest
            assert served.gateway.settings.server == server
            assert "restart" not in caplog.text
            path.write_text(yaml.safe_dump(config(server__max_body=100)))
            assert await served.gateway.reload()
    assert "only with a restart" in caplog.text


@pytest.mark.parametrize("where", ["read_settings", "open_upstream"])
async def test_a_fault_that_nobody_foresaw_is_a_refused_reload(
    tmp_path, monkeypatch, caplog, where
):
    def fail(*_):
        raise KeyError("nobody foresaw")

    async with house(tmp_path) as it:
        service, told = it.gateway.switch.service, []
        it.gateway.on_files = lambda files, _: told.append(files)
        monkeypatch.setattr(gateway.app, where, fail)
        assert not await it.gateway.reload()
        headers = {"authorization": f"Bearer {it.gateway.admin_secret}"}
        answer = await it.post(b"", "/admin/reload", app=it.admin, **headers)
        metrics = (await it.get("/metrics")).body.decode()
        assert it.gateway.switch.service is service
        assert (await it.chat()).status == 200
    assert (answer.status, answer.raised) == (400, None)
    assert "KeyError: 'nobody foresaw'" in answer.error["message"]
    assert "KeyError: 'nobody foresaw'" in caplog.text
    assert len(told) == 2
    assert 'waterfall_config_reloads_total{result="failed"} 2.0' in metrics


async def test_a_recipe_edited_without_a_new_version_is_told_of(tmp_path, caplog):
    recipe = tmp_path / "terse.yaml"
    recipe.write_text("version: 1\nbefore: Be terse.\n")
    async with house(tmp_path, tiers__small__recipe="terse.yaml") as it:
        assert await it.gateway.reload()
        assert "terse@1" not in caplog.text
        recipe.write_text("version: 1\nbefore: Be exact.\n")
        assert await it.gateway.reload()
    assert "recipe terse@1 has changed, but not its version" in caplog.text


async def test_an_edited_recipe_is_in_force_with_its_version(tmp_path):
    recipe = tmp_path / "terse.yaml"
    recipe.write_text("version: 1\nbefore: Be terse.\n")
    async with house(tmp_path, tiers__small__recipe="terse.yaml") as it:
        first = await it.chat()
        recipe.write_text("version: 2\nbefore: Be exact.\n")
        assert await it.gateway.reload()
        second = await it.chat()
        versions = [it.entry(each)["attempts"][0]["recipe"] for each in (first, second)]
        told = [body["messages"][0]["content"] for body in it.sent]
        own = [body["messages"][-1] for body in it.sent]
    assert [first.told("recipe"), second.told("recipe")] == versions == ["terse@1", "terse@2"]
    assert told == ["Be terse.", "Be exact."]
    assert own == ask_for()["messages"] * 2


async def test_a_session_s_latch_outlives_a_reload(tmp_path):
    async with house(tmp_path) as it:
        await it.post(ask_for(**REFUSES), x_waterfall_session="s")
        assert await it.gateway.reload()
        later = await it.post(ask_for(), x_waterfall_session="s")
    assert later.told("start") == "large; latch"


async def test_counters_outlive_a_reload_that_renames_everything(tmp_path):
    async with house(tmp_path) as it:
        await it.chat()
        document = config(routes__second=config()["routes"]["waterfall"])
        del document["routes"]["waterfall"]
        it.write(document)
        assert await it.gateway.reload()
        assert (await it.chat()).status == 404
        assert (await it.chat(model="second")).status == 200
        page = (await it.get("/metrics")).body.decode()
    served = 'waterfall_requests_total{outcome="ok",route="%s",tier="small"} 1.0'
    assert served % "waterfall" in page
    assert served % "second" in page


async def test_many_reloads_and_requests_at_once_lose_nobody(tmp_path):
    async with house(tmp_path) as it:
        async with asyncio.TaskGroup() as group:
            reloads = [group.create_task(it.gateway.reload()) for _ in range(5)]
            asked = [group.create_task(it.chat(stream=bool(n % 2))) for n in range(40)]
        assert all(task.result() for task in reloads)
        assert {task.result().status for task in asked} == {200}
        assert len(it.entries()) == 40
        await until(lambda: not it.gateway.switch._beside)


@pytest.mark.parametrize("way", ["file", "recipe", "SIGHUP"])
async def test_a_running_gateway_notices(tmp_path, way):
    """By looking at its files, or when it is told to."""
    path, recipe = tmp_path / "waterfall.yaml", tmp_path / "terse.yaml"
    recipe.write_text("version: 1\nbefore: Be terse.\n")
    text = (
        "server: {port: 0, admin: off}\n"
        "upstreams: {sim: {kind: simulated}}\n"
        "tiers: {small: {upstream: sim, model: %s, recipe: terse.yaml, price: {input: 1, "
        "output: 1}}}\nroutes: {waterfall: {tiers: [small], scorer: rules}}\n"
    )
    path.write_text(text % SMALL)
    with (tmp_path / "log").open("ab") as log:
        async with running(read_settings(path, {}), path, log.fileno()) as served:
            old = served.gateway.settings
            if way == "recipe":
                recipe.write_text("version: 22\nbefore: Be exact, and brief.\n")
            else:
                path.write_text(text % "another-model")
            if way == "SIGHUP":
                os.kill(os.getpid(), signal.SIGHUP)
            await until(lambda: served.gateway.settings is not old)
            tier = served.gateway.switch.service.tiers["small"]
    assert (tier.recipe.version, tier.model) == (
        (22, SMALL) if way == "recipe" else (1, "another-model")
    )
