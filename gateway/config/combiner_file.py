"""A combiner's file to a core Combiner, and back: data, read strictly, refused when changed."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from math import isfinite
from pathlib import Path
from typing import Any, Final, NoReturn

from gateway.core.combine import SURE, Combiner, Curve, Stage

FILE: Final = "combiner.json"
SCHEMA: Final = 1
"""Of the file's layout. Another one is refused."""
FEATURES: Final = f"log-odds-1.sure-{SURE}"
"""What the weights are of."""
_LARGEST: Final = 1_000_000
_LABEL: Final = re.compile(r"[A-Za-z0-9._-]{1,64}@[A-Za-z0-9._-]{1,32}")
_KEYS: Final = {
    "schema", "features", "label", "free", "paid", "stages", "bands", "provenance", "digest"
}  # fmt: skip
_CURVE: Final = {"offset", "prior", "centre", "said", "silent"}


class CombinerError(ValueError):
    """A combiner that cannot be trusted. The message names the file, its fault and the remedy."""


def digest(manifest: Mapping[str, Any]) -> str:
    """Return the SHA-256 of a manifest, its own `digest` left out."""
    body = {key: value for key, value in manifest.items() if key != "digest"}
    return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()


def write_combiner(folder: Path, combiner: Combiner, provenance: Mapping[str, Any]) -> Path:
    """Write a combiner, and where it is from, into a folder; returns the file."""
    manifest: dict[str, Any] = {
        "schema": SCHEMA,
        "features": FEATURES,
        "label": combiner.label,
        "free": list(combiner.free),
        "paid": list(combiner.paid),
        "stages": [{"own": _told(each.own), "next": _told(each.next)} for each in combiner.stages],
        "bands": {check: list(band) for check, band in combiner.bands.items()},
        "provenance": dict(provenance),
    }
    manifest["digest"] = digest(manifest)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / FILE
    path.write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")
    return path


def _told(curve: Curve) -> dict[str, Any]:
    return {
        "offset": curve.offset,
        "prior": curve.prior,
        "centre": curve.centre,
        "said": dict(curve.said),
        "silent": dict(curve.silent),
    }


def read_combiner(path: Path) -> Combiner:
    """Read and check a combiner's file.

    Raises CombinerError when it is missing, too large, no JSON, of another schema or features, not
    what was written, or holds a part that is none.
    """
    manifest = _object(path)
    wanted = {"schema": SCHEMA, "features": FEATURES}
    found = {key: manifest.get(key) for key in wanted}
    if found != wanted:
        _refuse(path, f"was made as {found}, this gateway reads {wanted}")
    if manifest.get("digest") != digest(manifest):
        _refuse(path, "was changed after it was fitted: its digest differs")
    if manifest.keys() != _KEYS:
        _refuse(path, f"has other keys than {', '.join(sorted(_KEYS))}")
    try:
        combiner = _combiner(manifest)
    except (TypeError, ValueError, KeyError, AttributeError) as error:
        _refuse(path, f"lacks or garbles a part: {error!r}")
    if fault := _fault(combiner):
        _refuse(path, fault)
    return combiner


def _object(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            text = file.read(_LARGEST + 1)
    except OSError as error:
        _refuse(path, f"cannot be read: {error.strerror}")
    if len(text) > _LARGEST:
        _refuse(path, f"is larger than {_LARGEST:,} bytes")
    try:
        manifest = json.loads(text)
    except (ValueError, RecursionError) as error:
        _refuse(path, f"is not JSON: {error}")
    if not isinstance(manifest, dict):
        _refuse(path, "is not a JSON object")
    return manifest


def _combiner(manifest: Mapping[str, Any]) -> Combiner:
    """Put the parts together; raises KeyError, TypeError or ValueError for a part that is none."""
    return Combiner(
        label=str(manifest["label"]),
        free=_names(manifest["free"]),
        paid=_names(manifest["paid"]),
        stages=tuple(
            Stage(own=_curve(stage["own"]), next=_curve(stage["next"]))
            for stage in manifest["stages"]
        ),
        bands={
            check: (_number(low), _number(high)) for check, (low, high) in manifest["bands"].items()
        },
    )


def _names(names: Sequence[Any]) -> tuple[str, ...]:
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise TypeError(f"{names!r} is no list of names")
    return tuple(names)


def _curve(told: Mapping[str, Any]) -> Curve:
    if told.keys() != _CURVE:
        raise ValueError(f"a curve has {', '.join(sorted(_CURVE))}")
    offset, prior, centre = (_number(told[key]) for key in ("offset", "prior", "centre"))
    said, silent = (
        {str(check): _number(weight) for check, weight in told[key].items()}
        for key in ("said", "silent")
    )
    return Curve(offset, prior, centre, said, silent)


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not isfinite(value):
        raise ValueError(f"{value!r} is no number")
    return float(value)


def _fault(combiner: Combiner) -> str:
    """What makes the parts unusable together, or nothing."""
    free, paid, stages = combiner.free, combiner.paid, combiner.stages
    fits = all(
        curve.said.keys() == curve.silent.keys() == {*free, *paid[:bought]}
        for bought, stage in enumerate(stages)
        for curve in (stage.own, stage.next)
    )
    tests = {
        "has a label that is not name@version": bool(_LABEL.fullmatch(combiner.label)),
        "names a check twice": len({*free, *paid}) == len(free) + len(paid),
        "has not one stage more than paid checks": len(stages) == len(paid) + 1,
        "has a curve of other checks than its stage's": fits,
        "has a band that is not of a paid check, or not from 0 to 1": combiner.bands.keys()
        <= set(paid)
        and all(0 <= low <= high <= 1 for low, high in combiner.bands.values()),
    }
    return next((fault for fault, passed in tests.items() if not passed), "")


def _refuse(path: Path, fault: str) -> NoReturn:
    remedy = "Restore the file, or fit it again (waterfall tune --out)."
    raise CombinerError(f"{path} {fault}. {remedy}")
