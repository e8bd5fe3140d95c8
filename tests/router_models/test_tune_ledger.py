"""`waterfall tune` from a ledger: what was served, checked and labelled fits both thresholds."""

from __future__ import annotations

import json
import random

import pytest
import yaml
from api.serving import house
from sample_outcomes import TREES, write_rows
from tuning_place import FLOW, configure

from gateway.cli import main
from gateway.store import read
from gateway.store.store import open_store
from router_models.cascade import choose, evaluate

CHECK = """
def taste(request, reply):
    return 0.9 if "fine" in request["messages"][-1]["content"] else 0.2
"""
TUNED = {
    "ledger": {"content": "prompts"},
    "checks": {"taste": {"kind": "python", "call": "tasting:taste"}},
    "tiers__small__bar": {"accept": 0.5, "checks": ["shape", "refusal", "taste"]},
    "tiers__small__price": {"input": 0.2, "output": 0.4},
    "routes__waterfall__threshold": 1,
}
SERVED = 130


def asked(count):
    """Prompts, half of which the small tier gets right, and who was right: the check says which,
    but for one in thirteen."""
    draw = random.Random(4)
    for number in range(count):
        fine = number % 2 == 0
        words = " ".join(draw.choices(TREES, k=12))
        right = fine if number % 13 else not fine
        yield f"{words}, {'fine' if fine else 'poor'}?", int(right), int(number % 10 != 3)


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tasting.py").write_text(CHECK)
    monkeypatch.syspath_prepend(tmp_path)
    for module in (evaluate, choose):
        monkeypatch.setattr(module, "PRICES", evaluate.PRICES[::4])
    return tmp_path


async def serve(place, **changes):
    """Serve, label both answers of each request as their users would, and return what a pair file
    says of the same."""
    rows = []
    async with house(place, **{**TUNED, **changes}) as it:
        answers = []
        for prompt, small, large in asked(SERVED):
            answer = await it.chat(messages=[{"role": "user", "content": prompt}])
            answers.append((answer.header("x-request-id"), prompt, small, large))
        await it.gateway.switch.service.in_flight.idle()
        for name, _, small, large in answers:
            for tier, score in (("small", small), ("large", large)):
                body = {"request_id": name, "tier": tier, "score": score}
                assert (await it.post(body, "/v1/feedback")).status == 200
        for name, prompt, small, large in answers:
            entry = read.request(it.gateway.settings.ledger.place, name)
            rows.append(row_of(entry, prompt, small, large))
    return rows


def row_of(entry, prompt, small, large):
    own = [call for call in entry["calls"] if call["purpose"] in {"serve", "shadow"}]
    cost = {call["tier"]: call["cost"] / 1e9 for call in own}
    checks = [each for attempt in entry["attempts"] for each in attempt["checks"]]
    taste = [each["confidence"] for each in checks if each["check"] == "taste"]
    return {
        "prompt": prompt,
        "weak_score": small,
        "strong_score": large,
        "weak_cost": cost["small"],
        "strong_cost": cost.get("large", entry["baseline_cost"] / 1e9),
        "weak_check.taste": taste[0] if taste else "",
    }


def tune(capsys, *arguments, code=0):
    given = ["tune", "--target-share", "0.55", *map(str, arguments), "--json"]
    assert main(given) == code, capsys.readouterr()
    said = capsys.readouterr()
    return json.loads(said.out), said.err


async def test_traffic_that_was_checked_and_labelled_tunes_as_a_pair_file_of_it(place, capsys):
    rows = await serve(place)
    write_rows(place / "same.csv", rows)
    config = place / "waterfall.yaml"
    how = ("--data", "same.csv", "--check-price", "taste=0", "--out", "other")
    other, _ = tune(capsys, *how)
    told, said = tune(
        capsys, "--ledger", "waterfall.db", "--route", "waterfall", "--out", "kept", "--write"
    )
    assert told["selection"] == {
        "requests": SERVED,
        "labelled_at_both": SERVED,
        "used": SERVED,
        "left_out": {},
    }
    assert "130 requests, 130 with a label at both tiers, 130 used" in said
    assert (told["kind"], other["kind"], told["written"]) == ("cascade", "cascade", True)
    assert told["notes"] == []
    assert (told["rows"], told["threshold"]) == (other["rows"], other["threshold"])
    for figure in ("accept", "ratio", "calibration_error"):
        assert told[figure] == pytest.approx(other[figure], abs=0.02), figure
    assert told["quality"]["value"] == pytest.approx(other["quality"]["value"], abs=0.02)
    assert told["saved"]["value"] == pytest.approx(other["saved"]["value"], abs=0.02)
    after = yaml.safe_load(config.read_text())
    bar = after["tiers"]["small"]["bar"]
    assert bar["accept"] == pytest.approx(told["accept"], abs=1e-6)
    assert (bar["confidence"], bar["checks"]) == ("kept", ["shape", "refusal", "taste"])
    assert after["routes"]["waterfall"]["reference"] == "artefact"
    # A gateway that is started on it judges by what was fitted: what tastes poor goes up.
    async with house(place, yaml.safe_load(config.read_text())) as it:
        tiers = []
        for prompt, *_ in list(asked(8)):
            answer = await it.chat(messages=[{"role": "user", "content": prompt}])
            tiers.append(answer.told("tier"))
    assert tiers == ["small", "large"] * 4


async def test_shadows_beside_the_baseline_are_tuned_on_without_what_nobody_asks_in_the_shadow(
    place, capsys
):
    bar = {"accept": 0.5, "checks": ["shape", "logprob", "taste"]}
    seen = {"routes__waterfall__mode": "observe", "routes__waterfall__shadow": 1.0}
    await serve(place, **seen, tiers__small__bar=bar)
    main(["tune", "--target-share", "0.55", "--judge", "--json"])
    told = json.loads(capsys.readouterr().out)
    selection = told["selection"]
    assert selection["labelled_at_both"] == SERVED
    assert 100 <= selection["used"] == told["rows"]
    assert selection["used"] + sum(selection["left_out"].values()) == SERVED
    assert (told["checks"]["paid"], told["checks"]["not_worth_it"]) == ({}, [])
    assert told["ratio"] == pytest.approx(0.02, abs=0.005)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--ledger", "waterfall.db", "--data", "same.csv"), "on one ledger"),
        (("--ledger", "waterfall.db", "--check-price", "taste=1"), "a ledger has what its checks"),
        (("--ledger", "nowhere.db"), "there is no ledger at nowhere.db"),
        (("--judge", "--route", "wide"), "fitted to two tiers, and route wide has 3"),
        (("--judge",), "0 labelled requests can be tuned on, at least 100 are needed. Of 0"),
        (("--data", "waterfall.db", "--judge"), "Of 0 requests 0 have a label at small and at"),
        (("--judge", "--config", "gone.yaml"), "gone.yaml: cannot be read"),
    ],
)
def test_a_wrong_use_is_told(place, capsys, arguments, told):
    flow = FLOW.replace("{waterfall:", "{wide: {tiers: [small, mid, large], scorer: rules}, route:")
    configure(place, flow.replace("./scorer", "rules"))
    open_store(place / "waterfall.db").close()
    route = [] if "wide" in arguments else ["--route", "route"]
    assert main(["tune", "--target-share", "0.5", *route, *arguments]) == 2
    assert told in capsys.readouterr().err
