"""A scorer kept as data: a folder of `scorer.json` and `weights.npz`, read with distrust."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, NoReturn

import numpy as np

from gateway.core import signals
from gateway.scorers import features
from gateway.scorers.arrays import beyond, read_arrays
from gateway.scorers.clusters import Clusters
from gateway.scorers.features import Array
from gateway.scorers.hashes import Hashes
from gateway.scorers.lexicon import lexicon
from gateway.scorers.linear import LinearScorer, Watch
from gateway.scorers.static import static

SCHEMA: Final = 2
"""Of the folder's layout. Another one is refused."""
MANIFEST: Final = "scorer.json"
WEIGHTS: Final = "weights.npz"
LARGEST: Final = 40_000_000
"""Bytes of a file of an artefact, and of its arrays in use."""
MOST_TERMS: Final = 25_000
MOST_CLUSTERS: Final = 512
MOST_HEADS: Final = 16
MOST_POINTS: Final = 10_000
"""Of a reference."""
MOST_SEEN: Final = 500_000
MOST_MANIFEST: Final = 4_000_000
"""Bytes."""
TERM_CAP: Final = 0.25
"""What a word or a pair of words moves a head at most, before its logistic curve."""

_NUMBER: Final = 8
"""Bytes."""
_NAME: Final = 64
"""Bytes of a term's name, on average over the most of them."""
_HIGHEST: Final = MappingProxyType(
    {"idf": 1e3, "terms": TERM_CAP, "centres": 1e3, "mean": 1e3, "heads": 1e6, "counters": 1e6}
)
"""No number of an array is beyond its own of these, or a million: nothing that is trained comes
near, and their products stay finite."""
_ANY: Final = 1e6
_STEEPEST: Final = 1e3
"""Of the kernel's sharpness, and of the cap."""

_LABEL: Final = re.compile(r"[A-Za-z0-9._-]{1,64}@[A-Za-z0-9._-]{1,32}")
_REMEDY: Final = "Restore the folder, or train it again (waterfall train)."


class ArtefactError(ValueError):
    """An artefact that cannot be trusted. The message names the file and the remedy."""


def feature_version() -> str:
    """What an artefact's weights mean: the signals' version and the features' own."""
    return f"signals-{signals.VERSION}.features-{features.VERSION}"


def digest(manifest: Mapping[str, Any]) -> str:
    """Return the SHA-256 of a manifest, its own `digest` left out."""
    body = {key: value for key, value in manifest.items() if key != "digest"}
    return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()


def read_artefact(folder: Path) -> LinearScorer:
    """Read and check an artefact.

    Raises ArtefactError when a file is missing, too large or not what was written, when the
    schema or feature version is another, when a number is not finite or absurd, a shape does not
    fit, or an array is there that should not be or is too large.
    """
    manifest = _manifest(folder / MANIFEST)
    path = folder / WEIGHTS
    packed = read_bounded(path)
    if hashlib.sha256(packed).hexdigest() != manifest.get("weights_sha256"):
        refuse(path, "is not the file that was trained: its SHA-256 differs")
    try:
        scorer = _scorer(manifest, read_arrays(packed, _sizes()))
    except Exception as error:  # noqa: BLE001 (an archive can fail to unpack in a dozen ways)
        refuse(path, f"or {MANIFEST} lacks or garbles a part: {error!r}")
    if fault := _fault(scorer):
        refuse(path, f"or {MANIFEST} {fault}")
    return scorer


def _sizes() -> dict[str, int]:
    """The most bytes that each array may have."""
    counters, dimensions = len(features.COUNTERS), static().vectors.shape[1]
    numbers = {
        "idf": MOST_TERMS,
        "terms": MOST_TERMS * MOST_HEADS,
        "mean": dimensions,
        "middle": counters,
        "scale": counters,
        "centres": MOST_CLUSTERS * (dimensions + counters),
        "heads": MOST_CLUSTERS * MOST_HEADS,
        "counters": counters * MOST_HEADS,
        "intercept": MOST_HEADS,
        "edges": 9 * counters,
        "seen": MOST_SEEN,
    }
    sizes = {name: count * _NUMBER for name, count in numbers.items()}
    return {"names": MOST_TERMS * _NAME, **sizes}


