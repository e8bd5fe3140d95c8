"""What /metrics says of the configuration that is in force."""

from __future__ import annotations

import re

from api.serving import ask_for, config, house


async def build_of(it):
    page = (await it.get("/metrics")).body.decode()
    (line,) = [each for each in page.splitlines() if each.startswith("waterfall_build_info{")]
    return dict(re.findall(r'(\w+)="([^"]*)"', line))


async def test_build_info_names_every_version_that_is_in_force(tmp_path):
    recipe = tmp_path / "terse.yaml"
    recipe.write_text("version: 3\nbefore: Be terse.\n")
    changes = {
        "tiers__small__recipe": "terse.yaml",
        "tiers__extra": {"upstream": "sim", "model": "gpt-5-mini"},
    }
    async with house(tmp_path, **changes) as it:
        first = await build_of(it)
        book = it.gateway.settings.tiers["extra"].price.version
        recipe.write_text("version: 4\nbefore: Be terse.\n")
        it.write(config(routes__waterfall__scorer="default", **changes))
        assert await it.gateway.reload()
        second = await build_of(it)
        label = it.gateway.switch.service.scorers["waterfall"].label
        digest = it.gateway.settings.digest
    assert (first["scorer_version"], first["recipe_version"]) == ("rules@1", "terse@3")
    assert first["price_version"] == f"{book}, config"
    assert (second["scorer_version"], second["recipe_version"]) == (label, "terse@4")
    assert second["config_hash"] == digest != first["config_hash"]


async def test_what_the_ledger_s_batches_take_is_told(tmp_path):
    async with house(tmp_path) as it:
        assert (await it.chat()).status == 200
        assert it.entries()
        page = (await it.get("/metrics")).body.decode()
    batches = re.search(r'ledger_flush_seconds_count\{sink="sqlite"\} (\S+)', page)
    seconds = re.search(r'ledger_flush_seconds_sum\{sink="sqlite"\} (\S+)', page)
    assert float(batches[1]) >= 1
    assert float(seconds[1]) > 0


async def test_many_versions_keep_within_a_label(tmp_path):
    tiers = {}
    for number in range(60):
        (tmp_path / f"r{number}.yaml").write_text("version: 1\nbefore: Be terse.\n")
        tiers[f"tiers__t{number}"] = {
            "upstream": "sim",
            "model": "gpt-5-mini",
            "recipe": f"r{number}.yaml",
        }
    async with house(tmp_path, **tiers) as it:
        told = (await build_of(it))["recipe_version"]
    assert told.startswith("r0@1, r10@1, r11@1")
    assert told.endswith("...")
    assert len(told) == 200


async def test_a_tier_of_no_route_has_its_own_name(tmp_path):
    price = {"input": 1, "output": 1}
    alone = {"upstream": "sim", "model": "a-model", "price": price}
    async with house(tmp_path, tiers__alone=alone) as it:
        assert (await it.chat(model="alone")).status == 200
        page = (await it.get("/metrics")).body.decode()
    assert 'waterfall_requests_total{outcome="ok",route="alone",tier="alone"} 1.0' in page
    assert 'waterfall_attempts_total{model="a-model",outcome="ok",tier="alone"} 1.0' in page
    assert 'waterfall_in_flight_requests{route="other"}' not in page


async def test_a_tier_of_no_route_is_not_scored(tmp_path):
    """Nothing hangs on it there; one of a route is scored whoever asks for it, for the record."""
    alone = {"upstream": "sim", "model": "a-model", "price": {"input": 1, "output": 1}}
    async with house(tmp_path, tiers__alone=alone) as it:
        dry = (await it.post(ask_for(model="alone"), "/v1/route")).json
        replies = [await it.chat(model=name) for name in ("alone", "large")]
        entries = {each["route"]: each for each in it.entries()}
        page = (await it.get("/metrics")).body.decode()
    said = ("difficulty", "gain", "scorer")
    assert [dry[name] for name in said] == [None, None, None]
    assert [entries["alone"][name] for name in (*said, "score")] == [None, None, "", None]
    assert [each.header("x-waterfall-scorer") for each in replies] == [None, "rules@1"]
    assert replies[0].header("x-waterfall-difficulty") is None
    told = replies[1].told("difficulty")
    assert f"{entries['waterfall']['difficulty']:.4f}" == told
    assert 'waterfall_difficulty_scores_total{bin="0",route="alone"}' not in page
