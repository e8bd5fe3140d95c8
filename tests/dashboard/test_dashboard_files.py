"""The dashboard's files: built of their sources, self-contained, and nobody's business but ours."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path

import pytest

import gateway

ROOT = Path(__file__).resolve().parents[2]
BUILT = Path(gateway.__file__).parent / "dashboard" / "page"
WEB = ROOT / "gateway" / "dashboard" / "web"


def sources():
    files = (path for path in WEB.rglob("*") if path.is_file())
    names = (path.relative_to(WEB) for path in files)
    return sorted(
        name.as_posix()
        for name in names
        if not any(part == "node_modules" or part.startswith(".") for part in name.parts)
    )


def test_what_is_built_is_built_of_these_sources():
    """`make web` and commit what it makes, if this fails."""
    whole = hashlib.sha256()
    for name in sources():
        whole.update(name.encode() + b"\0" + (WEB / name).read_bytes() + b"\0")
    assert json.loads((BUILT / "source.json").read_text())["sources"] == whole.hexdigest()


def test_the_page_names_only_files_that_are_there():
    page = (BUILT / "index.html").read_text()
    named = re.findall(r'(?:src|href)="([^"]+)"', page)
    assert len(named) == 3
    assert all(name.startswith("./assets/") for name in named)
    assert {Path(name).name for name in named} == {each.name for each in BUILT.glob("assets/*")}


def test_nothing_of_it_comes_from_elsewhere_or_is_made_into_markup():
    for path in BUILT.rglob("*.*"):
        text = path.read_text()
        places = {*re.findall(r"https?://[^\s\"'`<>)]+", text)}
        assert places <= {"http://www.w3.org/2000/svg"}, path.name
        for risky in ("innerHTML", "outerHTML", "insertAdjacent", "document.write", "eval("):
            assert risky not in text, (path.name, risky)
    assert "<script>" not in (BUILT / "index.html").read_text()
    assert " style=" not in (BUILT / "index.html").read_text()


def test_the_lock_names_no_registry():
    lock = json.loads((WEB / "package-lock.json").read_text())
    assert all("resolved" not in each for each in lock["packages"].values())
    wanted = json.loads((WEB / "package.json").read_text())["devDependencies"]
    assert all(re.fullmatch(r"\d+\.\d+\.\d+", version) for version in wanted.values())


@pytest.mark.parametrize("folder", [WEB], ids=lambda folder: folder.name)
def test_every_source_fits_its_room(folder: Path):
    sizes = {name: len((folder / name).read_text().splitlines()) for name in sources()}
    long = {name: size for name, size in sizes.items() if size > 320}
    assert set(long) <= {"package-lock.json"}