def efficiency(folder: Path) -> dict[int, float]:
    """Return what labels brought an artefact in training: their number, and the APGR on questions
    not met. Raises ArtefactError as `read_artefact` does."""
    told = _manifest(folder / MANIFEST).get("provenance") or {}
    told = told.get("efficiency") or {}
    return dict(sorted((int(labels), float(apgr)) for labels, apgr in told.items()))


def _manifest(path: Path) -> dict[str, Any]:
    manifest = read_object(path)
    if not is_schema(manifest.get("schema"), SCHEMA):
        refuse(path, f"is of schema {manifest.get('schema')!r}, this gateway reads {SCHEMA}")
    if manifest.get("features") != feature_version():
        found = manifest.get("features")
        refuse(path, f"was trained on {found!r}, this gateway measures {feature_version()!r}")
    if manifest.get("static") != static().digest:
        refuse(path, "was trained on other word vectors than this gateway has")
    if manifest.get("digest") != digest(manifest):
        refuse(path, "was changed after training: its digest differs")
    return manifest


def _scorer(manifest: Mapping[str, Any], arrays: Mapping[str, Any]) -> LinearScorer:
    """Put the parts together; raises KeyError, TypeError or ValueError for a part that is none."""
    names = arrays["names"].tobytes().split(b"\n")
    calibration = [(float(slope), float(at)) for slope, at in manifest["calibration"]]
    for what, count, most in (
        ("terms", len(names), MOST_TERMS),
        ("heads", len(calibration), MOST_HEADS),
        ("points of a reference", len(manifest["reference"]), MOST_POINTS),
        ("clusters", len(arrays["centres"]), MOST_CLUSTERS),
    ):
        if count > most:
            raise ValueError(f"there are {count:,} {what}, more than {most:,}")
    watched = {str(name): tuple(map(float, shares)) for name, shares in manifest["watched"].items()}
    parts = _parts(arrays, len(names), len(calibration), len(watched))
    idf = parts["idf"][:, None]
    weights = np.hstack([idf * parts["terms"], idf * idf])
    return LinearScorer(
        label=str(manifest["label"]),
        lexicon=lexicon(static(), names, weights, parts["mean"]),
        clusters=_clusters(manifest, parts),
        intercept=parts["intercept"],
        calibration=calibration,
        reference=[float(gain) for gain in manifest["reference"]],
        watch=Watch(tuple(map(features.COUNTERS.index, watched)), parts["edges"], watched),
        unlike_share=float(manifest["unlike_share"]),
        seen=_seen(arrays["seen"]),
    )


def _seen(hashes: Any) -> Hashes:
    if hashes.ndim != 1 or hashes.dtype != np.uint64:
        raise TypeError("seen holds 64-bit hashes")
    return Hashes(hashes.tolist())


def _clusters(manifest: Mapping[str, Any], parts: Mapping[str, Array]) -> Clusters:
    return Clusters(
        mean=parts["mean"],
        middle=parts["middle"],
        scale=parts["scale"],
        cap=float(manifest["cap"]),
        centres=parts["centres"],
        sharpness=float(manifest["sharpness"]),
        heads=parts["heads"],
        counters=parts["counters"],
        far=float(manifest["far"]),
    )


