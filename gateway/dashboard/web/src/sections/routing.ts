// Routing: where requests start, who serves them, and what another threshold would have come to.

import { ask, questionOf } from "../api";
import { chart } from "../chart";
import { h } from "../dom";
import { count, percent } from "../format";
import { bars, card, code, empty, table, tiles, toneOf } from "../parts";
import { width } from "./money";
import { inForce, ladder, ofDrawn, routeOf, type Given, type Told } from "./section";
import { whatIf } from "./what_if";

export async function routing(given: Given): Promise<HTMLElement[]> {
  const told = await ask("routing", questionOf(given.view), given.signal);
  if (!told.requests) {
    return [empty("Nothing was routed in this period", "Choose a longer one, or see what would happen to a prompt: ", code('waterfall route "your prompt"'), ".")];
  }
  const route = routeOf(given);
  return [headline(given, told), shares(given, told), h("div", { class: "pair" }, difficulty(given, told, route), why(told)), escalation(given, told), whatIf(given, route)];
}

function headline(given: Given, told: Told): HTMLElement {
  const tiers = ladder(given, Object.keys(told.starts));
  const first = Object.values(given.routes).map((each) => each.tiers[0]);
  const low = Object.entries(told.starts as Record<string, number>).filter(([tier]) => first.includes(tier));
  const share = low.reduce((sum, [, value]) => sum + value, 0) / told.requests;
  return tiles([
    { id: "first-share", name: "Start at the first tier", value: percent(share), note: `of ${count(told.requests)} requests, ${tiers.join(" → ")}` },
    { id: "escalation-rate", name: "Escalated", value: percent(told.escalated / told.requests), note: `${count(told.escalated)} were served by a higher tier than they started at` },
    { id: "degraded-rate", name: "Degraded", value: percent(told.degraded / told.requests, 2), note: `${count(told.degraded)} were served a deferred reply` },
  ]);
}

function shares(given: Given, told: Told): HTMLElement {
  const rows = (told.over_time as Told[]).filter((row) => row.requests);
  const seen = [...new Set(rows.flatMap((row) => Object.keys(row.served)))];
  const tiers = ladder(given, seen).filter((tier) => seen.includes(tier));
  const names = seen.includes("none") ? [...tiers, "none"] : tiers;
  const series = names.map((tier) => ({
    name: tier === "none" ? "no answer" : tier,
    tone: toneOf(tiers, tier),
    points: rows.map((row): [number, number] => [row.at, (row.served[tier] ?? 0) / row.requests]),
  }));
  const rate = rows.map((row): [number, number] => [row.at, row.escalated / row.requests]);
  return card(
    "Who served",
    `Share of requests by the tier that served them, by ${width(told.over_time)}.`,
    chart({ title: "Share of requests by tier", says: `Tiers: ${names.join(", ")}.`, time: true, stacked: true, top: 1, show: (value) => percent(value, 0), series }),
    chart({ title: "Share of requests that escalated", says: `${percent(told.escalated / told.requests)} in all.`, time: true, show: (value) => percent(value, 1), height: 150, series: [{ name: "escalated", tone: "t3", points: rate, area: true }] }),
  );
}

function difficulty(given: Given, told: Told, route: string): HTMLElement {
  const bins = told.difficulty as number[];
  const total = bins.reduce((sum, each) => sum + each, 0);
  const threshold = route && (given.view.route || Object.keys(given.routes).length === 1) ? inForce(given, route) : null;
  if (!total) return card("Difficulty", "", h("p", {}, "No request in this period was scored."));
  const points = bins.flatMap((value, n): [number, number][] => [
    [n / bins.length, value / total],
    [(n + 1) / bins.length - 1e-6, value / total],
  ]);
  return card(
    "Difficulty",
    `${ofDrawn(told.drawn, told.requests)}. ${threshold === null ? "Choose a route to see its threshold." : `From ${threshold.toFixed(2)} on they start above the first tier.`}`,
    chart({ title: "Requests by difficulty", says: "Share of requests in each twentieth.", across: "difficulty", show: (value) => percent(value, 0), showAcross: (value) => value.toFixed(2), left: 0, right: 1, series: [{ name: "share of requests", tone: "t0", points, area: true }], marks: threshold === null ? [] : [{ at: threshold, name: `threshold ${threshold.toFixed(2)}` }] }),
  );
}

function why(told: Told): HTMLElement {
  const reasons = (told.reasons as Told[]).map((row) => ({ name: `${row.reason || "unsaid"}`, note: `${row.from} → ${row.to}, ${String(row.cause).replace("_", "-")}`, value: row.count, text: count(row.count), tone: "t3" }));
  const starts = Object.entries(told.start_reasons as Record<string, number>).map(([name, value]) => ({ name, value, text: percent(value / told.drawn), tone: "t1" }));
  return card(
    "Why",
    `${ofDrawn(told.drawn, told.requests)}.`,
    h("h3", {}, "Escalations by reason"),
    reasons.length ? bars("Escalations by reason", reasons) : h("p", {}, "None of them escalated."),
    h("h3", {}, "Starts by reason"),
    bars("Starts by reason", starts),
  );
}

function verdict(saved: number): HTMLElement {
  return saved ? h("span", { class: saved > 0 ? "chip good" : "chip bad" }, saved > 0 ? "pays" : "loses") : h("span", { class: "chip" }, "even");
}

function escalation(given: Given, told: Told): HTMLElement {
  const rows = told.escalation as Told[];
  const columns = [
    { name: "route", cell: (row: Told) => String(row.route) },
    { name: "starts at", cell: (row: Told) => String(row.tier) },
    { name: "requests", cell: (row: Told) => count(row.requests), number: true },
    { name: "escalated, e", cell: (row: Told) => percent(row.rate), number: true },
    { name: "break-even, e*", cell: (row: Told) => percent(row.break_even), number: true },
    { name: "saved", cell: (row: Told) => percent(1 - row.cost / row.baseline_cost), number: true },
    { name: "", cell: (row: Told) => verdict(row.baseline_cost - row.cost) },
  ];
  const many = Object.values(given.routes).some((each) => each.tiers.length > 2);
  return card(
    "Escalation beside break-even",
    "e is the share of what starts at a tier that a higher one had to answer; e* is the most that may before starting there costs more than it saves. What escalates is often dear: whether it pays is what it saved." +
      (many ? " Where a route has three tiers e* is approximate, and on the safe side: it takes every escalation for one to the baseline tier." : ""),
    rows.length ? table("Escalation rate beside break-even", columns, rows) : h("p", {}, "Nothing escalated in this period."),
  );
}
