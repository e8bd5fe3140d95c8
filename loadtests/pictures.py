"""Makes the docs' pictures of the dashboard and the report: `python -m loadtests.pictures`.

A real gateway serves the page to a real browser (Chromium, and what
`npm --prefix gateway/dashboard/web ci` installs); its ledger is the made-up month of
`made_up_ledger`, up to now.
"""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import sys
import tempfile
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

from gateway.cli import main
from gateway.store.ledgers import ledger_at
from gateway.store.rollups import roll_up
from loadtests import made_up_ledger
from loadtests.harness import ROOT, ProofError, gateway

FOLDER = ROOT / "docs" / "pictures"
KEY = "the-admin-key-of-these-pictures"
ROWS = 20_000
_TAKE = """
import { createRequire } from "node:module";
const [web, browser, url, key, out, report] = process.argv.slice(2);
const { chromium } = createRequire(`${web}/package.json`)("playwright-core");
const it = await chromium.launch({ executablePath: browser, args: ["--no-sandbox"] });
const shots = [["money", "light"], ["money", "dark"], ["routing", "light"], ["ladder", "light"]];
for (const [name, colorScheme] of shots) {
  const page = await it.newPage({ colorScheme, viewport: { width: 1120, height: 860 } });
  await page.goto(`${url}#token=${key}`);
  await page.waitForSelector("main h2");
  const section = name === "ladder" ? "explorer" : name;
  await page.goto(`${url}#/${section}?range=30d&route=waterfall&escalated=true`);
  await page.waitForSelector("main:not([aria-busy]) h1");
  if (name === "ladder") await page.click("main tbody a");
  await page.waitForTimeout(2500);
  if (name === "routing") await page.locator("#threshold").scrollIntoViewIfNeeded();
  await page.screenshot({ path: `${out}/${name}-${colorScheme}.png` });
  await page.close();
}
const page = await it.newPage({ colorScheme: "light", viewport: { width: 1000, height: 1150 } });
await page.goto(`file://${report}`);
await page.screenshot({ path: `${out}/report-light.png` });
await it.close();
"""


async def take(folder: Path) -> int:
    """Make the ledger, serve it, take the pictures; return the exit code."""
    web, node, browser = (
        ROOT / "gateway" / "dashboard" / "web",
        shutil.which("node"),
        shutil.which("chromium"),
    )
    if not (node and browser and (web / "node_modules").exists()):
        raise ProofError(
            "no browser, or no tools of the page: npm --prefix gateway/dashboard/web ci"
        )
    made_up_ledger.START = datetime.now(tz=UTC).timestamp() - 30 * made_up_ledger.DAY
    ledger = made_up_ledger.make(folder / "waterfall.db", ROWS)
    with closing(ledger_at(ledger).write()) as writer:
        while roll_up(writer, made_up_ledger.START + 31 * made_up_ledger.DAY):
            pass
    tiers = {
        name: {"upstream": "sim", "model": name, "price": {"input": 1, "output": 2}}
        for name in ("small", "middle", "large")
    }
    routes = {"waterfall": ["small", "large"], "contracts": ["middle", "large"]}
    document = {
        "server": {"admin_key": KEY},
        "upstreams": {"sim": {"kind": "simulated"}},
        "tiers": tiers,
        "routes": {name: {"tiers": each, "scorer": "rules"} for name, each in routes.items()},
    }
    FOLDER.mkdir(exist_ok=True)
    report = folder / "report.html"
    told = ["report", "--ledger", ledger.name, "--route", "waterfall", "--output", str(report)]
    with contextlib.chdir(folder):  # the picture is to name no place of this machine
        if main(told):
            raise ProofError("there is no report")
    async with gateway(folder, document) as served:
        admin = await served.running.says(r"admin on (\S+)")
        child = await asyncio.create_subprocess_exec(
            *(node, "--input-type=module", "-"),
            *(str(web), browser, f"{admin}/dashboard/", KEY, str(FOLDER), str(report)),
            stdin=asyncio.subprocess.PIPE,
        )
        await child.communicate(_TAKE.encode())
    return child.returncode or 0


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as home:
        sys.exit(asyncio.run(take(Path(home))))
