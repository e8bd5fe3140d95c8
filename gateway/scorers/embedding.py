"""A prompt's vector from an endpoint, and an artefact of weights that reads it."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Final, NoReturn, Protocol

import numpy as np

from gateway.core.chat import CHARS_PER_TOKEN
from gateway.core.difficulty import Difficulty
from gateway.core.money import Usage
from gateway.core.ports import Calls, OnSent
from gateway.core.ranks import rank
from gateway.core.scorer_spec import RemoteSpec
from gateway.core.signals import Signals
from gateway.scorers.arrays import beyond, read_arrays
from gateway.scorers.artefact import (
    MANIFEST,
    MOST_HEADS,
    MOST_POINTS,
    WEIGHTS,
    ArtefactError,
    digest,
    is_schema,
    read_bounded,
    read_object,
    refuse,
)
from gateway.scorers.features import Array
from gateway.scorers.linear import logistic
from gateway.scorers.tidy import HEAD, TAIL, clip
from gateway.waiting.guard import Unusable

SCHEMA: Final = 1
"""Of the folder's layout. Another one is refused."""
FEATURES: Final = f"embedding-1.clip-{HEAD}-{TAIL}"
"""What is embedded: the last user message's head and tail; and how: to unit length."""
MOST_DIMENSIONS: Final = 16_384
_SIZES: Final = {"weights": MOST_DIMENSIONS * MOST_HEADS * 8, "intercept": MOST_HEADS * 8}
_HIGHEST: Final = 1e6
"""No weight is beyond it."""
_LABEL: Final = re.compile(r"[A-Za-z0-9._-]{1,64}@[A-Za-z0-9._-]{1,32}")
_REMEDY: Final = "Restore the folder, or train it again (router_models.difficulty.remote)."


class Embedder(Protocol):
    """Turns a text into a vector, over the wire."""

    async def embed(
        self, text: str, seconds: float, on_sent: OnSent
    ) -> tuple[Sequence[float], Usage | None]:
        """Embed one text within `seconds`; `on_sent` is as `UpstreamCall.on_sent`.

        Raises UpstreamError; after a cancel the connection is closed at once.
        """
        ...


@dataclass(frozen=True, slots=True, eq=False)
class Heads:
    """D dimensions, H heads (one for each tier, cheap to strong; at least two). `weights` is
    (D, H) for vectors of unit length, `intercept` (H,); the rest is as in LinearScorer. `model` is
    the endpoint's model whose vectors it was trained on."""

    label: str
    model: str
    weights: Array
    intercept: Array
    calibration: tuple[tuple[float, float], ...]
    reference: tuple[float, ...]

    def score(self, vector: Sequence[float]) -> Difficulty:
        """Read a vector of D numbers. Raises Unusable for one that is none."""
        try:
            values = np.asarray(vector, dtype=np.float64)
        except (TypeError, ValueError, OverflowError) as error:
            raise Unusable("its vector is not one of numbers", theirs=True) from error
        if values.shape != (len(self.weights),):
            told = f"its vector is of shape {values.shape}, the artefact reads {len(self.weights)}"
            raise Unusable(f"{told} dimensions", theirs=True)
        length = float(np.sqrt(values @ values))
        if not (np.isfinite(length) and length > 0):
            raise Unusable("its vector has no length", theirs=True)
        raw = values / length @ self.weights + self.intercept
        p_good = tuple(map(logistic, raw.tolist(), self.calibration))
        gain = max(p_good[1:]) - p_good[0]
        return Difficulty(rank(gain, self.reference), gain, p_good, self.label, score=gain)


class RemoteScorer:
    """Embeds and reads; fits `gateway.scorers.guard.Waiting`."""

    def __init__(self, spec: RemoteSpec, heads: Heads, embedder: Embedder) -> None:
        """`embedder` asks the spec's endpoint. Raises ArtefactError for another model's heads."""
        if heads.model != spec.model:
            raise ArtefactError(
                f"{spec.artefact} reads vectors of {heads.model!r}, and scorer.remote.model is "
                f"{spec.model!r}: their vectors have nothing in common. {_REMEDY}"
            )
        self._tier, self._heads, self._embedder = spec.tier, heads, embedder
        self.label = heads.label
        self.reference = heads.reference

    def settle(self, base: Difficulty) -> Difficulty | None:
        """None: it has to be asked."""
        del base
        return None

    def estimate(self, signals: Signals) -> int:
        """Estimate what asking costs, in nano-dollars."""
        return self._tier.price.total(_guess(clip(signals.text)))

    async def ask(
        self, signals: Signals, base: Difficulty, seconds: float, calls: Calls
    ) -> Difficulty:
        """Ask for the vector, for `seconds` at most. Raises UpstreamError or Unusable."""
        del base
        text = clip(signals.text)

        async def send(on_sent: OnSent) -> tuple[Sequence[float], Usage | None]:
            return await self._embedder.embed(text, seconds, on_sent)

        return self._heads.score(await calls.make(self._tier, _guess(text), seconds, send))


