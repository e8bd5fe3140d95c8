// Quality: what labels say of the answers.

import { ask, questionOf } from "../api";
import { chart } from "../chart";
import { h } from "../dom";
import { count, percent, points, range, usd } from "../format";
import { card, code, empty, table, tiles, type Tile } from "../parts";
import { inForce, routeOf, type Given, type Told } from "./section";

const GRID = [0, 0.2, 0.4, 0.6, 0.7, 0.8, 0.9, 1];

export async function quality(given: Given): Promise<HTMLElement[]> {
  const told = await ask("quality", questionOf(given.view), given.signal);
  const promises = given.now.waterfall_promise ?? [];
  if (!told.labelled) {
    return [
      empty("No answers have been judged in this period", "Send what people think of them to ", code("POST /v1/feedback"), ", or let a judge look: ", code("checks: {…: {kind: judge}}"), " and ", code("shadow"), " make labels of their own. Without labels nobody knows what was lost."),
    ];
  }
  return [headline(given, told, promises), byTier(told), h("div", { class: "pair" }, calibration(told), frontier(given, told))];
}

function headline(given: Given, told: Told, promises: { labels: Record<string, string>; value: number }[]): HTMLElement {
  const gap = told.difference;
  const tone = gap.value === null ? "plain" : gap.low > 0 ? "good" : gap.high < 0 ? "bad" : "plain";
  const sure = gap.value === null ? told.why : `${range(gap, points)} (95 %)${gap.low <= 0 && gap.high >= 0 ? ": not to be told from none" : ""}`;
  const kept = promises.map((each) => `${each.labels.route}: ${each.value ? "promised" : "not promised"} (${each.labels.kind})`).join("; ");
  return tiles([
    { id: "quality-gap", name: `Against ${told.baseline_tier} alone`, value: gap.value === null ? "unknown" : points(gap.value), note: sure, tone },
    floorTile(given, told),
    { id: "labelled", name: "Judged answers", value: count(told.labelled), note: `of the newest ${count(told.newest)} that anybody judged; ${count(told.pairs)} pairs with ${told.baseline_tier}` },
    { id: "promise", name: "Promise of quality", value: promises.length ? (promises.every((each) => each.value) ? "kept" : "not kept") : "none", note: kept || "set target_quality on a route to have one" },
  ]);
}

/** The quality that the routes in view are to keep: the strictest of them. */
function floorOf(given: Given, route: string): number | null {
  const asked = route ? [given.routes[route]] : Object.values(given.routes);
  const floors = asked.map((each) => each?.floor ?? null).filter((each) => each !== null);
  return floors.length ? Math.max(...floors) : null;
}

/** The floor as what may be lost against the baseline tier, and whether the measured interval is over it. */
function floorTile(given: Given, told: Told): Tile {
  const floor = floorOf(given, given.view.route);
  const name = "Floor of quality";
  if (floor === null) return { id: "floor", name, value: "none", note: "threshold: {target_quality: 0.98} on a route sets one" };
  const own = told.baseline_label as number | null;
  const part = `${percent(floor)} of ${told.baseline_tier}'s own`;
  if (own === null) return { id: "floor", name, value: percent(floor), note: `${part}; too few of its answers are judged` };
  const least = (floor - 1) * own;
  const gap = told.difference;
  const held = gap.value === null ? "not to be told yet" : gap.low >= least ? "held" : gap.high < least ? "broken" : "not to be told yet";
  return { id: "floor", name, value: points(least), note: `${part} ${percent(own)}: ${held}`, tone: held === "held" ? "good" : held === "broken" ? "bad" : "plain" };
}

