"""`waterfall payback`: the claim that fine-tuning pays back, with its conditions."""

from __future__ import annotations

import json
import re
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from gateway.cli import main
from gateway.config.problems import ConfigError
from gateway.config.text import read
from gateway.core.economics import Tokens
from gateway.core.money import NANO, Price, nano
from loadtests.made_up_ledger import make
from router_models.commands.payback_file import parse_plan
from router_models.payback.telling import document
from router_models.payback.weigh import scaled, weigh

ROOT = Path(__file__).parents[2]
PLAN = {
    "models": {
        "prompted": "gpt-4o-mini",
        "tuned": {"input": 0.30, "cached_input": 0.15, "output": 1.20},
        "large": "gpt-4o",
    },
    "tokens": {"instructions": 1500, "user": 300, "output": 200, "tuned_instructions": 150},
    "volume": 100_000,
    "once": {"data": 1000, "training": 30, "engineering": 3000},
    "cache": {"share": 0.94},
}
BOOK = {
    "gpt-4o-mini": Price(nano("0.15"), nano("0.6"), cached_input=nano("0.075")),
    "gpt-4o": Price(nano("2.5"), nano("10"), cached_input=nano("1.25")),
}


def plan(**changes):
    """The example, with changes: `tokens__user=3`; None takes a key out."""
    document = json.loads(json.dumps(PLAN))
    for trail, value in changes.items():
        *above, last = trail.split("__")
        place = document
        for name in above:
            place = place.setdefault(name, {})
        if value is None:
            place.pop(last)
        else:
            place[last] = value
    return document


def weighed(given=None, **changes):
    return weigh(parse_plan(read(yaml.safe_dump(plan(**changes)), "p.yaml"), BOOK, given or {}))


def problems(**changes):
    with pytest.raises(ConfigError) as caught:
        weighed(**changes)
    return str(caught.value)


@pytest.fixture
def payback(tmp_path, capsys):
    """Run the command over the example; return its JSON."""

    def run(*arguments, code=0, **changes):
        path = tmp_path / "plan.yaml"
        path.write_text(yaml.safe_dump(plan(**changes)))
        assert main(["payback", str(path), *arguments, "--format", "json"]) == code
        return json.loads(capsys.readouterr().out)

    return run


def test_which_volume_against_which_alternative_and_when_never(payback):
    """The worked example: hand figures are in tests/core/test_economics.py."""
    told = payback()
    found = told["against"]
    assert found["large"]["requests"] == pytest.approx(657_959, abs=1)
    assert found["large"]["months"] == pytest.approx(6.58, abs=0.01)
    assert found["prompted"]["requests"] == pytest.approx(4_030 / 0.015 * 1_000)
    assert found["cached"]["why"] == "dearer"
    assert found["cached"]["months"] is None
    assert [found[name]["within"] for name in ("prompted", "cached", "large", "large_bare")] == [
        *(False, False, True, True)
    ]
    assert found["prompted"]["least_volume"] == pytest.approx(4_030 / 24 / 0.015 * 1_000)
    assert found["cached"]["least_volume"] is None
    assert told["least_instructions"]["prompted"] == pytest.approx(1_400)
    assert told["cached_share_limit"] == pytest.approx(0.015 / 0.1125)


def test_the_curve_starts_with_what_was_spent_and_meets_zero_at_the_pay_back(payback):
    found = payback()["against"]["large"]
    assert found["curve"][0] == -4_030 * NANO
    assert len(found["curve"]) == 25
    assert found["curve"][6] < 0 < found["curve"][7]
    assert all(
        after > before for before, after in zip(found["curve"], found["curve"][1:], strict=False)
    )


def test_upkeep_can_eat_it_at_a_small_volume_and_not_at_a_large_one():
    upkeep = {"retraining": 600, "every": 6, "hosting": 200}
    small = weighed(upkeep=upkeep, volume=10_000)["against"]["large"]
    assert (small["why"], small["months"]) == ("upkeep", None)
    large = weighed(upkeep=upkeep, volume=1_000_000)["against"]["large"]
    assert large["months"] == pytest.approx(4_030 / (6_125 - 300))
    assert small["least_volume"] == pytest.approx((4_030 / 24 + 300) / 6.125 * 1_000)


def test_a_discount_makes_it_later_or_never():
    plain, later = (weighed(discount=rate)["against"]["large"]["months"] for rate in (0, 0.5))
    assert plain < later
    assert weighed(discount=1, volume=2_000)["against"]["large"]["why"] == "discount"


