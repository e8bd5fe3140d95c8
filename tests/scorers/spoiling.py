"""Artefacts changed as their author could: every digest fits again."""

from __future__ import annotations

import hashlib
import io
import json
from pathlib import Path

import numpy as np
import pytest

import router_models
from gateway.scorers import ArtefactError, load
from gateway.scorers import artefact as reader

DEFAULT = Path(router_models.__file__).parent / "artefacts" / "default"


def manifest_of(folder: Path) -> dict:
    return json.loads((folder / "scorer.json").read_text("utf-8"))


def sign(folder: Path, **changes) -> None:
    """Change the manifest as its author could: the digest fits again."""
    manifest = {**manifest_of(folder), **changes}
    manifest["digest"] = reader.digest(manifest)
    (folder / "scorer.json").write_text(json.dumps(manifest), "utf-8")


def change_arrays(folder: Path, change) -> None:
    path = folder / "weights.npz"
    with np.load(path) as file:
        arrays = dict(file)
    change(arrays)
    packed = io.BytesIO()
    np.savez(packed, **arrays)
    path.write_bytes(packed.getvalue())
    sign(folder, weights_sha256=hashlib.sha256(packed.getvalue()).hexdigest())


def refusal(folder: Path) -> str:
    with pytest.raises(ArtefactError) as caught:
        load(folder)
    message = str(caught.value)
    assert str(folder) in message
    assert "waterfall train" in message
    return message


def rewritten(folder: Path, packed: bytes) -> None:
    (folder / "weights.npz").write_bytes(packed)
    sign(folder, weights_sha256=hashlib.sha256(packed).hexdigest())
