// Health: how long requests take, what fails, and how the gateway stands just now.

import { ask, questionOf } from "../api";
import { chart } from "../chart";
import { h } from "../dom";
import { count, number, percent, seconds } from "../format";
import { bars, card, empty, table, tiles, toneOf } from "../parts";
import { ladder, metric, ofDrawn, type Given, type Told } from "./section";
import { limits, upstreams } from "./standing";

const LEDGER: [string, string, (value: number) => string][] = [
  ["waterfall_ledger_oldest_unflushed_seconds", "Oldest row not yet in the database", seconds],
  ["waterfall_ledger_spool_bytes", "Bytes of the spool", count],
  ["waterfall_ledger_dropped_rows_total", "Rows and log lines lost", count],
  ["waterfall_ledger_write_failures_total", "Batches the database refused", count],
  ["waterfall_ledger_open_calls", "Calls under way", count],
  ["waterfall_worker_restarts_total", "Workers replaced", count],
  ["waterfall_config_reloads_total", "Reloads", count],
];

export async function health(given: Given): Promise<HTMLElement[]> {
  const told = await ask("health", questionOf(given.view), given.signal);
  const made = [headline(given, told)];
  if (told.sums.requests) made.push(overTime(told), h("div", { class: "pair" }, latency(given, told), outcomes(given, told)));
  else made.push(empty("No requests in this period", "How the gateway stands just now is below."));
  made.push(upstreams(given), h("div", { class: "pair" }, limits(given), drift(given)), ledger(given), rest(given));
  return made;
}

function headline(given: Given, told: Told): HTMLElement {
  const all = told.sums.requests as number;
  const bad = Object.entries(told.outcomes as Record<string, number>).filter(([name]) => name !== "ok" && name !== "cancelled");
  const failed = bad.reduce((sum, [, value]) => sum + value, 0);
  const times = told.latency.all ?? { seconds: {}, first_token: {}, overhead: {} };
  return tiles([
    { id: "answered", name: "Answered", value: all ? percent(1 - failed / all, 2) : "unknown", note: `${count(failed)} of ${count(all)} failed`, tone: failed / (all || 1) > 0.005 ? "bad" : "good" },
    { id: "p50", name: "Median time", value: seconds(times.seconds.p50), note: `99 % within ${seconds(times.seconds.p99)}` },
    { id: "ttft", name: "To the first byte", value: seconds(times.first_token.p50), note: `95 % within ${seconds(times.first_token.p95)}` },
    { id: "overhead", name: "Added by the gateway", value: seconds(times.overhead.p50), note: `99 % within ${seconds(times.overhead.p99)}` },
    { id: "in-flight", name: "Under way now", value: count(metric(given, "waterfall_in_flight_requests")), note: `${count(metric(given, "waterfall_workers"))} ${metric(given, "waterfall_workers") === 1 ? "process serves" : "processes serve"}` },
  ]);
}

function overTime(told: Told): HTMLElement {
  const rows = told.over_time as Told[];
  const failed = rows.map((row): [number, number | null] => [row.at, row.requests ? row.failed / row.requests : null]);
  const most = Math.max(0.01, ...failed.map(([, each]) => each ?? 0));
  return card(
    "Over time",
    "Mean time to the last byte and to the first, and the share that failed.",
    chart({ title: "Mean seconds", says: "To the first byte and to the last.", time: true, show: seconds, series: [
      { name: "to the last byte", tone: "t0", points: rows.map((row) => [row.at, row.seconds]) },
      { name: "to the first", tone: "t1", points: rows.map((row) => [row.at, row.first_token]) },
    ] }),
    chart({ title: "Share of requests that failed", says: "", time: true, height: 150, top: most, show: (value) => percent(value, 2), series: [{ name: "failed", tone: "bad", area: true, points: failed }] }),
  );
}

