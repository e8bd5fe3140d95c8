"""A gateway's processes while a phase runs, and whether they went back to where they were."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

import psutil

from loadtests.harness import Gateway
from loadtests.meter import Sample, sample, tree

EVERY = 0.25
"""Seconds between two looks at the processes."""
COUNTED = 0.6
"""Seconds in which a process counts its tasks anew."""


def used(
    first: Sample, peak: Sample, now: Sample, requests: int, shares: Sequence[Sequence[int]]
) -> dict[str, Any]:
    """Write what a phase took: CPU in µs a request, bytes, counts.

    shares: the connections of each of several workers, at each look. The look at which most were
    open is told: how many, and the shares of the worker that had the fewest and the most.
    """
    rss = max(peak.rss, now.rss)
    told = {
        "cpu_us": round((now.cpu - first.cpu) / 1e3 / max(1, requests), 1),
        "rss_before": first.rss,
        "rss_peak": rss,
        "rss_after": now.rss,
        "rss_each": (rss - first.rss) // max(1, requests),
        "fds_peak": max(peak.fds, now.fds),
    }
    if shares:
        most = max(shares, key=sum)
        whole = max(1, sum(most))
        told["connections"] = sum(most)
        told["share_least"] = round(min(most) / whole, 3)
        told["share_most"] = round(max(most) / whole, 3)
    return told


class Watch:
    """Looks at the gateway's processes while a phase runs; at nothing where there is none of ours.

    Where several workers serve, it also counts which of them has how many of the connections: the
    sockets that lead to the gateway's port, among the file descriptors of each process.
    """

    def __init__(self, served: Gateway | None, workers: int = 1) -> None:
        self.pid = served.running.pid if served else None
        self.port = urlsplit(served.url).port if served else None
        self.workers = workers
        self.first: Sample | None = sample(self.pid) if self.pid else None
        self.peak = self.first
        self.shares: list[tuple[int, ...]] = []

    async def look(self) -> None:
        """Look again and again until cancelled."""
        while self.pid and self.peak:
            await asyncio.sleep(EVERY)
            now, peak = sample(self.pid), self.peak
            self.peak = replace(peak, rss=max(peak.rss, now.rss), fds=max(peak.fds, now.fds))
            if self.workers > 1:
                self.shares.append(connections(self.pid, self.port, self.workers))

    def told(self, requests: int) -> dict[str, Any]:
        """Say what was seen since the phase began."""
        if self.pid is None or self.first is None or self.peak is None:
            return {}
        return {"process": used(self.first, self.peak, sample(self.pid), requests, self.shares)}


def connections(pid: int, port: int | None, workers: int) -> tuple[int, ...]:
    """Count the connections to a port that each of so many workers holds, among a process's
    descendants; who holds most comes first."""
    held = []
    for each in tree(pid)[1:]:
        with suppress(psutil.Error):
            found = psutil.Process(each).net_connections("tcp")
            held.append(
                sum(one.laddr[1] == port and one.status == psutil.CONN_ESTABLISHED for one in found)
            )
    return tuple(sorted([*held, *[0] * workers], reverse=True)[:workers])


async def afterwards(served: Gateway, first: Sample, tasks: int, peak: int) -> dict[str, Any]:
    """See whether everything went back to where it was: within three seconds, or not. `peak` is of
    memory, in bytes."""
    for _ in range(30):
        last, open_now = sample(served.running.pid), await _under_way(served)
        tasks_now = await _tasks(served)
        if last.fds <= first.fds + 2 and open_now == 0 and tasks_now <= tasks:
            break
        await asyncio.sleep(0.1)
    tracebacks = served.said().count("Traceback")
    return left(first, last, peak, (tasks, tasks_now), open_now, tracebacks)


def left(
    first: Sample, last: Sample, peak: int, tasks: tuple[int, int], under_way: int, tracebacks: int
) -> dict[str, Any]:
    """Write what a run left behind; `peak` in bytes, tasks before and after."""
    return {
        "rss_before": first.rss,
        "rss_peak": peak,
        "rss_after": last.rss,
        "fds_before": first.fds,
        "fds_after": last.fds,
        "fds_more": last.fds - first.fds,
        "tasks_before": tasks[0],
        "tasks_after": tasks[1],
        "tasks_more": tasks[1] - tasks[0],
        "threads": last.threads,
        "under_way_after": under_way,
        "tracebacks": tracebacks,
    }


async def _under_way(served: Gateway) -> int:
    """Requests and calls that the gateway believes open."""
    return await _sum(served, "waterfall_in_flight_requests{", "waterfall_ledger_open_calls")


async def at_rest(served: Gateway, workers: int) -> int:
    """Count the tasks of a gateway that has just started, once each of its workers tells its own:
    a sum of several is whole when it no longer rises."""
    count, before = await _tasks(served), 0
    while not count or (workers > 1 and count != before):
        await asyncio.sleep(COUNTED if workers > 1 else 0.1)
        count, before = await _tasks(served), count
    return count


async def _tasks(served: Gateway) -> int:
    """Tasks of the event loops of its processes, those that have been counted."""
    return await _sum(served, "waterfall_event_loop_tasks")


async def _sum(served: Gateway, *wanted: str) -> int:
    told = (await served.metrics()).splitlines()
    return int(sum(float(line.rpartition(" ")[2]) for line in told if line.startswith(wanted)))
