"""Evidence read, a combiner fitted, policies played: in many rows at once as in `next_step`."""

from __future__ import annotations

import csv
import gzip
import random
from dataclasses import replace

import numpy as np
import pytest

from gateway.core.combine import Combiner
from router_models.cascade import choose as choose_module
from router_models.cascade import curves, evaluate
from router_models.cascade import ground as ground_module
from router_models.cascade.choose import Target, choose
from router_models.cascade.fit import Priors, chances_of, fit_combiner, no_priors
from router_models.cascade.pairs import read_pairs
from router_models.cascade.policy import (
    NEVER,
    Policy,
    Trade,
    band,
    fit_cascade,
    fit_joint,
    fit_route,
    play,
    subsets,
)
from router_models.cascade.replay import bar_of, replay, told
from router_models.cascade.samples import read_samples
from router_models.difficulty.formats import DataError

PAIR = {"weak_cost": "0.001", "strong_cost": "0.05", "cost_kind": "recorded"}
NAMES = "ash birch cedar elm fir gum hazel ivy juniper kapok larch maple nutmeg oak".split()


def questions(count, seed=0, **more):
    """Weak answers that a sample agrees with when they are right, mostly; half of them are."""
    chance = random.Random(seed)
    rows = []
    for n in range(count):
        right = chance.random() < 0.5
        words = " ".join(chance.choice(NAMES) for _ in range(12))
        rows.append(
            {
                "prompt_id": f"q/{n}",
                "prompt": f"{words} {n}?",
                "weak_score": str(float(right)),
                "strong_score": str(float(chance.random() < 0.9)),
                "weak_pred": str(n if right else n + 1),
                "weak_answer": f"{n} + 1 = {n + (right or chance.random() < 0.8)}. So {n}.",
                "sample": str(n if chance.random() < 0.9 else n + 7),
                **PAIR,
                **more,
            }
        )
    return rows


def write(path, rows):
    with gzip.open(path, "wt", newline="") as file:
        table = csv.DictWriter(file, list(rows[0]))
        table.writeheader()
        table.writerows(rows)
    return path


def long_rows(rows, **more):
    """A long file's: another numbering of the same questions, as its prompts' file has it."""
    return [
        {"prompt_id": f"other/{row['prompt_id']}", "model": "mini", "pred": row["sample"], **more}
        for row in rows
    ]


@pytest.fixture
def files(tmp_path):
    rows = questions(300)
    prompts = [{**row, "prompt_id": f"other/{row['prompt_id']}"} for row in rows]
    write(tmp_path / "sum_pair.csv.gz", prompts)
    write(tmp_path / "sum_long.csv.gz", long_rows(rows, cost_est="0.0005", out_chars="400"))
    return write(tmp_path / "mine.csv.gz", rows), tmp_path / "sum_long.csv.gz"


@pytest.fixture
def pairs(files):
    return read_pairs(files[0], read_samples(files[1], ["mini"]))


def some_priors(size, seed=1):
    chance = np.random.default_rng(seed)
    return Priors(chance.random(size), chance.random(size), chance.random(size))


def test_samples_are_joined_by_the_prompt_and_the_free_checks_put(pairs):
    assert (pairs.free, pairs.paid) == (("arithmetic", "brevity"), ("agreement",))
    assert pairs.prices["agreement"].tolist() == [0.0005] * 300
    agreed = pairs.said["agreement"] == 1.0
    assert pairs.weak[agreed].mean() > 0.9 > pairs.weak[~agreed].mean()
    assert np.isfinite(pairs.said["arithmetic"]).all()


def test_a_sample_without_a_cost_is_not_free(files, tmp_path):
    path = write(tmp_path / "sum_long.csv.gz", long_rows(questions(300), cost_est="", out_chars=40))
    with pytest.raises(DataError, match=r"300 answers have no recorded cost.*--sample-price mini="):
        read_pairs(files[0], read_samples(path, ["mini"]))
    priced = read_pairs(files[0], read_samples(path, ["mini"], prices={"mini": (1.0, 2.0)}))
    lengths = np.array([len(each.text) for each in priced.signals])
    assert priced.prices["agreement"] == pytest.approx((lengths + 2 * 40) / 4e6)


def test_what_is_no_sample_is_told(files, tmp_path):
    with pytest.raises(DataError, match="no answer of nobody"):
        read_samples(files[1], ["nobody"])
    with pytest.raises(DataError, match="it holds no prompts; name a file"):
        read_samples(write(tmp_path / "odd.csv.gz", long_rows(questions(3))), ["mini"])
    rows = [{"prompt_id": "1", "model": "mini", "score": "1"}]
    with pytest.raises(DataError, match="no column 'pred'"):
        read_samples(write(tmp_path / "sum_long.csv.gz", rows), ["mini"])


