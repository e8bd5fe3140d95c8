"""The proofs that are programs of their own: cancellation churn, property tests, the demo."""

from __future__ import annotations

import asyncio
import json
import os
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from loadtests.harness import ROOT, Proof, ProofError

_COUNTS = re.compile(r"- (\d+) passing, (\d+) failing")
_WITHIN = 1200.0


async def _run(
    command: Sequence[str], cwd: Path = ROOT, env: Mapping[str, str] | None = None
) -> tuple[int, str]:
    """Run a program to its end; return its exit code and everything it wrote."""
    child = await asyncio.create_subprocess_exec(
        *command,
        cwd=cwd,
        env={**os.environ, **(env or {})},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        async with asyncio.timeout(_WITHIN):
            said, _ = await child.communicate()
    except TimeoutError:
        child.kill()
        await child.wait()
        raise ProofError(f"{' '.join(command)} took over {_WITHIN:g} s") from None
    return child.returncode or 0, said.decode("utf-8", "replace")


async def churn(folder: Path, cancels: int = 20_000) -> Proof:
    """Cancel thousands of calls of the upstream client, on both event loops; look what is left."""
    del folder
    proof = Proof("churn")
    for loop in ("uvloop", "asyncio"):
        command = [sys.executable, "-m", "loadtests.churn", "--cancels", str(cancels)]
        code, said = await _run([*command, "--loop", loop])
        figures = _last_json(said)
        stages = figures["cancelled"]
        where = ", ".join(f"{stages.get(s, 0):,} {w}" for s, w in _STAGES.items())
        proof.figures[f"{loop}: calls cancelled"] = f"{sum(stages.values()):,} ({where})"
        proof.figures[f"{loop}: plain calls that work afterwards, of 10"] = str(
            figures["plain_calls_served"]
        )
        proof.figures[f"{loop}: left waiting, busy, tasks, file descriptors"] = ", ".join(
            str(figures[name]) for name in ("waiting", "busy", "tasks_left", "fds_left")
        )
        proof.figures[f"{loop}: cancel to upstream closed"] = (
            f"p50 {figures['close_ms_p50']:.2f}, p99 {figures['close_ms_p99']:.2f}, "
            f"max {figures['close_ms_max']:.2f} ms (n = {figures['closes_seen']:,})"
        )
        proof.promise(f"{loop}: the pool is as good as new", held=code == 0)
        proof.promise(
            f"{loop}: a cancel closes the upstream within 100 ms (p99)",
            held=figures["close_ms_p99"] < 100,
        )
    return proof


_STAGES = {"before": "waiting or connecting", "head": "before the head", "body": "in the body"}


def _last_json(said: str) -> dict[str, Any]:
    for line in reversed(said.splitlines()):
        if line.startswith("{"):
            return dict(json.loads(line))
    raise ProofError(f"no figures:\n{said[-2000:]}")


async def properties(folder: Path, profile: str = "prove") -> Proof:
    """Run the property tests with many examples, half of them on each of two cores."""
    tests = ROOT / "tests" / "properties"
    if not tests.is_dir():
        raise ProofError("there is no tests/properties")
    del folder
    python = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:randomly"]
    env = {"HYPOTHESIS_PROFILE": profile, "PYTEST_ADDOPTS": ""}
    _, listed = await _run([*python, "--collect-only", "-m", "not live", str(tests)], env=env)
    ids = [line for line in listed.splitlines() if "::" in line]
    more = ["--timeout=1200", "--hypothesis-show-statistics"]
    halves = [ids[place::2] for place in range(min(2, len(ids)))]
    done = await asyncio.gather(*(_run([*python, *more, *half], env=env) for half in halves))
    counts = [(int(a), int(b)) for _, said in done for a, b in _COUNTS.findall(said)]
    proof = Proof("properties")
    proof.figures["property tests"] = str(len(ids))
    proof.figures["examples tried"] = f"{sum(map(sum, counts)):,}"
    proof.promise("every property holds", held=bool(counts) and not any(code for code, _ in done))
    proof.faults += [said[-3000:] for code, said in done if code]
    return proof


async def demo(folder: Path) -> Proof:
    """Run the demo with its real models, as `make run ARGS=--exit` does, and judge its table."""
    command = [sys.executable, "-m", "gateway", "demo", "--exit"]
    code, said = await _run(command, folder, {"PYTHONPATH": str(ROOT), "COLUMNS": "160"})
    proof = Proof("demo")
    if code:
        raise ProofError(f"the demo ended with {code}\n{said[-2000:]}")
    tell_demo(proof, said)
    return proof


def tell_demo(proof: Proof, said: str) -> None:
    """Judge what the demo printed by what is promised of it. Raises ProofError without a table."""
    rows = {row["run"]: row for row in map(re.Match.groupdict, _ROW.finditer(said))}
    asked = re.search(r"([\d,]+) questions", said)
    if asked is None or not set(_RUNS) <= rows.keys():
        raise ProofError(f"no table in what the demo said:\n{said[-3000:]}")
    for name, row in rows.items():
        told = (
            f"{row['right']} % right (± {row['give']}), ${row['cost']}, {row['share']} % of large"
        )
        proof.figures[name] = f"{told}, p50 {row['p50']} ms, p95 {row['p95']} ms"
    right = {name: float(row["right"]) for name, row in rows.items()}
    share = int(rows["waterfall"]["share"])
    plain, small, large, fall = (right[name] for name in _RUNS)
    proof.figures["one change of the small tier's recipe"] = f"{small - plain:+.1f} points"
    proof.promise("at least 1,000 questions", held=int(asked[1].replace(",", "")) >= 1000)
    proof.promise("all-large at least 90 % right", held=large >= 90)
    proof.promise("all-small at least 15 points lower", held=small <= large - 15)
    proof.promise("the waterfall within 1 point of all-large", held=fall >= large - 1)
    proof.promise("at no more than 70 % of its cost, drafts included", held=share <= 70)
    proof.promise("the recipe's change moves the accuracy", held=small != plain)


_RUNS = ("small, plain recipe", "small, better recipe", "large alone", "waterfall")
_ROW = re.compile(
    r"^ *(?P<run>[a-z][a-z, ]+?) +(?P<right>[\d.]+)% ±(?P<give>[\d.]+) +\$(?P<cost>[\d.]+) +"
    r"(?P<share>\d+)% +(?P<up>-|\d+%) +(?P<p50>\d+) ms +(?P<p95>\d+) ms *$",
    re.MULTILINE,
)
