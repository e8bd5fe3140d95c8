"""The workshop: what it trains is what the gateway serves, to the last digit that matters."""

from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.signals import Signals
from gateway.scorers import load
from gateway.scorers.features import read
from router_models.difficulty.data import DataError, Row
from router_models.difficulty.evaluate import table_of
from router_models.difficulty.export import write_artefact
from router_models.difficulty.model import Settings, fit, folds, gain
from router_models.difficulty.table import Rows

WORDS = "ash birch cedar elm fir hazel larch maple oak pine rowan spruce willow yew".split()
QUICK = Settings(folds=3)


def own_rows(n: int, seed: int = 0) -> list[dict]:
    """Sums that the small model can do when they are of one digit, and harmless talk."""
    draw = random.Random(seed)
    rows = []
    for _ in range(n):
        hard = draw.random() < 0.5
        a, b = (draw.randrange(10, 99) if hard else draw.randrange(1, 10) for _ in range(2))
        trees = " ".join(draw.choices(WORDS, k=3))
        prompt = f"{trees}: what is {a}{draw.choice('+-*')}{b}?"
        weak = draw.random() < (0.1 if hard else 0.9)
        rows.append({"prompt": prompt, "weak_score": int(weak), "strong_score": 1})
    rows[0]["strong_score"] = rows[1]["strong_score"] = 0
    return rows


def rows_of(records) -> list[Row]:
    return [
        Row(
            Signals(text=r["prompt"], prompt_chars=len(r["prompt"]), turns=1),
            (float(r["weak_score"]), float(r["strong_score"])),
            "own",
        )
        for r in records
    ]


def train(rows):
    """Fit quickly; the provenance is what any artefact has."""
    return fit(table_of(rows), QUICK), {"rows": len(rows)}


def write(folder, model, label, provenance, rows):
    """Write an artefact of what was fitted to these rows."""
    texts = [row.signals.text for row in rows]
    write_artefact(folder, model, label, provenance, table_of(rows), texts)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    rows = rows_of(own_rows(300))
    model, provenance = train(rows)
    folder = tmp_path_factory.mktemp("artefact")
    write(folder, model, "own@1", provenance, rows)
    return model, load(folder), folder


# ------------------------------------------------------------------------------- golden


@given(
    st.lists(
        st.sampled_from([*WORDS, "what is", "47", "3", "+", "*", "?", "why", "stranger", "\n"]),
        max_size=60,
    ).map(" ".join)
    | st.text(st.characters(exclude_categories=()), max_size=400),
    st.integers(0, 5),
)
def test_the_gateway_says_what_scikit_learn_says(trained, text, tools):
    model, scorer, _ = trained
    signals = Signals(text=text, prompt_chars=len(text), turns=1, tools=tools)
    expected = model.p_good([read(signals)])
    found = scorer.score(signals)
    assert np.abs(expected[0] - found.p_good).max() < 1e-6
    assert abs(float(gain(expected)[0]) - found.gain) < 1e-6


def test_raw_values_agree_before_calibration_too(trained):
    model, scorer, _ = trained
    readings = [read(row.signals) for row in rows_of(own_rows(50, seed=1))]
    expected = model.pipeline.predict(Rows.of(readings))
    for views, reading in zip(expected, readings, strict=True):
        assert np.abs(views - scorer.raw(reading)).max() < 1e-6


def test_where_only_length_tells_nothing_else_is_learnt(tmp_path):
    """Words by lot, and a small model that fails on long texts: what words say is chance."""
    draw = random.Random(5)
    rows = []
    for _ in range(240):
        size = draw.randrange(2, 18)
        text = " ".join(draw.choices(WORDS, k=size))
        weak = float(draw.random() > size / 18)
        rows.append(Row(Signals(text=text, prompt_chars=len(text), turns=1), (weak, 1.0), "own"))
    table = table_of(rows)
    model = fit(table, QUICK)
    assert model.penalty is None
    write_artefact(tmp_path, model, "length@1", {}, table)
    scorer = load(tmp_path)
    gains = [scorer.score(Signals(text=" ".join(["oak"] * n), turns=1)).gain for n in (2, 9, 16)]
    assert gains == sorted(gains)
    assert gains[0] < gains[-1] - 0.2
    expected = model.p_good([read(rows[0].signals)])[0]
    assert scorer.score(rows[0].signals).p_good == pytest.approx(expected, abs=1e-6)


