"""An artefact made to do harm: nothing that it says of its own size or weights is believed."""

from __future__ import annotations

import io
import shutil
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pytest
from scorers.spoiling import DEFAULT, change_arrays, refusal, rewritten, sign

from gateway.scorers import artefact as reader


@pytest.mark.parametrize(
    ("array", "value"),
    [("terms", 0.26), ("terms", -0.26), ("idf", 1e4), ("centres", 1e200), ("mean", 1e300),
     ("heads", 1e300), ("counters", 1e308), ("intercept", -1e7), ("edges", 1e7), ("scale", 1e7),
     ("middle", 1e7)],
)  # fmt: skip
def test_a_number_that_nothing_trained_comes_near_is_refused(folder, array, value):
    def spoil(arrays):
        arrays[array] = arrays[array].copy()
        arrays[array].flat[0] = value

    change_arrays(folder, spoil)
    assert f"{array} holds a number beyond" in refusal(folder)


def hostile(folder: Path, write) -> str:
    """Give the archive another member, as its author could; return the refusal."""
    packed = io.BytesIO((folder / "weights.npz").read_bytes())
    with zipfile.ZipFile(packed, "a", zipfile.ZIP_DEFLATED) as archive:
        write(archive)
    rewritten(folder, packed.getvalue())
    return refusal(folder)


def test_an_array_that_should_not_be_there_is_not_even_unpacked(folder, monkeypatch):
    def bomb(archive):
        archive.writestr("more.npy", bytes(200_000_000))

    tracemalloc.start()
    try:
        told = hostile(folder, bomb)
        tracemalloc.reset_peak()
        refusal(folder)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert "13 arrays, more than the 12" in told
    assert peak < 100_000_000
    with pytest.warns(UserWarning, match="Duplicate"):
        assert "13 arrays" in hostile(
            Path(shutil.copytree(DEFAULT, folder.with_name("twice"))),
            lambda archive: archive.writestr("seen.npy", b""),
        )


@pytest.mark.parametrize(
    ("array", "grown", "told"),
    [
        ("centres", lambda a: np.resize(a, (20_000, a.shape[1])), "centres is larger than"),
        ("centres", lambda a: np.resize(a, (515, a.shape[1])), "515 clusters, more than 512"),
        ("seen", lambda a: np.arange(1_000_000, dtype=np.uint64), "seen is larger than"),
        ("heads", lambda a: np.resize(a, (len(a), 400)), "heads is larger than"),
        ("names", lambda a: np.full(3_000_000, 97, np.uint8), "names is larger than"),
        ("names", lambda a: np.full(25_000, 10, np.uint8), "25,001 terms, more than 25,000"),
    ],
)
def test_an_array_too_large_to_be_of_use_is_refused(folder, array, grown, told):
    change_arrays(folder, lambda arrays: arrays.update({array: grown(arrays[array])}))
    assert told in refusal(folder)


@pytest.mark.parametrize(
    ("header", "told"),
    [
        ({"descr": "<f8", "fortran_order": False, "shape": (10**12,)}, "its header tells of"),
        ({"descr": "<f8", "fortran_order": False, "shape": (-1, -1)}, "its header tells of"),
        ({"descr": "|O", "fortran_order": False, "shape": (1,)}, "its header tells of"),
    ],
)
def test_a_header_that_promises_too_much_is_refused(folder, header, told):
    lying = io.BytesIO()
    np.lib.format.write_array_header_1_0(lying, header)
    packed, source = io.BytesIO(), zipfile.ZipFile(folder / "weights.npz")
    with source, zipfile.ZipFile(packed, "w") as archive:
        for name in source.namelist():
            content = lying.getvalue() + bytes(8) if name == "seen.npy" else source.read(name)
            archive.writestr(name, content)
    rewritten(folder, packed.getvalue())
    assert told in refusal(folder)


@pytest.mark.parametrize("packing", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_packing_without_bounds_is_refused(folder, packing):
    packed, source = io.BytesIO(), zipfile.ZipFile(folder / "weights.npz")
    with source, zipfile.ZipFile(packed, "w", packing) as archive:
        for name in source.namelist():
            archive.writestr(name, source.read(name))
    rewritten(folder, packed.getvalue())
    assert "packed in a way that is not read" in refusal(folder)


def test_words_that_would_take_too_much_in_use_are_refused(folder, monkeypatch):
    monkeypatch.setattr(reader, "LARGEST", 4_000_000)
    assert "takes more than 4,000,000 bytes in use" in refusal(folder)


@pytest.mark.parametrize("kind", [np.float64, np.int64, "S8"])
def test_hashes_of_another_kind_are_refused(folder, kind):
    change_arrays(folder, lambda arrays: arrays.update(seen=arrays["seen"].astype(kind)))
    assert "seen holds 64-bit hashes" in refusal(folder)


def test_a_long_manifest_is_refused(folder):
    sign(folder, provenance={"told": "x" * 4_000_000})
    assert "larger than 4,000,000 bytes" in refusal(folder)
