"""A combiner's file: written, read back, and refused when anything about it is not sound."""

from __future__ import annotations

import json

import pytest

from gateway.config import ConfigError
from gateway.config.combiner_file import FILE, CombinerError, digest, read_combiner, write_combiner
from gateway.core.combine import Combiner, Curve, Stage

FREE = Stage(
    Curve(0.5, 1.0, 0.25, {"sums": 0.5}, {"sums": -0.5}), Curve(2, 0, 0, {"sums": 0}, {"sums": 0})
)
ASKED = Stage(
    Curve(0.1, 0, 0, {"sums": 1, "second": 2}, {"sums": 0, "second": 0}),
    Curve(0.2, 0, 0, {"sums": 1, "second": 2}, {"sums": 0, "second": 0}),
)
COMBINER = Combiner("pair@1", ("sums",), ("second",), (FREE, ASKED), {"second": (0.3, 0.9)})


@pytest.fixture
def written(tmp_path):
    return write_combiner(tmp_path / "combiner", COMBINER, {"n": 650, "ece": 0.02})


def change(path, edit, *, sign=True):
    manifest = json.loads(path.read_text())
    edit(manifest)
    if sign:
        manifest["digest"] = digest(manifest)
    path.write_text(json.dumps(manifest))


def test_it_is_there_and_back(written):
    assert read_combiner(written) == COMBINER
    assert json.loads(written.read_text())["provenance"] == {"n": 650, "ece": 0.02}


def at(*steps, to):
    def edit(manifest):
        here = manifest
        for step in steps[:-1]:
            here = here[step]
        here[steps[-1]] = to

    return edit


FAULTS = {
    "another schema": (at("schema", to=2), "was made as"),
    "other features": (at("features", to="log-odds-2"), "was made as"),
    "a key too many": (at("more", to=1), "has other keys than"),
    "a garbled stage": (at("stages", 0, to={"own": 1, "next": 2}), "garbles a part"),
    "a weight that is no number": (at("stages", 0, "own", "offset", to="1"), "garbles a part"),
    "a weight that is not finite": (at("stages", 0, "own", "prior", to=float("inf")), "garbles"),
    "a truth for a weight": (at("stages", 0, "own", "prior", to=True), "garbles a part"),
    "a curve's key": (at("stages", 0, "own", "other", to=1.0), "garbles a part"),
    "names that are none": (at("free", to="sums"), "garbles a part"),
    "a label": (at("label", to="pair"), "name@version"),
    "a check twice": (at("paid", to=["sums"]), "names a check twice"),
    "a stage missing": (at("stages", to=[]), "has not one stage more"),
    "a check missing": (at("stages", 1, "own", "said", to={"sums": 1.0}), "other checks than"),
    "a band of no check": (at("bands", "third", to=[0, 1]), "has a band that"),
    "a band upside down": (at("bands", "second", to=[0.9, 0.3]), "has a band that"),
    "a band over 1": (at("bands", "second", to=[0.9, 1.3]), "has a band that"),
}  # fmt: skip


@pytest.mark.parametrize(("edit", "says"), FAULTS.values(), ids=FAULTS)
def test_what_is_not_sound_is_refused(written, edit, says):
    change(written, edit)
    with pytest.raises(CombinerError, match=says) as caught:
        read_combiner(written)
    assert str(written) in str(caught.value)
    assert "waterfall tune" in str(caught.value)


def test_what_was_tampered_with_is_refused(written):
    change(written, at("stages", 0, "own", "offset", to=9.0), sign=False)
    with pytest.raises(CombinerError, match="its digest differs"):
        read_combiner(written)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "is not JSON"),
        ("[" * 100_000, "is not JSON"),
        ("[]", "is not a JSON object"),
        (" " * 1_000_001, "is larger than"),
    ],
)
def test_what_is_no_manifest_is_refused(tmp_path, text, says):
    path = tmp_path / FILE
    path.write_text(text)
    with pytest.raises(CombinerError, match=says):
        read_combiner(path)


def test_one_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(CombinerError, match="cannot be read"):
        read_combiner(tmp_path / FILE)


# --------------------------------------------------------------------------- in a configuration


@pytest.fixture
def fitting(tmp_path):
    """A combiner of checks that there are."""
    weights = {"logprob": 1.0}
    stage = Stage(Curve(0, 1, 0, weights, weights), Curve(1, 0, 0, weights, weights))
    return write_combiner(tmp_path / "combiner", Combiner("own@1", ("logprob",), (), (stage,)), {})


def with_bar(small, bar):
    return small.replace("model: tiny", f"model: tiny, bar: {{{bar}}}")


@pytest.mark.parametrize("named", ["combiner", "combiner/combiner.json"])
def test_a_bar_names_its_combiner_or_its_folder(read, small, fitting, named):
    settings = read(with_bar(small, f"confidence: {named}, checks: [logprob]"))
    assert settings.tiers["small"].bar.combiner == read_combiner(fitting)
    assert any(path in {fitting, fitting.parent} for path in settings.files)


def refused(read, text):
    with pytest.raises(ConfigError) as caught:
        read(text)
    return str(caught.value)


def test_a_bar_must_put_the_checks_that_it_was_fitted_to(read, small, fitting):
    said = refused(read, with_bar(small, "confidence: combiner"))
    assert "own@1 was fitted to checks that the bar does not put: logprob" in said


def test_one_that_is_missing_or_unsound_is_a_problem_of_the_file(read, small, fitting):
    assert "no such folder" in refused(read, with_bar(small, "confidence: nowhere"))
    assert "no such file" in refused(read, with_bar(small, "confidence: nowhere.json"))
    change(fitting, at("label", to="other@1"), sign=False)
    said = refused(read, with_bar(small, "confidence: combiner, checks: [logprob]"))
    assert "tiers.small.bar.confidence" in said
    assert "its digest differs" in said


def test_brevity_goes_with_a_combiner_only(read, small):
    said = refused(read, with_bar(small, "checks: [brevity]"))
    assert "says nothing without bar.confidence" in said
