"""Prove that the core's tests notice when a rule of `next_step` is wrong.

Each `rule-<number>-<what>.patch` here breaks one rule. It is applied to a copy of the gateway, the
core's tests run on that copy, and they must fail; a mutant that lives, or a patch that no longer
applies, is an error, and so is a rule without a mutant.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

HERE = Path(__file__).parent
REPOSITORY = HERE.parent.parent
RULES = range(1, 9)
COPIED = ("gateway", "tests", "pyproject.toml")
PYTEST = (sys.executable, "-m", "pytest")
# A mutant may never end: 15 s are ample for a core that takes 2.
TEST = (*PYTEST, "-q", "-x", "-p", "no:cacheprovider", "--timeout=15")
# Whoever is meant to notice is asked before all others: most mutants are gone within two seconds.
NEAREST = tuple(
    f"tests/core/test_{name}.py" for name in ("cascade", "cascade_checks", "races", "combine")
)
WHOLE = ("tests/core",)
FAILED = 1  # pytest's own word for "tests ran and some failed"


def _copy(to: Path) -> None:
    skip = shutil.ignore_patterns("__pycache__", "*.gguf")
    for name in COPIED:
        source = REPOSITORY / name
        if source.is_dir():
            shutil.copytree(source, to / name, ignore=skip)
        else:
            shutil.copy(source, to / name)


def _run(patch: Path | None) -> tuple[int, str]:
    """Run the core's tests on a copy with this patch applied: pytest's exit code and its words."""
    with tempfile.TemporaryDirectory(prefix="mutant-") as folder:
        root = Path(folder)
        _copy(root)
        if patch:
            apply = ("git", "apply", "--whitespace=nowarn", str(patch))
            done = subprocess.run(apply, cwd=root, capture_output=True, text=True, check=False)
            if done.returncode:
                return -1, f"the patch does not apply: {done.stderr.strip()}"
        code, words = _test(root, NEAREST) if patch else (0, "")
        return (code, words) if code else _test(root, WHOLE)


def _test(root: Path, places: tuple[str, ...]) -> tuple[int, str]:
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    command = (*TEST, *places)
    done = subprocess.run(
        command, cwd=root, env=environment, capture_output=True, text=True, check=False
    )
    return done.returncode, done.stdout.strip().rpartition("\n")[2]


def _missing(patches: list[Path]) -> list[str]:
    return [
        f"rule {n} has no mutant"
        for n in RULES
        if not any(patch.name.startswith(f"rule-{n}-") for patch in patches)
    ]


def main() -> int:
    """Print a line for each mutant; 0 if the tests pass unbroken and every mutant is killed."""
    patches = sorted(HERE.glob("rule-*.patch"))
    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        (code, words), *results = pool.map(_run, [None, *patches])
    if code:
        print(f"the unbroken core fails its own tests: {words}")
        return 1
    for patch, (code, words) in zip(patches, results, strict=True):
        print(f"{'killed' if code == FAILED else 'LIVES '}  {patch.stem}: {words}")
    alive = sum(code != FAILED for code, _ in results)
    missing = _missing(patches)
    print(*missing, f"{len(patches) - alive} of {len(patches)} mutants killed", sep="\n")
    return int(bool(alive or missing))


if __name__ == "__main__":
    sys.exit(main())
