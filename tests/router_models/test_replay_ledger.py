"""`waterfall replay` over the ledger of a gateway that has served."""

from __future__ import annotations

import json

import pytest
import yaml
from api.serving import LARGE, REFUSES, SMALL, ask_for, config, house
from store.test_store_layouts import old_ledger

from gateway.cli import main
from gateway.store import read
from gateway.store.sqlite import connect


def other(folder, **changes):
    """Another configuration, beside the one that served."""
    path = folder / "other.yaml"
    path.write_text(yaml.safe_dump(config(**changes)))
    return path


@pytest.fixture
def replay(tmp_path, capsys):
    """Run the command over the folder's ledger; return its JSON."""

    def run(*arguments, code=0, ledger=None):
        where = ledger or f"sqlite:///{tmp_path / 'waterfall.db'}"
        asked = ["replay", "--ledger", where, *map(str, arguments), "--json"]
        assert main(asked) == code, capsys.readouterr()
        return json.loads(capsys.readouterr().out)

    return run


async def some_traffic(it):
    """Six kinds of request: easy, deferred, failing at either tier, pinned, streamed."""
    answers = [
        await it.chat(),
        await it.chat(**REFUSES),
        await it.chat(simulate={SMALL: "500"}),
        await it.chat(simulate={SMALL: "refusal", LARGE: "500"}),
        await it.chat(stream=True),
        await it.chat(model="large"),
    ]
    assert [each.told("tier") for each in answers] == [
        *("small", "large", "large", "small", "small", "large")
    ]
    return answers


async def test_its_own_policy_comes_to_what_was_recorded(tmp_path, replay):
    async with house(tmp_path) as it:
        await some_traffic(it)
        rows = it.entries()
    for told in (replay(), replay("--config", tmp_path / "waterfall.yaml")):
        assert (told["requests"], told["known"], told["same"]) == (6, 6, 6)
        assert told["unknown"] == {}
        assert told["start"] == {"small": 5, "large": 1}
        assert told["served"] == {"small": 3, "large": 3}
        assert told["escalated"]["value"] == pytest.approx(2 / 6)
        assert told["degraded"]["value"] == pytest.approx(1 / 6)
        cost = sum(row["cost"] for row in rows) / 6 / 1e9
        assert told["cost_usd"]["value"] == pytest.approx(cost)
        assert told["recorded_cost_usd"] == told["cost_usd"]
        assert told["cost_usd"]["low"] < cost < told["cost_usd"]["high"]
        assert told["quality"] == {"value": None, "low": None, "high": None, "labels": 0}


async def test_conversations_replay_with_their_latches_probes_and_caches(tmp_path, replay):
    warm = {"input": 10, "cached_input": 0.5, "output": 20}
    session = {"routes__waterfall__session": {"probe": 0.5}, "tiers__large__price": warm}
    system = {"role": "system", "content": "word " * 4_000}
    said = {"role": "assistant", "content": "Yes."}
    ask = ask_for()["messages"]
    async with house(tmp_path, **session) as it:
        for _ in range(2):
            for body in (REFUSES, {}, {}, {}, {"stream": True}):
                await it.post(ask_for(**body), x_waterfall_session="s")
        await it.post(ask_for(messages=[system, *ask], max_tokens=5), x_waterfall_threshold="0")
        later = ask_for(messages=[system, *ask, said, *ask], max_tokens=5)
        assert (await it.post(later)).told("start") == "large; cache"
        await it.post(ask_for(), x_waterfall_max_cost_usd="0.004", x_waterfall_threshold="0")
        reasons = {entry["start_reason"] for entry in it.entries()}
    assert reasons == {"score", "latch", "probe", "cache", "budget"}
    for told in (replay(), replay("--config", tmp_path / "waterfall.yaml")):
        assert (told["requests"], told["known"], told["same"]) == (13, 13, 13)


async def test_a_scorer_that_waits_replays_with_what_its_calls_left_of_the_ceiling(
    tmp_path, replay
):
    scorer = {"llm": {"tier": "small", "band": [0.0, 1.0], "base": "rules"}}
    async with house(tmp_path, routes__waterfall__scorer=scorer) as it:
        await some_traffic(it)
        ledger = it.gateway.settings.ledger.path
        ids = [entry["request_id"] for entry in it.entries()]
        calls = [call for each in ids for call in read.request(ledger, each)["calls"]]
    assert {call["purpose"] for call in calls} == {"serve", "score"}
    for told in (replay(), replay("--config", tmp_path / "waterfall.yaml")):
        assert (told["known"], told["same"]) == (6, 6)


