"""From a fitted model to the folder that the gateway reads."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np

from gateway.scorers.artefact import MANIFEST, SCHEMA, WEIGHTS, digest, feature_version
from gateway.scorers.features import COUNTERS, Array
from gateway.scorers.hashes import question_hash
from gateway.scorers.static import static
from router_models.difficulty.model import COUNTER_SHARE, LENGTH, TERM_SHARE, UNLIKE, Model
from router_models.difficulty.table import Rows, Table

WATCHED: Final = (
    "chars", "words", "numbers", "lines", "code_marks", "foreign", "history", "turns", "tools",
    "schema",
)  # fmt: skip
"""Counters whose drift is watched."""


def write_artefact(
    folder: Path,
    model: Model,
    label: str,
    provenance: Mapping[str, Any],
    table: Table,
    texts: Iterable[str] = (),
) -> None:
    """Write `scorer.json` and `weights.npz`; the same model gives the same bytes.

    `table` is what the model was fitted to, for the features' distribution; of `texts`, the
    questions it learnt from, 64-bit hashes are kept, so that nobody is judged on them.
    """
    folder.mkdir(parents=True, exist_ok=True)
    rows = table.laid_out.take(range(len(table.readings)), whole=True)
    edges, shares = _tenths(rows, table.weights)
    arrays = _weights(model)
    arrays["edges"] = edges
    arrays["seen"] = np.array(sorted({question_hash(text) for text in texts}), dtype=np.uint64)
    packed = io.BytesIO()
    np.savez_compressed(packed, allow_pickle=False, **arrays)
    manifest: dict[str, Any] = {
        "schema": SCHEMA,
        "features": feature_version(),
        "static": static().digest,
        "label": label,
        "weights_sha256": hashlib.sha256(packed.getvalue()).hexdigest(),
        "cap": model.pipeline.cap * COUNTER_SHARE,
        "sharpness": model.pipeline.sharpness,
        "far": model.far,
        "unlike_share": round(1 - UNLIKE, 6),
        "calibration": model.calibration,
        "reference": [round(gain, 6) for gain in model.reference],
        "watched": shares,
        "provenance": dict(provenance),
    }
    manifest["digest"] = digest(manifest)
    (folder / WEIGHTS).write_bytes(packed.getvalue())
    text = json.dumps(manifest, indent=1, sort_keys=True)
    (folder / MANIFEST).write_text(text + "\n", encoding="utf-8")


def _weights(model: Model) -> dict[str, Any]:
    """The arrays that the gateway needs: whitening, levels and shares are worked into them."""
    pipeline = model.pipeline
    coefficients, names = pipeline.ridge.coef_.T, sorted(pipeline.vocabulary)
    words, likeness, length = np.split(coefficients, [len(names), -1])
    counters = np.zeros((len(COUNTERS), len(coefficients.T)))
    counters[LENGTH] = length
    scale = np.where(pipeline.flat, 0.0, COUNTER_SHARE / pipeline.scaler.scale_)
    return {
        "names": np.frombuffer("\n".join(names).encode("latin-1"), np.uint8),
        "idf": pipeline.weigher.idf_,
        "terms": words * TERM_SHARE,
        "mean": pipeline.mean,
        "middle": pipeline.scaler.mean_,
        "scale": scale,
        "centres": pipeline.centres,
        "heads": pipeline.whitening @ likeness,
        "counters": counters,
        "intercept": pipeline.ridge.intercept_ - pipeline.level @ likeness,
    }


def _tenths(rows: Rows, weights: Array) -> tuple[Array, dict[str, list[float]]]:
    """Return (WATCHED, 9) edges between tenths of each counter, and the share in each tenth."""
    edges, shares = [], {}
    for name in WATCHED:
        values = rows.counters[:, COUNTERS.index(name)]
        cuts = np.quantile(values, np.linspace(0.1, 0.9, 9))
        tenths = (values[:, None] >= cuts).sum(1)
        counts = np.bincount(tenths, weights, minlength=10)
        edges.append(cuts)
        shares[name] = [round(float(share), 6) for share in counts / counts.sum()]
    return np.array(edges), shares
