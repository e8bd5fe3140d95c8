"""How a proof is told to whoever ran it."""

from __future__ import annotations

from loadtests.harness import Proof


def show(proof: Proof) -> None:
    """Print the figures, the promises, and what broke them."""
    for what, figure in proof.figures.items():
        print(f"  {what:<62} {figure}")
    for sentence, held in proof.promises:
        print(f"  {'kept  ' if held else 'BROKEN'} {sentence}")
    for fault in proof.faults:
        print(f"    {fault}")