async def test_another_threshold_is_known_where_its_tier_was_asked(tmp_path, replay):
    async with house(tmp_path) as it:
        await some_traffic(it)
    told = replay("--config", other(tmp_path, routes__waterfall__threshold=0))
    assert told["start"] == {"large": 6}
    assert told["share_up"]["value"] == 1.0
    # Two were answered by the large tier after the small one, one by it alone; one of them failed
    # there, and falls down to what the small one said.
    assert told["known"] == 4
    assert told["unknown"] == {"tier": 2}
    assert told["unknown_share"] == pytest.approx(2 / 6)
    assert told["served"] == {"large": 3, "small": 1}
    assert (told["escalated"]["at_least"], told["escalated"]["at_most"]) == (0.0, 2 / 6)
    assert told["cost_usd"]["value"] < told["recorded_cost_usd"]["value"]


async def test_another_bar_judges_anew_and_names_what_was_never_checked(tmp_path, replay):
    async with house(tmp_path) as it:
        await it.chat()
        await it.chat(**REFUSES)
    kind = other(tmp_path, tiers__small__bar={"checks": ["shape"]})
    told = replay("--config", kind)
    assert (told["known"], told["served"]) == (2, {"small": 2})
    assert told["saved"]["value"] > 0
    strict = other(tmp_path, tiers__small__bar={"checks": ["shape", "logprob"]})
    assert replay("--config", strict)["unknown"] == {"check": 2}


async def test_prices_of_another_configuration_price_the_same_tokens(tmp_path, replay):
    async with house(tmp_path) as it:
        await it.chat()
    dear = other(tmp_path, tiers__small__price={"input": 10, "output": 20})
    told = replay("--config", dear)
    assert told["cost_usd"]["value"] == pytest.approx(10 * told["recorded_cost_usd"]["value"])


@pytest.mark.parametrize(
    "change",
    [
        {"tiers__small__model": "another"},
        {"tiers__small__recipe": "r.yaml"},
    ],
)
async def test_another_model_or_recipe_is_another_tier(tmp_path, replay, change):
    (tmp_path / "r.yaml").write_text("version: 1\nbefore: Be brief.\n")
    async with house(tmp_path) as it:
        await it.chat()
    price = {"tiers__small__price": {"input": 1, "output": 2}}
    assert replay("--config", other(tmp_path, **change, **price))["unknown"] == {"tier": 1}


async def test_labels_say_what_the_quality_would_have_been(tmp_path, replay):
    async with house(tmp_path) as it:
        for good, large in ((1, 1), (0, 1), (0, 0.5)):
            answer = await it.chat(**REFUSES)
            known = answer.header("x-request-id")
            for tier, score in (("small", good), ("large", large)):
                body = {"request_id": known, "tier": tier, "score": score}
                assert (await it.post(body, "/v1/feedback")).status == 200
        await it.chat()
    told = replay("--config", other(tmp_path, tiers__small__bar={"checks": ["shape"]}))
    assert told["quality"]["labels"] == told["recorded_quality"]["labels"] == 3
    assert told["quality"]["value"] == pytest.approx(1 / 3)
    assert told["recorded_quality"]["value"] == pytest.approx(2.5 / 3)


async def test_an_observed_ledger_says_what_would_have_been_where_its_shadows_do(tmp_path, replay):
    observe = {"routes__waterfall__mode": "observe", "routes__waterfall__shadow": 1.0}
    async with house(tmp_path, **observe) as it:
        for body in ({}, REFUSES):
            await it.chat(**body)
            await it.gateway.switch.service.in_flight.idle()
        await it.post(ask_for(), x_waterfall_threshold="0")
        entries = it.entries()
    own = replay()
    assert (own["same"], own["start"], own["share_up"]["value"]) == (3, {"large": 3}, 1.0)
    told = replay("--config", other(tmp_path))
    assert told["start"] == {"small": 2, "large": 1}
    assert (told["known"], told["served"]) == (3, {"small": 1, "large": 2})
    assert told["escalated"]["value"] == pytest.approx(1 / 3)
    large = sum(entry["cost"] for entry in entries[1:])
    small = sum(entry["shadow_cost"] for entry in entries)
    assert told["cost_usd"]["value"] == pytest.approx((large + small) / 3 / 1e9)


