"""Likeness to clusters, against the same reckoned plainly, text by text and centre by centre."""

from __future__ import annotations

from math import exp

import numpy as np
import pytest
from scorers.spoiling import DEFAULT
from scorers.test_scorers import EASY, HARD, signals

from gateway.scorers import load
from gateway.scorers.clusters import Clusters, Nearness
from gateway.scorers.features import AS_COUNTED, COUNTERS, WINDOW, read

DIMENSIONS, CENTRES, HEADS, VIEWS = 7, 5, 3, 4


def made(sharpness: float, draw: np.random.Generator, counted: float = 0.0) -> Clusters:
    size = len(COUNTERS)
    return Clusters(
        mean=draw.normal(size=DIMENSIONS) * 0.1,
        middle=draw.random(size),
        scale=draw.random(size) * 0.3,
        cap=0.6,
        centres=draw.normal(size=(CENTRES, DIMENSIONS + size)) * 0.2,
        sharpness=sharpness,
        heads=draw.normal(size=(CENTRES, HEADS)),
        counters=draw.normal(size=(size, HEADS)) * counted,
        far=1.0,
    )


def plainly(clusters: Clusters, counters, vector) -> tuple[list[float], float]:
    """The weights and the nearest square of one view, as `Clusters` says."""

    def unit(of):
        length = float(np.sqrt(of @ of))
        return of / length if length else of

    vector = vector.astype(np.float64)
    scaled = np.clip((counters - clusters.middle) * clusters.scale, -clusters.cap, clusters.cap)
    place = np.concatenate([unit(unit(vector) - clusters.mean), scaled])
    squares = [float(((place - centre) ** 2).sum()) for centre in clusters.centres]
    like = [exp(-clusters.sharpness * square) for square in squares]
    weights = np.array(like) @ clusters.heads + scaled @ clusters.counters
    return weights.tolist(), min(squares)


@pytest.mark.parametrize("counted", [0.0, 0.3])
@pytest.mark.parametrize(
    # What is trained is reckoned in 32 bits; what is far from it in 64, so that it stays exact.
    ("sharpness", "within"),
    [(0.5, 1e-6), (2.0, 1e-6), (40.0, 1e-12), (900.0, 1e-12)],
)
def test_weights_are_those_of_the_formula(sharpness, within, counted):
    draw = np.random.default_rng(7)
    clusters = made(sharpness, draw, counted)
    near = Nearness(clusters)
    for _ in range(20):
        counters = draw.random((VIEWS, len(COUNTERS))) * 3
        vectors = draw.integers(-500, 500, (VIEWS, DIMENSIONS)).astype(np.float32)
        vectors[2] = 0  # of a text that has no word with a vector
        weights, nearest = near.weigh(
            counters[:, AS_COUNTED].T.copy(), vectors, (vectors @ clusters.mean).tolist()
        )
        expected = [plainly(clusters, *each) for each in zip(counters, vectors, strict=True)]
        assert np.abs(np.array(weights) - [each[0] for each in expected]).max() < within
        assert nearest == pytest.approx(expected[0][1], abs=max(within, 1e-12) * 100)


def test_a_prompt_s_own_view_is_the_prompt_to_the_last_digits():
    """So that 32 bits let no words around a prompt raise its gain, not by a millionth either."""
    scorer = load(DEFAULT)
    words = "prove theorem 123456 (((( " * (WINDOW // 4)
    for prompt in (*EASY, *HARD):
        (alone, *_) = scorer.raw(read(signals(prompt)))
        late = scorer.raw(read(signals(words + prompt)))[1]
        early = scorer.raw(read(signals(f"{prompt} {words}")))[2]
        assert late == pytest.approx(alone, abs=1e-12)
        assert early == pytest.approx(alone, abs=1e-12)