def test_short_instructions_are_cached_by_nobody():
    told = weighed(tokens__instructions=1_000)
    assert "cached" not in told["against"]
    assert told["cached"] is None
    assert "cached" in weighed(tokens__instructions=1_000, cache__least=1_000)["against"]
    assert "cached" not in weighed(cache__share=0)["against"]


def test_quality_is_what_prompts_may_not_give():
    """A tuned model that saves escalations pays back where one that saves tokens never does."""
    told = weighed(escalation={"prompted": 0.3, "tuned": 0.1}, volume=200_000)
    saving = (0.2843 + 0.3 * 6.5) - (0.375 + 0.1 * 6.5)
    assert told["against"]["cached"]["saving"] * 1_000 / NANO == pytest.approx(saving, abs=1e-3)
    assert told["against"]["cached"]["within"]
    assert told["least_instructions"] == {}
    assert told["cached_share_limit"] is None
    assert "needs models.large" in problems(escalation={"prompted": 0.3, "tuned": 0.1},
                                            models__large=None)  # fmt: skip


def test_what_would_change_the_answer_is_what_the_file_would_have_said():
    rows = {row["what"]: row["against"] for row in weighed()["sensitivity"]}
    for what, changes in {
        "as it is": {},
        "ten times the volume": {"volume": 1_000_000},
        "instructions twice as long": {"tokens__instructions": 3_000},
        "tuned model 25% dearer": {
            "models__tuned": {"input": 0.375, "cached_input": 0.1875, "output": 1.5}
        },
        "half the cost before the start": {
            "once": {"data": 500, "training": 15, "engineering": 1500}
        },
    }.items():
        against = weighed(**changes)["against"]
        for name, found in rows[what].items():
            assert found["months"] == pytest.approx(against[name]["months"]), (what, name)
            assert found["why"] == against[name]["why"]


def test_options_win_over_the_file(payback):
    told = payback("--volume", "200000", "--cache-share", "10%", "--horizon", "12",
                   "--instructions", "2000", "--large", "gpt-5")  # fmt: skip
    assert (told["volume"], told["cached"], told["horizon"]) == (200_000, 0.1, 12)
    assert told["tokens"]["instructions"] == 2_000
    assert told["models"] == {"tuned": "tuned", "prompted": "gpt-4o-mini", "large": "gpt-5"}


def test_a_ledger_says_what_a_mean_request_is(tmp_path, payback):
    ledger = make(tmp_path / "waterfall.db", 600, days=6)
    query = (
        "SELECT count(*), avg(prompt_tokens), avg(cached_tokens), avg(completion_tokens),"
        ' max(started_at) - min(started_at) FROM "call"'
        " WHERE tier = 'small' AND purpose = 'serve' AND status = 'ok'"
    )
    with closing(sqlite3.connect(ledger)) as connection:
        calls, prompt, cached, output, span = connection.execute(query).fetchone()
        starts = "SELECT avg(escalated) FROM request WHERE start_tier = 'small'"
        escalated = connection.execute(starts).fetchone()[0]
    asked = ("--ledger", str(ledger), "--tier", "small", "--days", "100000")
    told = payback(*asked, tokens__instructions=300, escalation={"prompted": 0, "tuned": 0.01})
    assert told["volume"] == pytest.approx(calls / span * 86_400 * 30)
    assert told["tokens"]["user"] == pytest.approx(prompt - 300)
    assert told["tokens"]["output"] == pytest.approx(output)
    assert told["escalation"] == [pytest.approx(escalated), 0.01]
    assert told["cached"] is None  # 300 tokens are cached by nobody
    told = payback(*asked, "--volume", "7", tokens__instructions=300, cache__least=0)
    assert told["cached"] == pytest.approx(cached / 300)
    assert told["volume"] == 7
    assert told["measured"]["calls"] == calls
    stretched = "A month's volume is reckoned from"
    assert stretched in document(payback(*asked)).verdict
    assert stretched not in document(told).verdict


def test_a_ledger_that_has_nothing_of_the_tier_is_refused(tmp_path, capsys):
    ledger = make(tmp_path / "waterfall.db", 10)
    path = tmp_path / "plan.yaml"
    path.write_text(yaml.safe_dump(PLAN))
    for asked, said in (
        (["--ledger", str(ledger)], "goes with --tier"),
        (["--tier", "small"], "goes with --tier"),
        (["--ledger", str(ledger), "--tier", "small"], "no answered call of small in 30 days"),
    ):
        assert main(["payback", str(path), *asked]) == 2
        assert said in capsys.readouterr().err


