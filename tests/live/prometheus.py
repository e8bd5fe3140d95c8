"""A real Prometheus that scrapes gateways by the rules that come with them."""

from __future__ import annotations

import asyncio
import contextlib
import re
import shutil
import socket

import httpx
import pytest
import yaml
from deploy.alerting import RULES

LIMIT = 120.0  # seconds: a ceiling for hangs


def found(program):
    """Where a program is; without it the test is skipped, which CI takes for a failure."""
    path = shutil.which(program)
    if path is None:
        pytest.skip(f"{program} is not installed (Debian: apt-get install prometheus)")
    return path


def sooner(text):
    """The rules with every wait shortened to a second; their expressions are as they were."""
    quick = re.sub(r"^(\s+for:) \w+$", r"\1 1s", text, flags=re.MULTILINE)
    return re.sub(r"^(\s+interval:) \w+$", r"\1 1s", quick, flags=re.MULTILINE)


def free_port():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


class Prometheus:
    """A running one, asked over its own API."""

    def __init__(self, url):
        self._client = httpx.AsyncClient(base_url=url, timeout=LIMIT)

    async def query(self, expression):
        """The samples that an expression has now: (labels, value)."""
        answer = await self._client.get("/api/v1/query", params={"query": expression})
        told = answer.json()
        assert told["status"] == "success", told
        return [(row["metric"], float(row["value"][1])) for row in told["data"]["result"]]

    async def firing(self):
        """The names of the alerts that fire."""
        rows = (await self._client.get("/api/v1/alerts")).json()["data"]["alerts"]
        return {row["labels"]["alertname"] for row in rows if row["state"] == "firing"}

    async def broken(self):
        """The rules that could not be evaluated."""
        groups = (await self._client.get("/api/v1/rules")).json()["data"]["groups"]
        assert groups
        return [rule for group in groups for rule in group["rules"] if rule["health"] == "err"]

    async def until(self, condition):
        """Wait until a coroutine function returns something true; return it."""
        async with asyncio.timeout(LIMIT):
            while not (held := await condition()):  # noqa: ASYNC110 (nothing tells of it)
                await asyncio.sleep(0.2)
            return held

    async def scraped(self, count):
        """Wait until so many gateways were scraped twice, so that what rises is seen to."""

        async def twice():
            rows = await self.query("count_over_time(waterfall_build_info[1m])")
            return len([value for _, value in rows if value >= 2]) >= count

        await self.until(twice)

    async def close(self):
        await self._client.aclose()


@contextlib.asynccontextmanager
async def watching(folder, *gateways):
    """A Prometheus that scrapes the gateways' admin listeners twice a second."""
    program, port = found("prometheus"), free_port()
    (folder / "waterfall.rules.yml").write_text(sooner(RULES.read_text()))
    targets = [gateway.admin_url.removeprefix("http://") for gateway in gateways]
    scrape = {"job_name": "waterfall", "static_configs": [{"targets": targets}]}
    document = {
        "global": {"scrape_interval": "500ms", "evaluation_interval": "1s"},
        "rule_files": ["waterfall.rules.yml"],
        "scrape_configs": [scrape],
    }
    (folder / "prometheus.yml").write_text(yaml.safe_dump(document))
    with (folder / "prometheus.log").open("wb") as log:
        child = await asyncio.create_subprocess_exec(
            *(program, f"--config.file={folder / 'prometheus.yml'}"),
            *(f"--storage.tsdb.path={folder / 'data'}", f"--web.listen-address=127.0.0.1:{port}"),
            stdout=log,
            stderr=log,
        )
    it = Prometheus(f"http://127.0.0.1:{port}")
    try:
        async with asyncio.timeout(LIMIT):
            while not await _answers(port):
                assert child.returncode is None, f"see {folder}/prometheus.log"
                await asyncio.sleep(0.1)
        yield it
    finally:
        await it.close()
        if child.returncode is None:
            child.terminate()
        await child.wait()


async def _answers(port):
    async with httpx.AsyncClient() as client:
        with contextlib.suppress(httpx.TransportError):
            return (await client.get(f"http://127.0.0.1:{port}/-/ready")).status_code == 200
    return False
