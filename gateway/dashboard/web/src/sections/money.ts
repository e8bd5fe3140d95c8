// Money: what was spent, what the baseline tier alone would have cost, and what lies between.

import { ask, questionOf } from "../api";
import { chart } from "../chart";
import { h } from "../dom";
import { count, dollars, exact, percent, range, usd, when } from "../format";
import { bars, card, code, empty, steps, table, tiles, toneOf } from "../parts";
import { ladder, type Given, type Told } from "./section";

const STEPS: [string, string, number][] = [
  ["cheaper", "cheaper tiers and caches", -1],
  ["discarded", "discarded drafts", 1],
  ["checks", "checks", 1],
  ["scoring", "scorer's calls", 1],
  ["cut_off", "cut off by a dead process", 1],
  ["shadow", "shadows", 1],
  ["gateway", "the gateway's own", 1],
];

export async function money(given: Given): Promise<HTMLElement[]> {
  const told = await ask("money", questionOf(given.view), given.signal);
  if (!told.requests) {
    return [empty("No requests in this period", "Choose a longer one, or send some: point an OpenAI client at this gateway. ", code("waterfall demo"), " sends some by itself.")];
  }
  return [headline(given, told), bill(told), overTime(told), payback(told), tables(given, told)];
}

function headline(given: Given, told: Told): HTMLElement {
  const asked = given.view.route ? [given.routes[given.view.route]] : Object.values(given.routes);
  const names = [...new Set(asked.map((each) => each?.baseline).filter(Boolean))].join(" or ");
  const { bill, saved_share: share } = told;
  const sure = share.low > 0 ? "good" : share.high < 0 ? "bad" : "plain";
  const word = bill.saved >= 0 ? "Saved" : "Lost";
  const each = (bill.actual / told.requests) * 1000;
  const base = (bill.baseline / told.requests) * 1000;
  const spread = share.value === null ? "no baseline in this period" : share.low === null ? `${percent(share.value)} of the baseline; too few hours for an interval` : `${percent(share.value)} of the baseline; 95 % interval ${range(share)}`;
  return tiles([
    { id: "saved", name: word, value: usd(Math.abs(bill.saved)), exact: exact(bill.saved), note: spread, tone: sure },
    { id: "actual", name: "Spent", value: usd(bill.actual), exact: exact(bill.actual), note: "checks, shadows and discarded drafts included" },
    { id: "baseline", name: "Baseline", value: usd(bill.baseline), exact: exact(bill.baseline), note: `the same requests at ${names || "the baseline tier"} alone` },
    { id: "per-1000", name: "Per 1,000 requests", value: usd(each), note: `baseline ${usd(base)}` },
    { id: "requests", name: "Requests", value: count(told.requests), exact: String(told.requests), note: `${count(told.sums.escalated)} escalated, ${count(told.sums.degraded)} degraded` },
  ]);
}

function bill(told: Told): HTMLElement {
  const found = told.bill;
  const signed = (value: number): string => `${value < 0 ? "−" : "+"}${usd(Math.abs(value))}`;
  const rows = [{ name: "baseline tier alone", from: 0, to: found.baseline, text: usd(found.baseline), tone: "whole" }];
  let at = found.baseline as number;
  for (const [key, name, sign] of STEPS) {
    const change = sign * found[key];
    if (!change) continue;
    rows.push({ name, from: at, to: at + change, text: signed(change), tone: change < 0 ? "less" : "more" });
    at += change;
  }
  rows.push({ name: "spent", from: 0, to: at, text: usd(at), tone: "whole" });
  return card("The bill, step by step", "From what the baseline tier alone would have cost to what was spent. The steps add up to the nano-dollar.", steps("The bill, step by step", rows));
}

