"""The house keeps its own promises: locks, versions, doors."""

from __future__ import annotations

import re
import subprocess
import tomllib
from pathlib import Path

import pytest

import gateway

ROOT = Path(__file__).parent.parent
_CACHES = {
    "__pycache__",
    "node_modules",
    ".pytest_cache",
    ".hypothesis",
    ".mypy_cache",
    ".ruff_cache",
}
LOCKS = ["requirements.lock", "requirements-dev.lock"]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def _pins(lock: str) -> dict[str, list[str]]:
    """Name to hashes, for each requirement of a lock file (one per environment marker)."""
    text = (ROOT / lock).read_text(encoding="utf-8").replace("\\\n", " ")
    lines = [
        line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")
    ]
    return {line.split(" --hash")[0].strip(): re.findall(r"--hash=(\S+)", line) for line in lines}


def _versions(lock: str) -> set[str]:
    return {pin.partition(";")[0].strip() for pin in _pins(lock)}


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_pins_everything_by_hash(lock: str):
    pins = _pins(lock)
    assert len(pins) > 20
    for pin, hashes in pins.items():
        assert re.match(r"[a-z0-9-]+(\[\w+\])?==\S+", pin), pin
        assert hashes, pin
        assert all(re.fullmatch(r"sha256:[0-9a-f]{64}", one) for one in hashes), pin


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_names_no_index_and_no_place(lock: str):
    text = (ROOT / lock).read_text(encoding="utf-8")
    assert not re.search(r"://|index-url|find-links|file:|\s/\w", text)


def test_what_is_tested_is_what_runs():
    """The tools' lock is the running lock and more: the same version of everything shared."""
    assert _versions(LOCKS[0]) <= _versions(LOCKS[1])


def test_every_dependency_is_locked():
    extras = PROJECT["project"]["optional-dependencies"]
    wanted = {
        *PROJECT["project"]["dependencies"],
        *extras["demo"],
        *PROJECT["build-system"]["requires"],
    }
    names = {re.split(r"[<>=;\[ ]", text)[0] for text in wanted}
    assert names <= {version.partition("==")[0] for version in _versions(LOCKS[0])}


def test_one_version_everywhere():
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    newest = next(re.finditer(r"^## \[(\d[^\]]*)\]", changelog, re.MULTILINE)).group(1)
    assert PROJECT["project"]["version"] == gateway.__version__ == newest


def test_every_refused_lint_rule_has_its_reason():
    lines = (ROOT / "pyproject.toml").read_text(encoding="utf-8").splitlines()
    start = lines.index("ignore = [") + 1
    refusals = lines[start : lines.index("]", start)]
    assert refusals
    assert [line for line in refusals if not re.match(r'  "\w+",\s+# \w', line)] == []


def test_every_door_is_explained():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    doors = set(re.findall(r"^([a-z-]+):.* ## \S", makefile, re.MULTILINE))
    promised = (
        "run test prove lint types floors unit live core-coverage mutants lock web clean help"
    )
    assert set(promised.split()) == doors
    phony = re.search(r"^\.PHONY: (.*)$", makefile, re.MULTILINE)
    assert phony
    assert doors <= set(phony.group(1).split())


def test_ci_uses_the_same_doors():
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    for door in ("make test", "make live", "make core-coverage", "make mutants"):
        assert door in script


def test_the_image_is_made_of_what_is_there():
    kept = re.findall(
        r"^!(\S+)", (ROOT / ".dockerignore").read_text(encoding="utf-8"), re.MULTILINE
    )
    packages = {"gateway", "router_models"}  # beside the wheel's tests they are installed, not here
    assert packages < set(kept)
    assert [name for name in kept if name not in packages and not (ROOT / name).exists()] == []
    dockerfile = (ROOT / "deploy" / "Dockerfile").read_text(encoding="utf-8")
    assert "--require-hashes" in dockerfile
    user = re.findall(r"^USER (\S+)", dockerfile, re.MULTILINE)[-1]
    assert user.split(":")[0] not in {"0", "root"}


def test_no_file_that_a_test_needs_is_ignored():
    """What is here and not in the repository is missing everywhere else."""
    if not (ROOT / ".git").exists():
        pytest.skip("not a checkout")
    listing = ["git", "ls-files", "--others", "--ignored", "--exclude-standard", "tests"]
    ignored = subprocess.run(listing, check=True, capture_output=True, text=True, cwd=ROOT)
    files = [Path(line) for line in ignored.stdout.splitlines()]
    assert [file for file in files if not _CACHES & set(file.parts)] == []


def test_the_image_s_config_lies_where_its_ledger_may_be_written():
    """A relative path starts from the config's folder: it must be the user's own, and kept."""
    dockerfile = (ROOT / "deploy" / "Dockerfile").read_text(encoding="utf-8")
    started = re.findall(r'^CMD \[.*"--config", "([^"]+)"\]$', dockerfile, re.MULTILINE)
    (folder,) = re.findall(r"--home-dir (\S+) --create-home", dockerfile)
    assert started == [f"{folder}/waterfall.yaml"]
    assert re.findall(r"^WORKDIR (\S+)$", dockerfile, re.MULTILINE)[-1] == folder
    assert f'VOLUME ["{folder}"]' in dockerfile
    assert f"-v ./waterfall.yaml:{folder}/waterfall.yaml:ro" in dockerfile