def test_rows_of_no_use_are_counted(tmp_path):
    rows = questions(5)
    rows[1]["weak_cost"] = ""
    rows[2]["prompt"] = rows[3]["prompt"]
    rows[4]["extra"] = '{"contaminated": true}'
    rows = [{"extra": "", **row} for row in rows]
    read = read_pairs(write(tmp_path / "some.csv.gz", rows))
    assert len(read) == 2
    assert read.dropped == {
        "without a score or cost of both tiers": 1,
        "repeated": 1,
        "contaminated": 1,
    }
    with pytest.raises(DataError, match="no two rows"):
        read_pairs(write(tmp_path / "one.csv.gz", rows[:1]))


def test_recorded_checks_are_free_unless_they_have_a_price(tmp_path):
    rows = [{**row, "weak_check.judge": "0.5"} for row in questions(9)]
    path = write(tmp_path / "some.csv.gz", rows)
    assert "judge" in read_pairs(path).free
    paid = read_pairs(path, check_prices={"judge": 0.01})
    assert (paid.paid, paid.prices["judge"].sum()) == (("judge",), pytest.approx(0.09))
    with pytest.raises(DataError, match=r"no column 'weak_check\.other'"):
        read_pairs(path, check_prices={"other": 0.01})


def test_only_the_free_checks_asked_for_count(pairs):
    fewer = pairs.with_free("arithmetic")
    assert (fewer.free, sorted(fewer.said)) == (("arithmetic",), ["agreement", "arithmetic"])
    assert pairs.with_free().free == ()
    with pytest.raises(DataError, match="there is: arithmetic, brevity"):
        pairs.with_free("tests")


def test_a_ratio_sets_the_price_of_the_weak_tier_and_of_each_paid_check(pairs):
    dear = pairs.at_ratio(0.3)
    assert dear.ratio == pytest.approx(0.3)
    assert dear.prices["agreement"].mean() == pytest.approx(0.3 * dear.strong_cost.mean())


def test_many_at_once_are_as_one_by_one(pairs):
    priors = some_priors(len(pairs))
    combiner = fit_combiner(pairs, priors, "a@1")
    last = combiner.stages[-1].own
    many = chances_of(last, priors.own, pairs.said)
    for row in range(20):
        said = {check: float(each[row]) for check, each in pairs.said.items()}
        heard = {check: None if np.isnan(each) else each for check, each in said.items()}
        assert last.chance(float(priors.own[row]), heard) == pytest.approx(many[row])
    unknown = chances_of(last, np.full(len(pairs), np.nan), pairs.said)
    assert last.chance(None, heard) == pytest.approx(unknown[19])


def test_a_later_sample_of_the_family_takes_the_earlier_one_s_place(pairs):
    said = {**pairs.said, "agreement_2": pairs.said["agreement"]}
    prices = {**pairs.prices, "agreement_2": pairs.prices["agreement"]}
    two = replace(pairs, said=said, prices=prices, paid=("agreement", "agreement_2"))
    curve = fit_combiner(two, no_priors(len(two)), "a@1").stages[2].own
    assert curve.said["agreement"] == 0.0 < curve.said["agreement_2"]


def test_what_never_varies_has_a_level_curve(pairs):
    always = replace(pairs, strong=np.ones(len(pairs)))
    curve = fit_combiner(always, no_priors(len(pairs)), "a@1").stages[0].next
    assert set(curve.said.values()) == {0.0}
    assert curve.chance(None, {}) > 0.99


@pytest.mark.parametrize("seed", range(4))
def test_playing_is_what_next_step_does(pairs, seed):
    priors = some_priors(len(pairs), seed)
    policy = fit_cascade(pairs, priors, Trade(20.0, min_gain=0.05), "a@1")
    policy = replace(policy, threshold=0.8)
    played = play(policy, pairs, priors)
    replayed = replay(policy.threshold, bar_of(policy, pairs), pairs, priors)
    assert played.up.tolist() == (replayed.up > 0).tolist()
    assert played.deferred.tolist() == (replayed.escalated > 0).tolist()
    assert played.quality.tolist() == replayed.quality.tolist()
    assert played.cost == pytest.approx(replayed.cost)


def test_a_band_is_where_the_most_is_gained():
    confidence = np.linspace(0, 1, 101)
    gained = np.where((confidence > 0.295) & (confidence < 0.705), 1.0, -1.0)
    assert band(confidence, gained, 1.0) == (pytest.approx(0.295), pytest.approx(0.705))
    assert band(confidence, -np.ones(101), 1.0) == (1.0, 0.0)
    assert band(confidence, np.ones(101), 1.0) == (0.0, 1.0)


def test_noise_buys_nothing():
    chance = np.random.default_rng(0)
    low, high = band(chance.random(400), chance.normal(-0.02, 1.0, 400), 1.0)
    assert (low, high) == (1.0, 0.0) or high - low < 1.0


def test_evidence_is_bought_where_it_is_cheap_and_not_where_it_is_dear(pairs):
    nobody = no_priors(len(pairs))
    cheap = fit_joint(pairs, nobody, Trade(10.0), "a@1")
    assert cheap.kind == "cascade"
    assert cheap.combiner.paid == ("agreement",)
    dear = pairs.at_ratio(0.9)
    assert fit_joint(dear, nobody, Trade(10.0), "a@1").kind in {"weak", "strong"}


