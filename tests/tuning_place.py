"""A folder to tune in: a configuration, a scorer, and rows that it has met and has not met."""

from __future__ import annotations

TOP = """\
# Ours. é ✓ 😀
upstreams: {sim: {kind: simulated}}
tiers:
  small: {upstream: sim, model: "${M:-s}", price: {input: 1, output: 2}}   # ${NOT_SET}
  mid:   {upstream: sim, model: m, price: {input: 5, output: 9}}
  large: {upstream: sim, model: l, price: {input: 10, output: 20}}
"""
FLOW = TOP + "routes: {waterfall: {tiers: [small, large], scorer: ./scorer}}  # end\n"


def configure(folder, text, name="waterfall.yaml"):
    """Write a configuration as it is."""
    path = folder / name
    path.write_bytes(text.encode())
    path.chmod(0o640)
    return path
