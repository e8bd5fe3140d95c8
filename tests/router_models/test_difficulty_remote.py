"""The workshop's part of the remote scorer: what it fits is what the gateway reads."""

from __future__ import annotations

import asyncio
import random

import numpy as np
import pytest
from api.serving import config, house
from upstreams.scripted import Scripted, whole

from gateway.core.signals import Signals
from gateway.scorers import read_heads
from router_models.difficulty.data import DataError, Row
from router_models.difficulty.metrics import calibration_error
from router_models.difficulty.model import Settings
from router_models.difficulty.remote import over_http, train_remote, unit, write_remote

QUICK = Settings(folds=3)
DIMENSIONS = 12


def rows(n=240, seed=0):
    """Numbered questions; every other one is beyond the small model, mostly."""
    draw = random.Random(seed)
    found = []
    for number in range(n):
        hard = number % 2
        weak = float(draw.random() < (0.15 if hard else 0.9))
        text = f"question {number}: {'prove' if hard else 'list'} it"
        signals = Signals(text=text, prompt_chars=len(text), turns=1)
        found.append(Row(signals, (weak, float(draw.random() < 0.95)), "own"))
    return found


def embed(texts):
    """Vectors of any length, whose first axis says whether it is to be proved."""
    draw = np.random.default_rng(5)
    vectors = draw.normal(size=(len(texts), DIMENSIONS))
    vectors[:, 0] = [4.0 if "prove" in text else -4.0 for text in texts]
    return vectors * draw.uniform(0.5, 3, size=(len(texts), 1))


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    model, provenance = train_remote(rows(), embed, QUICK)
    folder = tmp_path_factory.mktemp("heads")
    write_remote(folder, model, "emb@1", "toy-embed", provenance)
    return model, read_heads(folder), folder


def test_the_gateway_s_figures_are_the_workshop_s(trained):
    model, heads, _ = trained
    vectors = embed([row.signals.text for row in rows(60, seed=9)])
    ours = np.array([heads.score(vector.tolist()).p_good for vector in vectors])
    np.testing.assert_allclose(ours, model.p_good(vectors), atol=1e-9)
    gains = ours[:, 1] - ours[:, 0]
    np.testing.assert_allclose([heads.score(v.tolist()).gain for v in vectors], gains, atol=1e-9)


def test_it_learns_what_is_hard_and_says_how_sure_it_is(trained):
    model, heads, _ = trained
    hard, easy = embed(["prove it", "list it"])
    assert heads.score(hard.tolist()).value > 0.5 > heads.score(easy.tolist()).value
    weak = np.array([row.scores[0] for row in rows()])
    assert calibration_error(model.held_out[:, 0], weak) < 0.1


def test_the_reference_says_what_share_goes_up(trained):
    model, heads, _ = trained
    vectors = unit(embed([row.signals.text for row in rows()]))
    values = [heads.score(vector.tolist()).value for vector in vectors]
    assert np.mean(np.array(values) >= 0.8) == pytest.approx(0.2, abs=0.1)
    assert list(model.reference) == sorted(model.reference)


def test_the_same_rows_give_the_same_bytes(trained, tmp_path):
    _, _, folder = trained
    model, provenance = train_remote(rows(), embed, QUICK)
    write_remote(tmp_path, model, "emb@1", "toy-embed", provenance)
    for name in ("scorer.json", "weights.npz"):
        assert (tmp_path / name).read_bytes() == (folder / name).read_bytes()


@pytest.mark.parametrize(
    ("given", "vectors", "told"),
    [
        (rows(2), embed, "too few"),
        ([Row(row.signals, (1.0, 1.0), "own") for row in rows(30)], embed, "equally good"),
        (rows(30), lambda texts: embed(texts)[1:], "not \\(N, D\\)"),
        (rows(30), lambda texts: embed(texts) * 0, "no length"),
        (rows(30), lambda texts: embed(texts) + np.nan, "no length"),
    ],
    ids=range(5),
)
def test_what_cannot_be_learnt_from_is_refused(given, vectors, told):
    with pytest.raises(DataError, match=told):
        train_remote(given, vectors, QUICK)


async def test_it_is_trained_and_served_over_one_endpoint(trained, tmp_path):
    _, _, folder = trained
    numbers = str(embed(["prove it"])[0].tolist()).encode()
    reply = whole(b'{"data": [{"index": 0, "embedding": %b}]}' % numbers)
    async with Scripted(reply) as server:
        url = f"{server.url}/embeddings"
        found = await asyncio.to_thread(over_http(url, "toy-embed", "sk-1"), ["prove it"])
        remote = {"url": url, "model": "toy-embed", "artefact": str(folder), "timeout": "5s",
                  "price": 0}  # fmt: skip
        async with house(tmp_path, config(routes__waterfall__scorer={"remote": remote})) as it:
            answer = await it.chat()
    assert found.shape == (1, DIMENSIONS)
    assert answer.told("scorer") == "emb@1"
    assert b"authorization: bearer sk-1" in server.requests[0].lower()


async def test_an_endpoint_that_fails_is_named():
    async with Scripted(whole(b"{}", 500)) as server:
        with pytest.raises(DataError, match=server.url):
            await asyncio.to_thread(over_http(f"{server.url}/embeddings", "m"), ["a"])