def test_a_route_sends_up_what_is_worth_it(pairs):
    priors = Priors(pairs.weak, pairs.strong, pairs.strong - pairs.weak)
    policy = fit_route(pairs, priors, Trade(2.0))
    assert (policy.kind, 0 < policy.threshold <= 1) == ("route", True)
    assert fit_route(pairs, priors, Trade(1e6)).threshold == NEVER
    assert fit_route(pairs, no_priors(len(pairs)), Trade(0.0)).kind == "strong"


def test_every_choice_of_checks_is_tried():
    assert subsets(("a", "b")) == [(), ("a",), ("b",), ("a", "b")]
    one, two = "agreement", "agreement_2"
    with_judge = [(), (one,), ("judge",), (one, "judge"), (one, two), (one, "judge", two)]
    assert subsets((one, "judge", two)) == with_judge, "the second counts the first one's sample"


@pytest.fixture
def few_prices(monkeypatch):
    for module in (evaluate, choose_module):
        monkeypatch.setattr(module, "PRICES", evaluate.PRICES[::5])


def test_free_evidence_and_a_free_weak_call_give_apgr(pairs):
    free = replace(pairs, weak_cost=np.zeros(300), strong_cost=np.ones(300))
    once, value = np.ones((1, 300)), some_priors(300).own
    from router_models.difficulty.metrics import Recorded, apgr

    recorded = Recorded(free.weak, free.strong, free.weak_cost, free.strong_cost)
    area = curves.priced_apgr(value, np.zeros(300), free, once)
    assert area == pytest.approx(apgr(value, recorded, once), abs=1e-9)
    paid = curves.priced_apgr(value, np.full(300, 0.1), free, once)
    assert paid[0] < area[0]
    drafted = replace(free, weak_cost=np.full(300, 0.2))
    strict = curves.priced_apgr(value, np.zeros(300), drafted, once, drafts=True)
    assert strict[0] < area[0] == curves.priced_apgr(value, np.zeros(300), drafted, once)[0]


def test_few_rows_show_an_error_by_chance():
    chances = np.random.default_rng(0).random(2000)
    few, many = curves.error_by_chance(chances[:100]), curves.error_by_chance(chances)
    assert 0 < many < few / 2 < 0.1


def test_a_front_mixes_by_lot(pairs):
    blind = curves.Front([], [], pairs)
    once = np.ones((1, len(pairs)))
    halfway = (pairs.weak.mean() + pairs.strong.mean()) / 2 / pairs.strong.mean()
    assert blind.cost_at(halfway, once)[0] == pytest.approx((0.02 + 1) / 2)
    assert blind.cost_at(0.01, once)[0] == pytest.approx(0.02)


@pytest.mark.usefixtures("few_prices")
def test_judging_pays_here_and_is_calibrated(pairs):
    ground = ground_module.prepare(pairs, folds=5)
    judged = evaluate.judge(ground, resamples=50)
    assert judged["verdict"].startswith("judging the answer pays:")
    assert judged["apgr"]["judged"]["share"]["value"] > 0.75
    assert judged["targets"]["0.95"]["joint_less_the_better"]["value"] < 0.02
    assert "APGR judged" in evaluate.text(judged)


@pytest.mark.usefixtures("few_prices")
def test_calibration_is_drawn(files, tmp_path, capsys):
    arguments = ["--data", files[0], "--samples", files[1], "--sample-models", "mini"]
    picture = tmp_path / "drawn.png"
    more = ["--folds", "3", "--resamples", "5", "--plot", picture]
    assert evaluate.main([*map(str, arguments), *map(str, more)]) == 0
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert "APGR judged" in capsys.readouterr().out
    assert evaluate.main(["--data", str(tmp_path / "none.csv")]) == 2


@pytest.mark.usefixtures("few_prices")
def test_a_target_is_met_and_what_is_not_worth_it_is_left(pairs):
    ground = ground_module.folds_of(pairs, no_priors(len(pairs)), 5)
    by_quality = choose(ground, Target(quality=0.95), "own@2", 0.05)
    assert by_quality.at.quality >= 0.95
    assert by_quality.policy.kind == "cascade"
    assert by_quality.policy.combiner.label == "own@2"
    assert by_quality.told["calibration_error"] < 0.1
    by_share = choose(ground, Target(share=0.2), "own@2", 0.05)
    assert 0.1 < by_share.at.share <= 0.2
    by_cost = choose(ground, Target(cost=0.3), "own@2", 0.05)
    assert by_cost.at.cost <= 0.3 < by_quality.at.cost
    dear = ground_module.folds_of(pairs.at_ratio(0.95), no_priors(len(pairs)), 5)
    assert choose(dear, Target(quality=0.95), "own@2", 0.05).verdict.startswith("does not pay")


def test_what_a_replay_is_told_as(pairs):
    policy = Policy(combiner=Combiner("a@1", (), (), ()))
    always = told(replay(0.0, bar_of(policy, pairs, ()), pairs, no_priors(300)), pairs, 20)
    assert (always["started_large"]["value"], always["pays"]) == (1.0, False)
    assert always["cost_usd"] == pytest.approx(always["cost_large_usd"])