function latency(given: Given, told: Told): HTMLElement {
  const tiers = ladder(given, Object.keys(told.latency).filter((each) => each !== "all")).filter((tier) => tier in told.latency);
  const rows = ["all", ...tiers].filter((tier) => tier in told.latency);
  const cell = (what: string, share: string) => (tier: string) => seconds(told.latency[tier][what][share]);
  return card(
    "Latency by tier",
    `${ofDrawn(told.drawn, told.sums.requests)}; those that were answered.`,
    table("Latency by the tier that served", [
      { name: "tier", cell: (tier: string) => h("span", {}, tier === "all" ? "all" : h("span", { class: `swatch ${toneOf(tiers, tier)}`, "aria-hidden": "true" }), tier === "all" ? "" : tier) },
      { name: "median", cell: cell("seconds", "p50"), number: true },
      { name: "95 %", cell: cell("seconds", "p95"), number: true },
      { name: "99 %", cell: cell("seconds", "p99"), number: true },
      { name: "first byte, 95 %", cell: cell("first_token", "p95"), number: true },
      { name: "added, 99 %", cell: cell("overhead", "p99"), number: true },
    ], rows),
  );
}

function outcomes(given: Given, told: Told): HTMLElement {
  const all = told.sums.requests as number;
  const rows = Object.entries(told.outcomes as Record<string, number>).map(([name, value]) => ({ name, value, text: `${count(value)} · ${percent(value / all, 2)}`, tone: name === "ok" ? "t1" : "t3" }));
  const errors = (given.now.waterfall_upstream_errors_total ?? []).filter((each) => each.value).map((each) => ({ name: each.labels.error_type ?? "", note: `${each.labels.tier}, ${each.labels.model}`, value: each.value, text: count(each.value), tone: "t3" }));
  return card("Outcomes", "", bars("Requests by outcome", rows), h("h3", {}, "Calls that failed, since the start"), errors.length ? bars("Failed calls by kind", errors) : h("p", {}, "None."));
}

function ledger(given: Given): HTMLElement {
  const rows = LEDGER.filter(([name]) => given.now[name]).map(([name, words, show]) => ({ words, value: show(metric(given, name) ?? 0) }));
  return card("The record", "Just now.", table("The ledger and the processes", [{ name: "what", cell: (row: { words: string }) => row.words }, { name: "now", cell: (row: { value: string }) => row.value, number: true }] as never, rows));
}

function drift(given: Given): HTMLElement {
  const alarms = (given.now.waterfall_drift_alarm ?? []).filter((each) => each.value);
  const psi = (given.now.waterfall_score_psi ?? []).map((each) => ({ name: each.labels.route ?? "", value: each.value, text: each.value.toFixed(3), tone: each.value > 0.2 ? "t3" : "t1" }));
  const said = alarms.map((each) => `${each.labels.route}: ${each.labels.kind}`).join("; ");
  return card(
    "Drift",
    "Does traffic differ from what thresholds rely on? Over 0.2 alarms.",
    h("p", {}, h("span", { class: alarms.length ? "chip bad" : "chip good" }, alarms.length ? "alarm" : "quiet"), ` ${said}`),
    psi.length ? bars("Stability index of the scores", psi) : h("p", {}, "Thresholds are fixed, and no reference is kept: nothing to compare with."),
  );
}

function rest(given: Given): HTMLElement {
  const hidden = /_created$|_build_info$|_total$|_sum$|_count$/;
  const rows = Object.entries(given.now)
    .filter(([name]) => name.startsWith("waterfall_") && !hidden.test(name))
    .flatMap(([name, series]) => series.map((each) => ({ name: name.replace("waterfall_", ""), labels: Object.entries(each.labels).map(([key, value]) => `${key} ${value}`).join(", "), value: number(each.value) })));
  const made = h("details", {}, h("summary", {}, `Everything that the gateway says of itself now (${rows.length} gauges)`));
  made.append(table("Gauges", [{ name: "gauge", cell: (row: Told) => row.name }, { name: "of", cell: (row: Told) => row.labels }, { name: "now", cell: (row: Told) => row.value, number: true }], rows as Told[]));
  return h("section", { class: "card" }, made);
}
