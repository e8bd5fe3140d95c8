"""A shelf: what is in force on it is what is loaded, and nothing else."""

from __future__ import annotations

import shutil

import pytest
from sample_outcomes import quick_artefact

from gateway.core.signals import Signals
from gateway.scorers import ArtefactError, load, resolve
from gateway.scorers.shelf import in_force, is_shelf


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    return quick_artefact(tmp_path_factory.mktemp("plain") / "one", "one@1", n=60)


@pytest.fixture
def shelf(plain, tmp_path):
    for name in ("one@1", "two@2"):
        shutil.copytree(plain, tmp_path / name)
    (tmp_path / "in-force").write_text("one@1\n")
    return tmp_path


def test_what_is_in_force_is_loaded(shelf, plain):
    assert is_shelf(shelf)
    assert not is_shelf(plain)
    assert resolve(shelf) == shelf / "one@1"
    assert resolve(plain) == plain
    asked = Signals(text="What is 2 + 2?", turns=1)
    assert load(shelf).score(asked) == load(plain).score(asked)
    (shelf / "in-force").write_text("two@2")
    assert in_force(shelf) == "two@2"
    shutil.rmtree(shelf / "one@1")
    assert load(shelf).score(asked) == load(plain).score(asked)


@pytest.mark.parametrize(
    ("written", "said"),
    [
        (b"three@3", "names 'three@3', which is not on the shelf"),
        (b"", "must hold the name"),
        (b"../one@1", "must hold the name"),
        (b".", "must hold the name"),
        (b"one@1/../two@2", "must hold the name"),
        (b"\xff\xfe", "must hold the name"),
        (b"x" * 5000, "must hold the name"),
    ],
)
def test_what_names_nothing_is_refused(shelf, written, said):
    (shelf / "in-force").write_bytes(written)
    with pytest.raises(ArtefactError, match="in-force") as caught:
        load(shelf)
    assert said in str(caught.value)


def test_an_artefact_on_it_is_distrusted_like_any_other(shelf):
    (shelf / "one@1" / "scorer.json").write_text("{")
    with pytest.raises(ArtefactError, match=r"scorer\.json is not JSON"):
        load(shelf)
