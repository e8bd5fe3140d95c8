// Looks at the dashboard as people do, in a real browser; tells what it saw as JSON.
// node dashboard.mjs '{"admin": URL, "token": KEY, "web": FOLDER, "browser": PATH, "out": FOLDER, "name": WORD}'
// With "look": true it changes nothing, and only looks at every section.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";

const given = JSON.parse(process.argv[2]);
const require = createRequire(join(given.web, "package.json"));
const { chromium } = require("playwright-core");
const axe = readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");
const SECTIONS = ["money", "routing", "quality", "health", "explorer"];
const FOCUSABLE = "a[href], button:not(:disabled), input, select, summary, [tabindex='0']";
const base = `${given.admin}/dashboard/`;
const told = { console: [], foreign: [], answers: {}, sections: {}, slow: {} };
const browser = await chromium.launch({ executablePath: given.browser, args: ["--no-sandbox"] });

async function open(options) {
  const context = await browser.newContext(options);
  const page = await context.newPage();
  page.on("console", (each) => each.type() === "error" && told.console.push(each.text()));
  page.on("pageerror", (each) => told.console.push(String(each)));
  page.on("dialog", (each) => told.console.push(`dialog: ${each.message()}`) && each.dismiss());
  page.on("request", (each) => {
    const url = each.url();
    if (!url.startsWith(given.admin) && !url.startsWith("data:") && !url.startsWith("blob:")) told.foreign.push(url);
  });
  return page;
}

async function settled(page) {
  await page.waitForSelector("main:not([aria-busy]) h1, main .empty", { timeout: 20_000 });
  await page.waitForFunction(() => !document.querySelector(".wait"), null, { timeout: 20_000 });
}

// The page hears of a new address in a turn of its own: until then what it showed before stands there,
// settled. So it is marked, and waited for until the mark is gone with what bore it.
async function go(page, address) {
  const first = page.url() === address ? null : await page.$("main > *");
  await first?.evaluate((each) => each.setAttribute("data-before", ""));
  await page.goto(address);
  await page.waitForFunction(() => !document.querySelector("main > [data-before]"), null, { timeout: 20_000 });
  await settled(page);
}

async function look(page, section) {
  await go(page, `${base}#/${section}?range=24h`);
  if (section === "quality" || section === "routing") await page.waitForSelector("main .pair figure svg, main .empty", { timeout: 60_000 });
}

const text = (page) => page.evaluate(() => document.body.innerText);

// A wrong key shows nothing.
const door = await open({ viewport: { width: 1280, height: 900 } });
await door.goto(base);
await door.fill("#key", "not-the-key");
await door.keyboard.press("Enter");
await door.waitForSelector("[role=alert]");
told.door = await text(door);
told.console = []; // the browser itself tells of the 401
await door.fill("#key", "ключ");
await door.keyboard.press("Enter");
await door.waitForFunction(() => document.querySelector("[role=alert]")?.textContent?.includes("ASCII"));
await door.reload();
await door.waitForSelector("#key");
await door.goto("about:blank");
await door.goto(`${base}#token=%`);
await door.waitForSelector("[role=alert]");
told.sign = await text(door);
told.console = [];
await door.fill("#key", given.token);
const began = Date.now();
await door.keyboard.press("Enter");
await settled(door);
told.first = Date.now() - began;
await door.context().close();

for (const mode of ["light", "dark", "narrow"]) {
  const size = mode === "narrow" ? { width: 320, height: 760 } : { width: 1280, height: 900 };
  const page = await open({ viewport: size, colorScheme: mode === "dark" ? "dark" : "light", reducedMotion: "reduce" });
  await page.goto(`${base}#token=${given.token}`);
  await settled(page);
  told.sections[mode] = {};
  for (const section of SECTIONS) {
    await look(page, section);
    await page.evaluate(axe);
    const found = await page.evaluate(() => window.axe.run(document, { resultTypes: ["violations"] }));
    told.sections[mode][section] = {
      titles: await page.$$eval("main h2", (all) => all.map((each) => each.textContent)),
      figures: await page.$$eval("[data-figure]", (all) => Object.fromEntries(all.map((each) => [each.dataset.figure, each.dataset.exact ?? each.textContent]))),
      charts: await page.$$eval("main figure svg polyline, main figure svg polygon", (all) => all.length),
      empty: await page.$$eval("main .empty", (all) => all.length),
      wide: await page.evaluate(() => document.documentElement.scrollWidth),
      background: await page.evaluate(() => getComputedStyle(document.body).backgroundColor),
      faults: found.violations.filter((each) => ["serious", "critical"].includes(each.impact)).map((each) => `${each.id}: ${each.nodes.map((node) => node.target.join(" ")).join(", ")}`),
    };
    await page.screenshot({ path: join(given.out, `${given.name}-${section}-${mode}.png`), fullPage: true });
  }
  if (mode === "light" && !given.look) await use(page);
  await page.context().close();
}

