// The page: who may see it, which section is shown of which period, and when it is asked again.

import { ask, download, Failed, questionOf, UNSENDABLE, type Json } from "./api";
import { clear, h } from "./dom";
import { count, seconds } from "./format";
import { code, empty } from "./parts";
import { explorer } from "./sections/explorer";
import { health } from "./sections/health";
import { money } from "./sections/money";
import { quality } from "./sections/quality";
import { routing } from "./sections/routing";
import type { Given, Section } from "./sections/section";
import { address, go, key, period, RANGES, read, SECTIONS, setKey, takeToken } from "./state";
import { applyTheme, themeButton } from "./theme";

const PAGES: Record<string, Section> = { money, routing, quality, health, explorer };
const NAMES: Record<string, string> = { money: "Money", routing: "Routing", quality: "Quality", health: "Health", explorer: "Explorer" };
const TABLES: Record<string, string> = { money: "money", routing: "routing", health: "health", explorer: "requests" };
const NOW_EVERY = 5_000;
const FIGURES_EVERY = 30_000;
const RESTING = new Set(["INPUT", "SELECT", "BUTTON"]);

const app = document.getElementById("app") as HTMLElement;
const body = h("main", { id: "main", tabindex: -1 });
const live = h("ul", { class: "live", "aria-label": "Just now" });
const nav = h("nav", { "aria-label": "Sections" });
const controls = h("div", { class: "controls" });
let about: Json = { routes: {} };
let now: Given["now"] = {};
let before: { at: number; requests: number } | null = null;
let leaving = new AbortController();
let follow = true;
let shown = "";

async function start(): Promise<void> {
  takeToken();
  applyTheme();
  if (!key()) return askForKey("");
  try {
    [about, now] = await Promise.all([ask("about"), ask("now") as Promise<Given["now"]>]);
    about.routes = Object.assign(Object.create(null), about.routes); // no names but the routes'
  } catch (error) {
    const failed = error as Failed;
    if (failed.status === 401) return askAnew(failed, "That is not the admin key of this gateway.");
    const again = h("button", { type: "button", class: "primary", onclick: () => void start() }, "Try again");
    const other = h("button", { type: "button", class: "quiet", onclick: () => lock() }, "Another key");
    return clear(app, h("main", {}, empty("The gateway cannot be asked", failed.message, " "), h("p", { class: "act" }, again, other)));
  }
  lay();
  await show();
}

/** Forget a key that was not taken. */
function askAnew(failed: Failed, why: string): void {
  lock(failed.message === UNSENDABLE ? UNSENDABLE : why);
}

function lock(why = ""): void {
  setKey("");
  leaving.abort();
  askForKey(why);
}

function askForKey(wrong: string): void {
  const field = h("input", { type: "password", id: "key", autocomplete: "current-password", required: true, "aria-describedby": "key-help" });
  const form = h(
    "form",
    { class: "card key" },
    h("h1", {}, "Waterfall"),
    h("label", { for: "key" }, "Admin key"),
    field,
    wrong ? h("p", { class: "error", role: "alert" }, wrong) : null,
    h("p", { id: "key-help", class: "about" }, "It is ", code("server.admin_key"), " of the configuration; without one, the token that ", code("waterfall serve"), " printed at its start. It stays in this tab."),
    h("button", { type: "submit", class: "primary" }, "Show the figures"),
  );
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    setKey(field.value.trim());
    void start();
  });
  clear(app, h("main", { class: "door" }, form));
  field.focus();
}

function lay(): void {
  const skip = h("a", { class: "skip", href: "#main" }, "To the figures");
  skip.addEventListener("click", (event) => {
    event.preventDefault();
    body.focus();
  });
  const brand = h("a", { class: "brand", href: address({ ...read(), section: "money", extra: new URLSearchParams() }) }, h("span", { class: "drop", "aria-hidden": "true" }), "Waterfall");
  const leave = h("button", { type: "button", class: "quiet", onclick: () => lock() }, "Lock");
  const foot = h("footer", {}, h("span", {}, `waterfall ${about.version}`), h("span", {}, `ledger ${about.ledger}`), h("span", {}, "times in UTC"));
  clear(app, skip, h("header", {}, h("div", { class: "bar-top" }, brand, nav, h("div", { class: "end" }, themeButton(), leave)), h("div", { class: "bar-low" }, controls, live)), body, foot);
  showLive();
}

