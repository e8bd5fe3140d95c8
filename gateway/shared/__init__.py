"""What several processes share: pools of allowances, and a few bytes under a name.

port      what any of them offers, and how one that cannot be had says so
memory    in this process: for tests, and to go on by where the other one is down
file      a small SQLite file, for all processes of a machine; it outlives them
redis     Redis or Valkey, for all machines
"""

from __future__ import annotations

from gateway.shared.file import FileShared
from gateway.shared.memory import MemoryShared
from gateway.shared.opening import SharedUnusable, open_shared
from gateway.shared.port import Draw, Shared, SharedDown

__all__ = [
    "Draw",
    "FileShared",
    "MemoryShared",
    "Shared",
    "SharedDown",
    "SharedUnusable",
    "open_shared",
]
