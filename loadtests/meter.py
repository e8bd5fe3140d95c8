"""What a process tree uses: CPU in nanoseconds, memory, file descriptors, threads.

CPU is the sum of /proc/PID/task/*/schedstat, which the scheduler keeps in nanoseconds; the usual
utime and stime count ticks of 10 ms, and miss a process that sleeps at every tick. A thread that
has ended takes its count along, so the larger of the two is taken.
"""

from __future__ import annotations

import os
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

_TICK = 1e9 / os.sysconf("SC_CLK_TCK")


def tree(pid: int) -> list[int]:
    """Find a process and all of its descendants; those gone meanwhile are left out."""
    with suppress(psutil.NoSuchProcess):
        root = psutil.Process(pid)
        return [pid, *(each.pid for each in root.children(recursive=True))]
    return []


def cpu_ns(pids: list[int]) -> int:
    """CPU nanoseconds, user and system, that these processes have used so far."""
    return sum(map(_cpu_ns, pids))


def _cpu_ns(pid: int) -> int:
    """Threads by the scheduler's count; whole process by its tick count where that is more."""
    exact = 0
    for place in Path(f"/proc/{pid}/task").glob("*/schedstat"):
        with suppress(OSError):
            exact += int(place.read_text("ascii").split()[0])
    with suppress(OSError, IndexError):
        fields = Path(f"/proc/{pid}/stat").read_text("utf-8", "replace").rpartition(")")[2].split()
        ticks = int(fields[11]) + int(fields[12])
        return max(exact, int((ticks - 2) * _TICK))
    return exact


@dataclass(frozen=True, slots=True)
class Sample:
    """A tree at a moment: `at` in monotonic seconds, memory in bytes."""

    at: float
    cpu: int
    rss: int
    fds: int
    threads: int


def sample(pid: int) -> Sample:
    """Take one."""
    pids, rss, fds, threads = tree(pid), 0, 0, 0
    for each in pids:
        with suppress(psutil.Error):
            process = psutil.Process(each)
            rss += process.memory_info().rss
            fds += process.num_fds()
            threads += process.num_threads()
    return Sample(time.monotonic(), cpu_ns(pids), rss, fds, threads)


@dataclass(frozen=True, slots=True)
class Machine:
    """The machine's own counters at a moment, in clock ticks; and its load average."""

    total: int
    idle: int
    steal: int
    load: float

    def since(self, earlier: Machine) -> dict[str, float]:
        """Shares of the time since: busy for anybody, and stolen by the hypervisor."""
        passed = max(1, self.total - earlier.total)
        return {
            "busy": round(1 - (self.idle - earlier.idle) / passed, 3),
            "steal": round((self.steal - earlier.steal) / passed, 3),
            "load_before": round(earlier.load, 1),
            "load_after": round(self.load, 1),
        }


def machine() -> Machine:
    """Read them; steal is 0 where the kernel counts none."""
    fields = [
        int(each) for each in Path("/proc/stat").read_text("ascii").split("\n")[0].split()[1:]
    ]
    steal = fields[7] if len(fields) > 7 else 0
    return Machine(sum(fields[:8]), fields[3] + fields[4], steal, os.getloadavg()[0])
