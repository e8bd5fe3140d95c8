"""From a fitted model to the folder that the gateway reads."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from gateway.scorers.artefact import MANIFEST, SCHEMA, WEIGHTS, digest, feature_version
from gateway.scorers.features import COUNTERS
from gateway.scorers.linear import Array
from router_models.difficulty.model import COUNTER_SHARE, Model


def write_artefact(folder: Path, model: Model, label: str, provenance: Mapping[str, Any]) -> None:
    """Write `scorer.json` and `weights.npz`; the same model gives the same bytes."""
    folder.mkdir(parents=True, exist_ok=True)
    arrays, cap = _parts(model)
    packed = io.BytesIO()
    np.savez_compressed(packed, allow_pickle=False, **arrays)
    manifest: dict[str, Any] = {
        "schema": SCHEMA,
        "features": feature_version(),
        "label": label,
        "weights_sha256": hashlib.sha256(packed.getvalue()).hexdigest(),
        "counters": list(COUNTERS),
        "cap": cap,
        "calibration": model.calibration,
        "reference": [round(gain, 6) for gain in model.reference],
        "provenance": dict(provenance),
    }
    manifest["digest"] = digest(manifest)
    (folder / WEIGHTS).write_bytes(packed.getvalue())
    text = json.dumps(manifest, indent=1, sort_keys=True)
    (folder / MANIFEST).write_text(text + "\n", encoding="utf-8")


def _parts(model: Model) -> tuple[Mapping[str, Array], float]:
    """The arrays that the gateway needs, and the cap of the counters."""
    ridge = model.pipeline["ridge"]
    words, counters = (step for _, step in model.pipeline["features"].transformer_list)
    coefficients = ridge.coef_.T
    size = len(words.vocabulary_)
    return {
        "names": np.frombuffer("\n".join(sorted(words.vocabulary_)).encode("latin-1"), np.uint8),
        "idf": words.idf_,
        "terms": coefficients[:size],
        "mean": counters["scale"].mean_,
        "scale": counters["scale"].scale_,
        "counters": coefficients[size:] * COUNTER_SHARE,
        "intercept": ridge.intercept_,
    }, float(counters["cap"].kw_args["cap"])