async function use(page) {
  told.keyboard = {};
  for (const section of ["money", "routing", "explorer"]) {
    await look(page, section);
    await page.waitForTimeout(1500);
    await page.evaluate(() => document.activeElement?.blur());
    const wanted = await page.$$eval(FOCUSABLE, (all) => all.filter((each) => each.checkVisibility()).length);
    const reached = new Set();
    for (let n = 0; n < wanted + 10; n += 1) {
      await page.keyboard.press("Tab");
      reached.add(await page.evaluate((of) => [...document.querySelectorAll(of)].indexOf(document.activeElement), FOCUSABLE));
    }
    reached.delete(-1);
    told.keyboard[section] = { wanted, reached: reached.size };
  }
  const asking = page.waitForResponse((each) => each.url().includes("/api/money"));
  await go(page, `${base}#/money?range=toString`);
  told.strange = (await asking).status();
  await look(page, "money");
  told.hour = Math.floor(Date.now() / 3_600_000);
  told.money = await page.$eval("main figure", (each) => each.parentElement.innerText);
  await page.click("main figure summary");
  await page.waitForSelector("main figure:first-of-type table"); // made when the opening is told of
  const cells = await page.$$eval("main figure:first-of-type table", ([each]) => [...each.querySelectorAll("tbody tr")].map((row) => [...row.querySelectorAll("td")].map((cell) => cell.textContent)));
  told.moneyTable = cells;
  await look(page, "health");
  told.drawn = await text(page);
  await look(page, "money");
  await page.focus("main figure svg");
  await page.keyboard.press("End");
  told.reading = await page.textContent("main figure .reading");

  await go(page, `${base}#/routing?range=24h&route=waterfall`);
  await page.waitForSelector("[data-figure=what-if-up]");
  const answer = page.waitForResponse((each) => each.url().includes("threshold=0.1&") || each.url().endsWith("threshold=0.1"));
  await page.focus("#threshold");
  await page.keyboard.press("Home");
  for (let n = 0; n < 10; n += 1) await page.keyboard.press("ArrowRight");
  told.whatIf = await (await answer).json();
  await page.waitForFunction(() => document.querySelector(".act button")?.textContent?.includes("0.10"));
  told.whatIfFigures = await page.$$eval("[data-figure^=what-if]", (all) => Object.fromEntries(all.map((each) => [each.dataset.figure, each.textContent])));
  await page.focus(".act button");
  await page.keyboard.press("Enter");
  await page.keyboard.press("Enter");
  await page.waitForSelector(".done");
  told.done = await page.textContent(".done");

  await go(page, `${base}#/explorer?range=24h&escalated=true`);
  await page.click("main tbody a");
  await page.waitForSelector(".ladder");
  told.ladder = await page.$$eval(".rung-name strong", (all) => all.map((each) => each.textContent));
  told.link = page.url();
  await page.screenshot({ path: join(given.out, `${given.name}-ladder-light.png`), fullPage: true });
  await go(page, `${base}#/explorer?range=24h`);
  told.explorer = await text(page);
  told.injected = await page.$$eval("main img, main script, main iframe", (all) => all.length);
  const saving = page.waitForEvent("download");
  await page.click("button:has-text('CSV')");
  told.csv = readFileSync(await (await saving).path(), "utf8").split("\n")[0];
  const calls = await page.evaluate(() => performance.getEntriesByType("resource").map((each) => [each.name, each.duration]));
  for (const [name, took] of calls.filter(([each]) => each.includes("/api/"))) {
    const key = name.replace(/\?.*/, "").replace(/.*\//, "");
    told.slow[key] = Math.max(told.slow[key] ?? 0, took);
  }
}

await browser.close();
console.log(JSON.stringify(told));