def read_heads(folder: Path) -> Heads:
    """Read and check an artefact of kind embedding.

    Raises ArtefactError as `read_artefact` does: for a file that is missing, too large or not what
    was written, another schema, numbers that are not finite and shapes that do not fit.
    """
    path = folder / MANIFEST
    manifest = _manifest(path)
    weights = folder / WEIGHTS
    packed = read_bounded(weights, _REMEDY)
    if hashlib.sha256(packed).hexdigest() != manifest.get("weights_sha256"):
        _refuse(weights, "is not the file that was trained: its SHA-256 differs")
    try:
        heads = _heads(manifest, read_arrays(packed, _SIZES))
    except Exception as error:  # noqa: BLE001 (an archive can fail to unpack in a dozen ways)
        _refuse(weights, f"or {MANIFEST} lacks or garbles a part: {error!r}")
    if fault := _fault(heads):
        _refuse(weights, f"or {MANIFEST} {fault}")
    return heads


def _manifest(path: Path) -> dict[str, Any]:
    manifest = read_object(path, _REMEDY)
    if manifest.get("kind") != "embedding":
        _refuse(path, "is not of kind embedding: it scores by itself, and is named as scorer: PATH")
    wanted = {"schema": SCHEMA, "features": FEATURES}
    found = {name: manifest.get(name) for name in wanted}
    if found != wanted or not is_schema(found["schema"], SCHEMA):
        _refuse(path, f"was made as {found}, this gateway reads {wanted}")
    if manifest.get("digest") != digest(manifest):
        _refuse(path, "was changed after training: its digest differs")
    return manifest


def _heads(manifest: Mapping[str, Any], arrays: Mapping[str, Array]) -> Heads:
    """Put the parts together; raises KeyError, TypeError or ValueError for a part that is none."""
    if any(np.iscomplexobj(arrays[part]) for part in ("weights", "intercept")):
        raise TypeError("weights are real numbers")
    weights, intercept = (np.array(arrays[part], np.float64) for part in ("weights", "intercept"))
    expected = ((int(manifest["dimension"]), len(manifest["calibration"])), intercept.shape)
    if (weights.shape, (weights.shape[1:])) != expected:
        raise ValueError(f"weights and intercept are of shape {weights.shape}, {intercept.shape}")
    return Heads(
        label=str(manifest["label"]),
        model=str(manifest["model"]),
        weights=weights,
        intercept=intercept,
        calibration=tuple((float(slope), float(at)) for slope, at in manifest["calibration"]),
        reference=tuple(float(gain) for gain in manifest["reference"]),
    )


def _fault(heads: Heads) -> str:
    """What makes the numbers unusable, or nothing."""
    for numbers in (heads.weights, heads.intercept, np.array(heads.calibration)):
        if fault := beyond(numbers, _HIGHEST):
            return fault
    if fault := beyond(np.array(heads.reference), 1.0):
        return f"{fault} in its reference"
    tests = {
        f"has more than {MOST_POINTS:,} points of a reference": len(heads.reference) <= MOST_POINTS,
        "has fewer than two heads": len(heads.calibration) >= 2,
        "has no dimension": len(heads.weights) > 0,
        "has a calibration that falls": all(slope >= 0 for slope, _ in heads.calibration),
        "has a reference that falls, or is too short": len(heads.reference) >= 2
        and all(low <= high for low, high in pairwise(heads.reference)),
        "has a label that is not name@version": bool(_LABEL.fullmatch(heads.label)),
    }
    return next((fault for fault, passed in tests.items() if not passed), "")


def _guess(text: str) -> Usage:
    return Usage(len(text) // CHARS_PER_TOKEN + 1, 0)


def _refuse(path: Path, fault: str) -> NoReturn:
    refuse(path, fault, _REMEDY)