async def test_a_shorter_deadline_or_ceiling_changes_what_is_done(tmp_path, replay):
    slow = {"kind": "simulated", "first_token": "30ms", "per_token": 0, "tokens": [8, 12]}
    async with house(tmp_path, upstreams__sim=slow) as it:
        await it.chat(**REFUSES)
    short = other(tmp_path, routes__waterfall__deadline="10ms")
    assert replay("--config", short)["unknown"] == {"deadline": 1}
    poor = other(tmp_path, routes__waterfall__max_cost_usd=0.002)
    told = replay("--config", poor)
    assert (told["served"], told["degraded"]["value"]) == ({"small": 1}, 1.0)


async def test_what_was_scored_by_another_scorer_is_unknown(tmp_path, replay):
    async with house(tmp_path) as it:
        await it.chat()
    default = other(tmp_path, routes__waterfall__scorer="default")
    told = replay("--config", default)
    assert (told["unknown"], told["known"]) == ({"scorer": 1}, 0)
    async with house(tmp_path, routes__waterfall__candidate="default") as it:
        await it.chat()
    assert replay("--config", default)["known"] == 1, "a candidate's word is as good"


async def test_told_to_a_person(tmp_path, capsys):
    async with house(tmp_path) as it:
        await some_traffic(it)
    ledger = str(tmp_path / "waterfall.db")
    assert main(["replay", "--ledger", ledger]) == 0
    said = capsys.readouterr().out
    assert "the same   6 of 6 as recorded" in said
    assert "quality    unknown (no labels)" in said
    path = other(tmp_path, routes__waterfall__threshold=0)
    assert main(["replay", "--ledger", ledger, "--config", str(path)]) == 0
    said = capsys.readouterr().out
    assert "unknown    33.3% (2 asks a tier that was not asked)" in said
    assert "another policy would have latched otherwise" in said


async def test_wrong_uses_are_told(tmp_path, capsys):
    async with house(tmp_path) as it:
        await it.post(ask_for())
    ledger = str(tmp_path / "waterfall.db")
    for arguments, message in (
        (["--ledger", "mysql://x"], "must be postgresql://user@host/database, sqlite:///path"),
        (["--ledger", "nowhere.db"], "there is no ledger at nowhere.db"),
        (["--ledger", str(tmp_path / "waterfall.yaml")], "cannot be read as a ledger"),
        (["--ledger", ledger, "--route", "other"], "there is: waterfall"),
    ):
        assert main(["replay", *arguments]) == 2
        assert message in capsys.readouterr().err


def test_a_ledger_of_an_older_version_says_so(tmp_path, capsys):
    path = tmp_path / "old.db"
    old_ledger(path)
    for message in ("If an older version wrote it, start this one", "an older version kept them"):
        assert main(["replay", "--ledger", str(path)]) == 2
        assert message in capsys.readouterr().err
        connect(path).close()  # brings it up


async def test_what_was_cut_off_is_not_counted_as_the_same(tmp_path, replay, capsys):
    slow = {"kind": "simulated", "first_token": "10s", "per_token": 0, "tokens": [8, 12]}
    document = config(upstreams__slow=slow, tiers__large__upstream="slow")
    async with house(tmp_path, document) as it:
        await it.chat()
        await it.post(ask_for(**REFUSES), stay=False)
        await it.gateway.switch.service.in_flight.idle()
        assert [each["outcome"] for each in it.entries()] == ["ok", "cancelled"]
    told = replay()
    assert (told["requests"], told["same"], told["same_unknown"]) == (2, 1, 1)
    assert (told["otherwise"], told["other"], told["unknown"]) == (0, [], {"cut": 1})
    assert main(["replay", "--ledger", str(tmp_path / "waterfall.db")]) == 0
    assert "the same   1 of 2 as recorded, 0 otherwise, 1 unknown" in capsys.readouterr().out
    told = replay("--config", other(tmp_path, routes__waterfall__threshold=0))
    assert (told["same"], told["same_unknown"], told["otherwise"]) == (0, 0, 2)


async def test_a_ledger_of_several_routes_says_which_was_taken(tmp_path, replay):
    second = {"tiers": ["small", "large"], "scorer": "rules"}
    async with house(tmp_path, routes__second=second) as it:
        for model in ("second", "second", "waterfall"):
            await it.chat(model=model)
    told = replay()
    assert (told["route"], told["requests"]) == ("second", 2)
    assert told["notes"] == ["second is the busiest route; --route takes another: waterfall"]
    assert replay("--route", "waterfall")["notes"] == []