def _parts(arrays: Mapping[str, Any], terms: int, heads: int, watched: int) -> dict[str, Array]:
    """Return the arrays as floats; raises ValueError unless all are of the shape they should be."""
    clusters, counters = len(arrays["centres"]), len(features.COUNTERS)
    dimensions = static().vectors.shape[1]
    expected = {
        "idf": (terms,),
        "terms": (terms, heads),
        "mean": (dimensions,),
        "middle": (counters,),
        "scale": (counters,),
        "centres": (clusters, dimensions + counters),
        "heads": (clusters, heads),
        "counters": (counters, heads),
        "intercept": (heads,),
        "edges": (watched, 9),
    }
    if any(np.iscomplexobj(arrays[part]) for part in expected):
        raise TypeError("weights are real numbers")
    numbers = {part: np.array(arrays[part], dtype=np.float64) for part in expected}
    shapes = {part: array.shape for part, array in numbers.items()}
    if shapes != expected:
        raise ValueError(f"arrays are of shape {shapes}, not {expected}")
    for part, array in numbers.items():
        if fault := beyond(array, _HIGHEST.get(part, _ANY)):
            raise ValueError(f"{part} {fault}")
    return numbers


def _fault(scorer: LinearScorer) -> str:
    """What makes the manifest's numbers unusable, or nothing."""
    clusters, reference, words = scorer.clusters, scorer.reference, scorer.lexicon
    single = (clusters.cap, clusters.sharpness, clusters.far, scorer.unlike_share)
    shares = [share for each in scorer.watched.values() for share in each]
    bounded: dict[float, Sequence[object]] = {
        _STEEPEST: single[:2],
        _ANY: (clusters.far, *(number for curve in scorer.calibration for number in curve)),
        1.0: (scorer.unlike_share, *shares, *reference),
    }
    found = [beyond(np.array(numbers), most) for most, numbers in bounded.items()]
    if any(found):
        return max(found, key=lambda each: ("finite" in each, each))
    tables = (words.traits, words.terms, words.words, words.keys, words.pairs, clusters.centres)
    tests = {
        f"takes more than {LARGEST:,} bytes in use": sum(t.nbytes for t in tables) <= LARGEST,
        "holds a cap, sharpness or distance that is not above 0": min(single[:3]) > 0,
        "holds a scale or share that is below 0": bool(
            min(single[3:]) >= 0 and (clusters.scale >= 0).all() and min(shares, default=0) >= 0
        ),
        "holds no cluster": len(clusters.centres) > 0,
        "lacks a share for one of ten tenths": all(len(e) == 10 for e in scorer.watched.values()),
        "has fewer than two heads": len(scorer.calibration) >= 2,
        "has a calibration that falls": all(slope >= 0 for slope, _ in scorer.calibration),
        "has a reference that falls, or is too short": len(reference) >= 2
        and all(low <= high for low, high in pairwise(reference)),
        "has a label that is not name@version": bool(_LABEL.fullmatch(scorer.label)),
    }
    return next((fault for fault, passed in tests.items() if not passed), "")


def is_schema(said: object, schema: int) -> bool:
    """Is this the number of a schema, and not only equal to it as 2.0 is, or true?"""
    return type(said) is int and said == schema


def read_bounded(path: Path, remedy: str = _REMEDY, most: int | None = None) -> bytes:
    """Read a file of at most `most` bytes (else LARGEST). Raises ArtefactError."""
    most = LARGEST if most is None else most
    try:
        with path.open("rb") as file:
            content = file.read(most + 1)
    except OSError as error:
        refuse(path, f"cannot be read: {error.strerror}", remedy)
    if len(content) > most:
        refuse(path, f"is larger than {most:,} bytes", remedy)
    return content


def read_object(path: Path, remedy: str = _REMEDY) -> dict[str, Any]:
    """Read a JSON object. Raises ArtefactError."""
    text = read_bounded(path, remedy, MOST_MANIFEST)
    try:
        manifest = json.loads(text)
    except (ValueError, RecursionError) as error:
        refuse(path, f"is not JSON: {error}", remedy)
    if not isinstance(manifest, dict):
        refuse(path, "is not a JSON object", remedy)
    return manifest


def refuse(path: Path, fault: str, remedy: str = _REMEDY) -> NoReturn:
    """Raise ArtefactError with the file, its fault and what to do."""
    raise ArtefactError(f"{path} {fault}. {remedy}")