def test_a_pipeline_can_hold_it_to_its_word(payback):
    payback("--must-pay", code=1)
    payback("--must-pay", escalation={"prompted": 0.3, "tuned": 0.1}, volume=200_000)


def test_prices_are_those_of_the_price_book(tmp_path, payback):
    (tmp_path / "prices.yaml").write_text("models: {gpt-4o: {input: 5, output: 20}}")
    config = tmp_path / "waterfall.yaml"
    config.write_text(
        "upstreams: {sim: {kind: simulated}}\ntiers: {a: {upstream: sim, model: gpt-4o}}\n"
        "routes: {w: {tiers: [a]}}\nprices: {file: prices.yaml}\n"
    )
    told = payback("--config", str(config))
    assert told["against"]["large"]["cost"] * 1_000 / NANO == pytest.approx(13.0)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"models__large": "gpt-40"}, "p.yaml:4: models.large: no price of 'gpt-40' is known"),
        ({"models__tuned": None}, "models.tuned: is required"),
        ({"volume": 0}, "volume:"),
        ({"volumes": 3}, "volumes:"),
        ({"tokens__user": -1}, "tokens.user:"),
        ({"cache__share": 2}, "cache.share:"),
        ({"models__tuned": 3}, "models.tuned: must be a model of the price book, or a price"),
    ],
)
def test_what_is_wrong_is_named_with_its_place(changes, said):
    assert said in problems(**changes)


def test_the_page_s_example_comes_to_the_page_s_table(tmp_path, capsys):
    """Each row: what a request costs, and after how many requests it is paid back."""
    page = (ROOT / "docs" / "payback.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"^```yaml\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    path = tmp_path / "plan.yaml"
    path.write_text(example)
    assert main(["payback", str(path), "--format", "json"]) == 0
    told = json.loads(capsys.readouterr().out)
    rows = re.findall(
        r"^\| (?:the .*?) \| \$([0-9.]+) \| \$([0-9.]+) \| (.*) \|$", page, re.MULTILINE
    )
    assert len(rows) == 5
    for name, (cost, tuned, paid) in zip(
        ("large", "large_cached", "large_bare", "prompted", "cached"), rows, strict=True
    ):
        found = told["against"][name]
        assert f"{found['cost'] / NANO:.6f}" == cost
        assert f"{told['tuned'] / NANO:.6f}" == tuned
        if found["requests"] is None:
            assert "never" in paid
        else:
            millions = float(paid.split()[0])
            assert found["requests"] / 1e6 == pytest.approx(millions, rel=0.01)
    assert f"{told['cached_share_limit']:.1%}".replace("%", " %") in page
    assert f"{told['least_instructions']['prompted']:,.0f} tokens" in page
    path.write_text(example.replace("# escalation", "escalation"))
    assert main(["payback", str(path), "--format", "json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert f"{told['against']['cached']['requests'] / 1e6:.1f} million requests, even" in page


def test_in_words(tmp_path, capsys):
    path = tmp_path / "plan.yaml"
    path.write_text(yaml.safe_dump(PLAN))
    assert main(["payback", str(path)]) == 0
    said = capsys.readouterr().out
    assert max(map(len, said.splitlines())) <= 80
    flat = " ".join(said.split())
    assert "Not against the cheapest alternative, the same small model, its instructions" in flat
    assert "never, since a request is no cheaper." in flat
    assert "From 13.3% of the instructions in the cache on, prompting is cheaper" in flat
    assert main(["payback", str(path), "--output", str(tmp_path / "p.html")]) == 0
    assert "<svg" in (tmp_path / "p.html").read_text()
    assert main(["payback", str(tmp_path / "none.yaml")]) == 2


@given(st.floats(0.1, 10), st.integers(0, 4_000), st.integers(1, 2_000))
def test_a_price_so_many_times_another_costs_so_many_times_as_much(times, user, output):
    from gateway.core.economics import request_cost

    tokens, price = Tokens(1_500, user, output), BOOK["gpt-4o"]
    one = request_cost(price, tokens, 0.5)
    assert request_cost(scaled(price, times), tokens, 0.5) == pytest.approx(one * times, rel=1e-6)