def test_three_heads_are_served_too(tmp_path):
    rows = [
        Row(row.signals, (row.scores[0], float(i % 3 > 0), row.scores[1]), "own")
        for i, row in enumerate(rows_of(own_rows(200)))
    ]
    model, provenance = train(rows)
    write(tmp_path, model, "three@1", provenance, rows)
    difficulty = load(tmp_path).score(rows[0].signals)
    expected = model.p_good([read(rows[0].signals)])[0]
    assert difficulty.p_good == pytest.approx(expected, abs=1e-6)
    assert difficulty.gain == max(difficulty.p_good[1:]) - difficulty.p_good[0]


# ------------------------------------------------------------------------------- learning


def test_it_tells_long_sums_from_short_ones(trained):
    _, scorer, _ = trained
    for sign in "+-*":
        short, long = (
            scorer.score(Signals(text=f"oak elm yew: what is {sum_}?", turns=1))
            for sum_ in (f"4{sign}3", f"47{sign}38")
        )
        assert short.value < 0.5 < long.value
        assert short.p_good[0] > 0.7
        assert long.p_good[0] < 0.3


def test_the_same_rows_and_seed_give_the_same_bytes(trained, tmp_path):
    _, _, folder = trained
    rows = rows_of(own_rows(300))
    model, provenance = train(rows)
    write(tmp_path, model, "own@1", provenance, rows)
    for name in ("scorer.json", "weights.npz"):
        assert (tmp_path / name).read_bytes() == (folder / name).read_bytes()


def test_the_artefact_keeps_no_rare_word(tmp_path):
    records = own_rows(200)
    for record in records[:2]:
        record["prompt"] = f"password hunter2 {record['prompt']}"
    # However often it comes, one question is one question.
    records += [{**records[3], "prompt": "repeated secretword " + "again " * 20}] * 9
    rows = rows_of(records)
    model, provenance = train(rows)
    write(tmp_path, model, "own@1", provenance, rows)
    with np.load(tmp_path / "weights.npz") as arrays:
        names = arrays["names"].tobytes().decode().split("\n")
    assert "oak" in names
    assert not [name for name in names if "hunter2" in name or "secretword" in name]


def test_no_question_is_on_both_sides_of_a_fold():
    records = own_rows(60)
    table = table_of(rows_of([*records, *records]))
    for train_rows, test_rows in folds(table, QUICK):
        groups = [{table.groups[i] for i in rows} for rows in (train_rows, test_rows)]
        assert not groups[0] & groups[1]


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda records: records[:2], "too few to learn from"),
        (
            lambda records: [{**r, "prompt": "x" * (2 * i + 1)} for i, r in enumerate(records[:6])],
            "No word is in",
        ),
        (
            lambda records: [{**r, "weak_score": 1, "strong_score": 1} for r in records],
            "nothing to",
        ),
    ],
)
def test_rows_that_teach_nothing_are_refused(spoil, message):
    with pytest.raises(DataError, match=message):
        fit(table_of(rows_of(spoil(own_rows(40)))), QUICK)


def test_a_model_that_never_fails_is_nearly_sure():
    records = [{**r, "strong_score": 1} for r in own_rows(200)]
    model = fit(table_of(rows_of(records)), QUICK)
    chances = model.p_good([read(row.signals) for row in rows_of(records[:20])])
    assert (chances[:, 1] > 0.98).all()
    assert (chances[:, 1] < 1).all()


def test_outcomes_that_follow_from_the_prompt_keep_finite_curves():
    records = [{**r, "weak_score": len(r["prompt"]) % 2, "strong_score": 1} for r in own_rows(150)]
    for record in records:
        record["prompt"] += " plainly" if record["weak_score"] else " deeply"
    model = fit(table_of(rows_of(records)), QUICK)
    assert np.isfinite(model.calibration).all()
    assert all(slope >= 0 for slope, _ in model.calibration)


def test_noise_is_not_turned_upside_down():
    draw = random.Random(5)
    records = [{**r, "weak_score": draw.randrange(2)} for r in own_rows(60)]
    model = fit(table_of(rows_of(records)), QUICK)
    assert all(slope >= 0 for slope, _ in model.calibration)
