"""Train the artefact that reads an embeddings endpoint's vectors: see docs/config.md, `remote`."""

from __future__ import annotations

import hashlib
import io
import json
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import httpx
import numpy as np
from sklearn.linear_model import Ridge

from gateway.scorers.artefact import MANIFEST, WEIGHTS, digest
from gateway.scorers.embedding import FEATURES, SCHEMA
from gateway.scorers.features import Array
from gateway.scorers.tidy import clip
from router_models.difficulty.data import DataError, Row, balance, near_duplicates
from router_models.difficulty.model import Settings, calibrated, fit_curve, folds, gain, quantiles
from router_models.difficulty.table import Table

PENALTIES: Final = (0.1, 0.3, 1.0, 3.0, 10.0)
"""The ridge's penalties that are tried; the one with the least held-out error is kept."""
BATCH: Final = 64
PATIENCE: Final = 60.0

Embed = Callable[[Sequence[str]], Array]
"""Texts to their (N, D) vectors, of any length but 0."""


@dataclass(frozen=True, slots=True)
class RemoteModel:
    """What was learnt: (D, H) weights for vectors of unit length, (H,) intercepts, (slope, offset)
    of each head, the reference gains, rising. `held_out` are the (N, H) probabilities of rows that
    the heads had not met, for judging them."""

    weights: Array
    intercept: Array
    calibration: tuple[tuple[float, float], ...]
    reference: tuple[float, ...]
    held_out: Array
    penalty: float

    def p_good(self, vectors: Array) -> Array:
        """Return (N, H) probabilities of (N, D) vectors."""
        return calibrated(unit(vectors) @ self.weights + self.intercept, self.calibration)


def train_remote(
    rows: Sequence[Row], embed: Embed, settings: Settings | None = None
) -> tuple[RemoteModel, dict[str, Any]]:
    """Fit ridges on the rows' vectors, calibrated on folds by question; returns the model and
    where it came from.

    Of `settings` the folds and the seed count. Raises DataError for rows that are too few or too
    alike, and for vectors that are none.
    """
    settings = settings or Settings()
    texts = [clip(row.signals.text) for row in rows]
    outcomes = np.array([row.scores for row in rows])
    groups = near_duplicates(texts)
    if len(set(groups)) < settings.folds:
        raise DataError(f"{len(set(groups))} different questions are too few to learn from.")
    if np.ptp(outcomes, axis=0).max() == 0:
        raise DataError("Every model is equally good in every row: there is nothing to learn.")
    weights = np.array(balance([row.source for row in rows]))
    vectors = unit(_vectors(embed, texts))
    # What is folded are outcomes and questions; the readings of words have no part in it.
    parts = list(folds(Table((), outcomes, groups, weights), settings))
    raws = {each: _held_out(vectors, outcomes, weights, parts, each) for each in PENALTIES}
    errors = {each: float(np.average((raw - outcomes) ** 2, axis=0, weights=weights).sum())
              for each, raw in raws.items()}  # fmt: skip
    penalty = min(errors, key=errors.__getitem__)
    raw = raws[penalty]
    heads = range(outcomes.shape[1])
    calibration = tuple(fit_curve(raw[:, head], outcomes[:, head], weights) for head in heads)
    held_out = calibrated(raw, calibration)
    whole = _ridge(vectors, outcomes, weights, penalty)
    model = RemoteModel(
        weights=whole.coef_.T,
        intercept=whole.intercept_,
        calibration=calibration,
        reference=quantiles(gain(held_out), weights),
        held_out=held_out,
        penalty=penalty,
    )
    return model, {
        "rows": len(rows),
        "questions": len(set(groups)),
        "sources": dict(sorted(Counter(row.source for row in rows).items())),
        "penalty": penalty,
        "folds": settings.folds,
        "seed": settings.seed,
    }


def write_remote(
    folder: Path, model: RemoteModel, label: str, endpoint_model: str, provenance: dict[str, Any]
) -> None:
    """Write `scorer.json` and `weights.npz` of kind embedding; the same model gives the same bytes.

    `label` is `name@version`, `endpoint_model` what the endpoint calls the model it embeds with.
    """
    folder.mkdir(parents=True, exist_ok=True)
    packed = io.BytesIO()
    np.savez_compressed(
        packed, allow_pickle=False, weights=model.weights, intercept=model.intercept
    )
    manifest: dict[str, Any] = {
        "schema": SCHEMA,
        "kind": "embedding",
        "features": FEATURES,
        "label": label,
        "model": endpoint_model,
        "dimension": len(model.weights),
        "weights_sha256": hashlib.sha256(packed.getvalue()).hexdigest(),
        "calibration": model.calibration,
        "reference": model.reference,
        "provenance": provenance,
    }
    manifest["digest"] = digest(manifest)
    (folder / WEIGHTS).write_bytes(packed.getvalue())
    text = json.dumps(manifest, indent=1, sort_keys=True)
    (folder / MANIFEST).write_text(text + "\n", encoding="utf-8")


def over_http(url: str, model: str, api_key: str | None = None) -> Embed:
    """Return what embeds with an OpenAI-compatible endpoint, some texts at a time.

    `url` is the whole of it. What is returned raises DataError for a failure.
    """
    headers = {"authorization": f"Bearer {api_key}"} if api_key else {}

    def embed(texts: Sequence[str]) -> Array:
        with httpx.Client(headers=headers, timeout=PATIENCE) as client:
            return np.concatenate([ask(client, batch) for batch in _batches(texts)])

    def ask(client: httpx.Client, batch: Sequence[str]) -> Array:
        asked = {"model": model, "input": list(batch), "encoding_format": "float"}
        try:
            reply = client.post(url, json=asked).raise_for_status().json()
            found = sorted(reply["data"], key=lambda each: each["index"])
            return np.array([each["embedding"] for each in found], np.float64)
        except (httpx.HTTPError, KeyError, TypeError, ValueError) as error:
            raise DataError(f"{url} did not embed {len(batch)} texts: {error!r}") from error

    return embed


def unit(vectors: Array) -> Array:
    """Return vectors of length 1."""
    scaled: Array = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return scaled


def _vectors(embed: Embed, texts: Sequence[str]) -> Array:
    vectors = np.asarray(embed(texts), np.float64)
    if vectors.ndim != 2 or len(vectors) != len(texts):
        raise DataError(f"{len(texts)} texts were embedded into {vectors.shape}, not (N, D).")
    if not (np.isfinite(vectors).all() and np.linalg.norm(vectors, axis=1).all()):
        raise DataError("An embedding has no length, or a number that is none.")
    return vectors


def _held_out(
    vectors: Array,
    outcomes: Array,
    weights: Array,
    parts: Iterable[tuple[list[int], list[int]]],
    penalty: float,
) -> Array:
    raw = np.zeros_like(outcomes)
    for train, test in parts:
        ridge = _ridge(vectors[train], outcomes[train], weights[train], penalty)
        raw[test] = ridge.predict(vectors[test])
    return raw


def _ridge(vectors: Array, outcomes: Array, weights: Array, penalty: float) -> Ridge:
    return Ridge(penalty, solver="cholesky").fit(vectors, outcomes, sample_weight=weights)


def _batches(texts: Sequence[str]) -> Iterable[Sequence[str]]:
    return (texts[at : at + BATCH] for at in range(0, len(texts), BATCH))
