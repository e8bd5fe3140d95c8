"""The proof that a storm of escalations leaves room for who asks for the large tier itself.

The small tier browns out: its first token takes longer than it may, then its breaker opens, and
all of its traffic goes to the large one, which is given so many calls at once. Meanwhile
others ask for the large tier directly. Their times are compared with those before the storm, and
with those of the same storm where nothing is set apart for them.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from loadtests.harness import Proof
from loadtests.scenario import Scenario, load, shortened
from loadtests.stage import perform

TIMES = 2.0
"""How much longer a direct request may take in the storm, at p99."""
_WITHOUT = {"reserve": "0%"}


async def prove(folder: Path, *, short: bool = False) -> Proof:
    """Run it: with the reserve, and without."""
    proof = Proof("bulkhead")
    with_it = await _report(folder, "with", {}, short=short)
    without = await _report(folder, "without", _WITHOUT, short=short)
    judge(proof, with_it, without, short=short)
    return proof


def judge(
    proof: Proof, with_it: Mapping[str, Any], without: Mapping[str, Any], *, short: bool
) -> None:
    """Compare the direct requests' times in the storm with those before it; `short` judges none."""
    base, storm = (_direct(with_it, phase) for phase in ("base", "storm"))
    for who, report in (("a fifth set apart", with_it), ("nothing set apart", without)):
        for phase in ("base", "storm"):
            of = _direct(report, phase)
            times = of["latency"]
            proof.figures[f"{who}, {phase}: direct"] = (
                f"p50 {times['p50']:.0f}, p99 {times['p99']:.0f} ms; {of['good']} of {of['sent']}"
            )
        ends = report["phases"]["storm"]["classes"]["cascade"]["ends"]
        proof.figures[f"{who}: the storm's own answers"] = ", ".join(
            f"{status}: {count:,}" for status, count in ends.items()
        )
    proof.promise(
        "every direct request is served in the storm", held=storm["good"] == storm["sent"]
    )
    if not short:
        times = storm["latency"]["p99"] / base["latency"]["p99"]
        proof.figures["direct p99 in the storm, in those before it"] = f"{times:.2f}"
        proof.promise(
            "direct p99 in the storm is at most twice that before it", held=times <= TIMES
        )


async def _report(
    folder: Path, name: str, how: Mapping[str, Any], *, short: bool
) -> dict[str, Any]:
    inside = folder / name
    inside.mkdir()
    told = load("bulkhead")
    provider = {**told.gateway["upstreams"]["provider"], **how}
    gateway = {**told.gateway, "upstreams": {"provider": provider}}
    known = {name: getattr(told, name) for name in Scenario.__slots__}
    chosen = Scenario(**{**known, "gateway": gateway})
    return await perform(shortened(chosen) if short else chosen, inside)


def _direct(report: Mapping[str, Any], phase: str) -> dict[str, Any]:
    found: dict[str, Any] = report["phases"][phase]["classes"]["direct"]
    return found