function byTier(told: Told): HTMLElement {
  const served = Object.values(told.served as Record<string, number>).reduce((sum, each) => sum + each, 0);
  const rows = Object.entries(told.tiers as Record<string, Told>);
  return card(
    "Mean label by tier",
    "With Wilson's 95 % interval. They hold as far as answers were judged by chance.",
    table(
      "Mean label by the tier that served",
      [
        { name: "served by", cell: ([tier]: [string, Told]) => tier },
        { name: "of answers", cell: ([tier]) => percent((told.served[tier] ?? 0) / (served || 1)), number: true },
        { name: "labels", cell: ([, each]) => count(each.labels), number: true },
        { name: "mean label", cell: ([, each]) => (each.value === null ? `under ${told.least} labels` : percent(each.value)), number: true },
        { name: "95 % interval", cell: ([, each]) => range(each as never) || "–", number: true },
      ],
      rows,
    ),
  );
}

function calibration(told: Told): HTMLElement {
  const rows = told.calibration as Told[];
  if (rows.length < 2) return card("Calibration", "", h("p", {}, "Too few answers of the first tier are judged."));
  return card(
    "Calibration",
    `Of ${count(told.drawn)} judged requests drawn by chance: how often the first tier was good, by how often the scorer expected it.`,
    chart({
      title: "Found, by expected",
      says: "On the diagonal the scorer's word can be taken as it is.",
      across: "expected",
      left: 0,
      right: 1,
      top: 1,
      show: (value) => percent(value, 0),
      showAcross: (value) => percent(value, 0),
      series: [
        { name: "as it should be", tone: "base", dashed: true, points: [[0, 0], [1, 1]] },
        { name: "found", tone: "t0", dots: true, points: rows.map((row) => [row.predicted, row.found]) },
      ],
    }),
  );
}

function frontier(given: Given, all: Told): HTMLElement {
  const route = routeOf(given);
  const floor = floorOf(given, route);
  const least = floor === null || all.baseline_label === null ? null : floor * all.baseline_label;
  const place = h("div", { "aria-live": "polite" }, h("p", { class: "about" }, "Replaying …"));
  const made = card("Cost and quality", "Each dot is a threshold, tried on a sample by replay; the marked cost is that of the one in force.", place);
  const draw = async (): Promise<void> => {
    const now = inForce(given, route);
    const view = { ...given.view, route };
    const rows: Told[] = [];
    let here: Told | undefined;
    for (const threshold of [...GRID, ...(now === null ? [] : [now])]) {
      const told = await ask("what-if", questionOf(view, { threshold }), given.signal);
      if (told.why) return place.replaceChildren(h("p", {}, told.why));
      rows.push(told);
      if (threshold === now) here = told;
    }
    const cost = (told: Told): number => (told.bounds.cost_per_1000[0] + told.bounds.cost_per_1000[1]) / 2;
    const known = rows.filter((told) => told.bounds.quality.value !== null).sort((a, b) => cost(a) - cost(b));
    if (known.length < 2) return place.replaceChildren(h("p", {}, "Too few labels to say how good another threshold would be."));
    place.replaceChildren(
      chart({
        title: `Mean label by what 1,000 requests of ${route} cost`,
        says: `${known.length} thresholds.`,
        across: "per 1,000 requests",
        show: (value) => percent(value, 1),
        showAcross: (value) => usd(value),
        bottom: Math.max(0, Math.min(least ?? 1, ...known.map((told) => told.bounds.quality.low)) - 0.05),
        top: 1,
        series: [...(least === null ? [] : [{ name: `floor ${percent(least)}`, tone: "bad", dashed: true, points: [known[0]!, known.at(-1)!].map((told): [number, number] => [cost(told), least]) }]), { name: "mean label", tone: "t1", dots: true, points: known.map((told) => [cost(told), told.bounds.quality.value]), low: known.map((told) => told.bounds.quality.low), high: known.map((told) => told.bounds.quality.high) }],
        marks: here ? [{ at: cost(here), name: `in force: ${now?.toFixed(2)}` }] : [],
      }),
    );
  };
  if (route) void draw().catch((error: Error) => { if (error.name !== "AbortError") place.replaceChildren(h("p", { class: "error" }, error.message)); });
  else place.replaceChildren(h("p", {}, "No route has two tiers."));
  return made;
}
