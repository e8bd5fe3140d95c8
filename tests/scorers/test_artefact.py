"""An artefact is read with distrust: whatever is not as it was trained is refused by name."""

from __future__ import annotations

import hashlib
import json

import numpy as np
import pytest
from scorers.spoiling import DEFAULT, change_arrays, manifest_of, refusal, rewritten, sign

from gateway.core.signals import Signals
from gateway.scorers import artefact as reader
from gateway.scorers import load

SMALL_ENOUGH = 3_000_000
FLOATS = "idf terms mean middle scale centres heads counters intercept edges".split()


def test_a_copy_scores_as_the_original(folder):
    signals = Signals(text="What is the sum of 47 and 38?", prompt_chars=29, turns=1)
    assert load(folder).score(signals) == load(DEFAULT).score(signals)


def test_the_shipped_one_is_small_and_says_where_it_is_from():
    size = sum(path.stat().st_size for path in DEFAULT.iterdir())
    assert size < SMALL_ENOUGH
    assert manifest_of(DEFAULT)["provenance"]["rows"] > 10_000
    card = (DEFAULT / "card.md").read_text("utf-8")
    for word in (
        "RouteLLM",
        "ZeroEval",
        "does not transfer",
        "Apache-2.0",
        "after the other sources alone",
    ):
        assert word in card


@pytest.mark.parametrize("name", ["scorer.json", "weights.npz"])
def test_a_missing_file_is_named(folder, name):
    (folder / name).unlink()
    assert f"{name} cannot be read" in refusal(folder)


def test_one_changed_byte_of_the_weights_is_noticed(folder):
    path = folder / "weights.npz"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    assert "weights.npz is not the file that was trained" in refusal(folder)


def test_a_changed_calibration_is_noticed(folder):
    manifest = manifest_of(folder)
    manifest["calibration"][0][0] *= 2
    (folder / "scorer.json").write_text(json.dumps(manifest), "utf-8")
    assert "changed after training" in refusal(folder)


@pytest.mark.parametrize("schema", [0, 1, 3, "2", None, 2.0])
def test_another_schema_is_refused(folder, schema):
    sign(folder, schema=schema)
    assert f"is of schema {schema!r}, this gateway reads 2" in refusal(folder)


def test_another_version_of_the_features_is_refused(folder, monkeypatch):
    assert load(folder)
    monkeypatch.setattr("gateway.core.signals.VERSION", 999)
    assert "this gateway measures 'signals-999.features-" in refusal(folder)


@pytest.mark.parametrize("text", ["", "{", "[1]", "null", "[" * 100_000, '"scorer"'])
def test_what_is_no_manifest_is_refused(folder, text):
    (folder / "scorer.json").write_text(text, "utf-8")
    assert "scorer.json is not" in refusal(folder)


def test_an_oversized_file_is_refused(folder, monkeypatch):
    monkeypatch.setattr(reader, "LARGEST", 1000)
    assert "larger than 1,000 bytes" in refusal(folder)


def test_what_is_no_archive_is_refused(folder):
    (folder / "weights.npz").write_bytes(b"no archive")
    sign(folder, weights_sha256=hashlib.sha256(b"no archive").hexdigest())
    assert "lacks or garbles a part" in refusal(folder)


@pytest.mark.parametrize(
    "array",
    ["names", "seen", "idf", "terms", "mean", "middle", "scale", "centres", "heads", "intercept"],
)
def test_a_missing_array_is_refused(folder, array):
    change_arrays(folder, lambda arrays: arrays.pop(array))
    assert array in refusal(folder)


@pytest.mark.parametrize("array", FLOATS)
def test_a_wrong_shape_is_refused(folder, array):
    def cut(arrays):
        arrays[array] = arrays[array][:-1]

    change_arrays(folder, cut)
    assert "arrays are of shape" in refusal(folder)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("array", FLOATS)
def test_a_number_that_is_none_is_refused(folder, array, bad):
    def spoil(arrays):
        arrays[array] = arrays[array].copy()
        arrays[array].flat[0] = bad

    change_arrays(folder, spoil)
    assert "not finite" in refusal(folder)


def test_an_array_of_objects_is_refused(folder):
    def objects(arrays):
        arrays["idf"] = arrays["idf"].astype(object)

    change_arrays(folder, objects)
    assert "lacks or garbles a part" in refusal(folder)


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"cap": 0}, "cap, sharpness or distance that is not above 0"),
        ({"sharpness": -1.0}, "cap, sharpness or distance that is not above 0"),
        ({"far": 0}, "cap, sharpness or distance that is not above 0"),
        ({"unlike_share": -0.1}, "scale or share that is below 0"),
        ({"watched": {"chars": [0.1] * 10}}, "arrays are of shape"),
        ({"watched": 3}, "lacks or garbles a part"),
        ({"static": "0" * 64}, "other word vectors"),
        ({"cap": float("nan")}, "not finite"),
        ({"cap": None}, "lacks or garbles a part"),
        ({"calibration": [[1.0, 0.0]]}, "arrays are of shape"),
        ({"calibration": [[1.0, 0.0], [-1.0, 0.0]]}, "calibration that falls"),
        ({"calibration": [[1.0, 0.0], [float("inf"), 0.0]]}, "not finite"),
        ({"calibration": 7}, "lacks or garbles a part"),
        ({"reference": []}, "too short"),
        ({"reference": [0.5]}, "too short"),
        ({"reference": [0.5, 0.1]}, "reference that falls"),
        ({"reference": [0.5, float("nan")]}, "not finite"),
        ({"cap": 1e4}, "beyond 1000"),
        ({"sharpness": 1e308}, "beyond 1000"),
        ({"far": 1e308}, "beyond 1e+06"),
        ({"unlike_share": 1.5}, "beyond 1"),
        ({"calibration": [[1e300, 0.0], [1.0, 0.0]]}, "beyond 1e+06"),
        ({"reference": [0.5, 1.5]}, "beyond 1"),
        ({"reference": [i * 1e-6 for i in range(10_001)]}, "more than 10,000"),
        ({"label": "default"}, "not name@version"),
        ({"label": "a\r\nb@1"}, "not name@version"),
    ],
)
def test_a_manifest_that_cannot_be_used_is_refused(folder, change, fault):
    sign(folder, **change)
    assert fault in refusal(folder)


def test_one_head_is_no_cascade(folder):
    def single(arrays):
        for name in ("terms", "heads", "counters", "intercept"):
            arrays[name] = arrays[name][..., :1]

    change_arrays(folder, single)
    sign(folder, calibration=[[1.0, 0.0]])
    assert "fewer than two heads" in refusal(folder)


@pytest.mark.parametrize("at", [60, 300, 1200])
def test_an_archive_that_does_not_unpack_is_refused(folder, at):
    packed = bytearray((folder / "weights.npz").read_bytes())
    packed[at : at + 40] = bytes(40)
    rewritten(folder, bytes(packed))
    refusal(folder)


@pytest.mark.parametrize("packed", [b"", b"PK\x05\x06" + bytes(18)])
def test_an_empty_archive_is_refused(folder, packed):
    rewritten(folder, packed)
    refusal(folder)


def test_weights_that_overflow_together_are_refused(folder):
    def blow_up(arrays):
        arrays["terms"] = np.full_like(arrays["terms"], 1e308, dtype=np.float64)
        arrays["idf"] = np.full_like(arrays["idf"], 1e308, dtype=np.float64)

    change_arrays(folder, blow_up)
    refusal(folder)


def test_complex_weights_are_refused(folder):
    change_arrays(folder, lambda arrays: arrays.update(mean=arrays["mean"] + 1j))
    refusal(folder)