function showControls(): void {
  const view = read();
  const names = ["24h", "7d", "30d", "90d", "custom"];
  const words: Record<string, string> = { "24h": "last 24 hours", "7d": "last 7 days", "30d": "last 30 days", "90d": "last 90 days", custom: "between …" };
  const range = h("select", { id: "range" }, ...names.map((each) => h("option", { value: each, selected: each === view.range }, words[each])));
  range.addEventListener("change", () => {
    if (range.value in RANGES) go({ range: range.value, since: null, until: null });
    else go({ range: "custom", ...period(view) });
  });
  const route = h("select", { id: "route" }, h("option", { value: "" }, "all routes"), ...Object.keys(about.routes).map((each) => h("option", { value: each, selected: each === view.route }, each)));
  if (view.route && !(view.route in about.routes)) route.append(h("option", { value: view.route, selected: true }, view.route));
  route.addEventListener("change", () => go({ route: route.value }));
  const following = h("input", { type: "checkbox", id: "follow", checked: follow });
  following.addEventListener("change", () => (follow = following.checked));
  const table = TABLES[view.section];
  const save = h("button", { type: "button", class: "quiet", disabled: !table }, "CSV");
  save.setAttribute("aria-label", "Download this section's table as CSV");
  save.addEventListener("click", () => {
    const query = questionOf(view);
    if (view.section === "explorer") for (const [name, value] of view.extra) query.set(name, value);
    if (table) void download(table, query).catch((error: Error) => body.prepend(h("p", { class: "error", role: "alert" }, error.message)));
  });
  const dates = view.range === "custom" ? [moment("from", "since"), moment("to", "until")] : [];
  clear(controls, h("label", { for: "range" }, h("span", { class: "word" }, "Period"), range), ...dates, h("label", { for: "route" }, h("span", { class: "word" }, "Route"), route), h("label", { for: "follow", class: "check" }, following, "Refresh"), save);
}

function moment(words: string, name: "since" | "until"): HTMLElement {
  const view = read();
  const at = new Date((view[name] ?? 0) * 1000).toISOString().slice(0, 16);
  const field = h("input", { type: "datetime-local", id: name, value: at });
  field.addEventListener("change", () => {
    const value = Date.parse(`${field.value}Z`) / 1000;
    const next = { ...view, [name]: value };
    if (Number.isFinite(value) && (next.since ?? 0) < (next.until ?? 0)) go({ range: "custom", since: next.since, until: next.until });
    else field.setCustomValidity("The period must end after it begins.");
    field.reportValidity();
  });
  return h("label", { for: name }, h("span", {}, words), field);
}

function showNav(): void {
  const view = read();
  const links = SECTIONS.map((each) => h("a", { href: address({ ...view, section: each, extra: new URLSearchParams() }), "aria-current": each === view.section ? "page" : null }, NAMES[each] ?? each));
  clear(nav, ...links);
  document.title = `${NAMES[view.section]} · Waterfall`;
}

/** Show the section that the address names. */
async function show(again = false): Promise<void> {
  const view = read();
  leaving.abort();
  leaving = new AbortController();
  const { signal } = leaving;
  showNav();
  if (!again || !controls.contains(document.activeElement)) showControls();
  if (!again) {
    body.setAttribute("aria-busy", "true");
    if (shown !== view.section) clear(body, h("p", { class: "about wait" }, "Asking the ledger …"));
  }
  shown = view.section;
  const page = PAGES[view.section] as Section;
  try {
    const made = await page({ view, routes: about.routes, now, signal });
    if (!signal.aborted && !(again && busy())) clear(body, h("h1", { class: "unseen" }, NAMES[view.section] ?? ""), ...made);
  } catch (error) {
    if (!signal.aborted) tell(error as Failed);
  } finally {
    if (!signal.aborted) body.removeAttribute("aria-busy");
  }
}

function tell(failed: Failed): void {
  if (failed.status === 401) return askAnew(failed, "The admin key has changed.");
  const again = h("p", { class: "act" }, h("button", { type: "button", class: "primary", onclick: () => void show() }, "Try again"));
  const made = empty("No figures", failed.message);
  made.setAttribute("role", "alert");
  clear(body, made, again);
}

function showLive(): void {
  const total = (now.waterfall_requests_total ?? []).reduce((sum, each) => sum + each.value, 0);
  const at = performance.now() / 1000;
  const rate = before && at > before.at ? Math.max(0, total - before.requests) / (at - before.at) : null;
  before = { at, requests: total };
  const of = (name: string): number => (now[name] ?? []).reduce((sum, each) => sum + each.value, 0);
  const lag = of("waterfall_ledger_oldest_unflushed_seconds");
  const rows: [string, string][] = [
    [count(of("waterfall_in_flight_requests")), "under way"],
    [rate === null ? "…" : rate.toFixed(1), "requests/s"],
    [seconds(lag), "ledger behind"],
    [count(of("waterfall_workers")), of("waterfall_workers") === 1 ? "process" : "processes"],
  ];
  clear(live, ...rows.map(([value, words]) => h("li", {}, h("strong", {}, value), ` ${words}`)));
}

/** Somebody is in the middle of something, and nothing may change under their hands. */
function busy(): boolean {
  const held = document.activeElement;
  const open = body.querySelector("details[open]") !== null;
  return open || read().section === "explorer" || (held !== null && body.contains(held) && (RESTING.has(held.tagName) || held instanceof SVGElement));
}

window.addEventListener("hashchange", () => {
  takeToken();
  if (key()) void show();
});
window.addEventListener("threshold", () => {
  void (ask("now") as Promise<Given["now"]>).then((told) => (now = told));
});
window.setInterval(() => {
  if (!follow || document.hidden || !key() || !body.isConnected) return;
  void (ask("now") as Promise<Given["now"]>)
    .then((told) => {
      now = told;
      showLive();
    })
    .catch(() => clear(live, h("li", { class: "error" }, "the gateway does not answer")));
}, NOW_EVERY);
window.setInterval(() => {
  if (follow && !document.hidden && key() && body.isConnected && !busy() && read().range !== "custom") void show(true);
}, FIGURES_EVERY);
void start();