function overTime(told: Told): HTMLElement {
  const rows = told.over_time as Told[];
  const of = (name: string): [number, number][] => rows.map((row) => [row.at, row[name] / 1e9]);
  const last = rows.at(-1)!;
  const running = last.at + step(rows) > Date.now() / 1000;
  const short = [
    rows[0]!.at < told.since ? "The first is of the period's hours alone." : "",
    running ? "The last is not over yet." : last.at + step(rows) > told.until ? "The last is of the period's hours alone." : "",
  ];
  return card(
    "Actual against baseline",
    [`Dollars by ${width(rows)}, from ${when(told.since)} to ${when(told.until)} UTC: together what is said above.`, ...short].filter(Boolean).join(" "),
    chart({
      title: "Dollars spent, and what the baseline would have cost",
      says: `Spent ${usd(told.bill.actual)} in all, baseline ${usd(told.bill.baseline)}.`,
      time: true,
      show: dollars,
      series: [
        { name: "baseline", tone: "base", points: of("baseline"), dashed: true },
        { name: "spent", tone: "t0", points: of("cost"), area: true },
      ],
      marks: running ? [{ at: last.at, name: "not over yet" }] : [],
    }),
  );
}

/** Seconds of a step. */
function step(rows: Told[]): number {
  return rows.length > 1 ? rows[1]!.at - rows[0]!.at : 3600;
}

export function width(rows: Told[]): string {
  const hours = step(rows) / 3600;
  return hours === 1 ? "hour" : hours % 24 ? `${hours} hours` : hours === 24 ? "day" : `${hours / 24} days`;
}

function payback(told: Told): HTMLElement {
  const place = h("div");
  const field = h("input", { type: "number", id: "invested", min: 0, step: "any", value: invested(), inputmode: "decimal" });
  const draw = (): void => {
    const spent = Math.max(0, Number(field.value) || 0);
    localStorage.setItem("waterfall.invested", String(spent));
    let at = -spent;
    const points = (told.over_time as Told[]).map((row): [number, number] => [row.at, (at += (row.baseline - row.cost) / 1e9)]);
    const back = spent ? points.find(([, value]) => value >= 0) : undefined;
    const says = !spent ? `${dollars(at)} by the end.` : back ? `Paid back on ${when(back[0])} UTC.` : `Not paid back yet: ${dollars(at)} by the end.`;
    place.replaceChildren(
      h("p", { class: "answer" }, says),
      chart({ title: "What was saved so far, less what it had cost to begin", says, time: true, show: dollars, series: [{ name: "saved so far", tone: "t1", points, area: true }], marks: back ? [{ at: back[0], name: "paid back" }] : [] }),
    );
  };
  field.addEventListener("change", draw);
  draw();
  const label = h("label", { for: "invested", class: "inline" }, "It cost to begin, in dollars ", field);
  return card("Pay-back", "Savings added up from the beginning of the period.", label, place);
}

function invested(): string {
  return localStorage.getItem("waterfall.invested") ?? "0";
}

function tables(given: Given, told: Told): HTMLElement {
  const columns = (name: string) => [
    { name, cell: (row: Told) => String(row[name]) },
    { name: "requests", cell: (row: Told) => count(row.requests), number: true },
    { name: "spent", cell: (row: Told) => usd(row.cost), number: true },
    { name: "baseline", cell: (row: Told) => usd(row.baseline), number: true },
    { name: "saved", cell: (row: Told) => percent(row.saved), number: true },
    { name: "per 1,000", cell: (row: Told) => usd(row.cost_per_1000), number: true },
  ];
  const tiers = ladder(given, Object.keys(told.served));
  const served = Object.entries(told.served as Record<string, number>).map(([tier, value]) => ({ name: tier === "none" ? "no answer" : tier, value, text: `${count(value)} · ${percent(value / told.requests)}`, tone: toneOf(tiers, tier) }));
  return h(
    "div",
    { class: "pair" },
    card("By route", "Shadows and the gateway's own cost are in no row.", table("Cost by route", columns("route"), told.by_route)),
    card("By the tier that served", "", bars("Requests by the tier that served", served), table("Cost by tier", columns("tier"), told.by_tier)),
  );
}
