// How upstreams, limits and the shared state stand just now, in words.

import { h } from "../dom";
import { count } from "../format";
import { card, table } from "../parts";
import { metric, type Given } from "./section";

interface Deployment {
  upstream: string;
  model: string;
}

const STATES: [string, string][] = [
  ["closed", "chip good"],
  ["trying one call", "chip"],
  ["open: left alone", "chip bad"],
];

export function upstreams(given: Given): HTMLElement {
  const rows = (given.now.waterfall_upstream_breaker_state ?? []).map((each) => ({ upstream: each.labels.upstream ?? "", model: each.labels.model ?? "" }));
  const of = (name: string, row: Deployment): number => (given.now[name] ?? []).filter((each) => each.labels.upstream === row.upstream && each.labels.model === row.model).reduce((sum, each) => sum + each.value, 0);
  const state = (row: Deployment): HTMLElement => {
    if (of("waterfall_credentials_set_aside", row)) return h("span", { class: "chip bad" }, "refuses our key or model");
    if (of("waterfall_upstream_ejected", row)) return h("span", { class: "chip bad" }, "sent off: fails more than others");
    const [words, tone] = STATES[of("waterfall_upstream_breaker_state", row)] ?? ["unknown", "chip"];
    return h("span", { class: tone }, words);
  };
  const limit = (row: Deployment): string => {
    const most = of("waterfall_upstream_concurrency_limit", row);
    return most ? count(most) : "any";
  };
  return card(
    "Upstreams",
    "Just now; what opened and what was turned away is since the start.",
    rows.length
      ? table("How each upstream stands", [
          { name: "upstream", cell: (row: Deployment) => `${row.upstream}, ${row.model}` },
          { name: "breaker", cell: state },
          { name: "opened", cell: (row) => count(of("waterfall_upstream_breaker_changes_total", row)), number: true },
          { name: "calls now", cell: (row) => `${count(of("waterfall_upstream_in_flight_calls", row))} of ${limit(row)}`, number: true },
          { name: "in line", cell: (row) => count(of("waterfall_upstream_waiting_calls", row)), number: true },
          { name: "turned away", cell: (row) => count(of("waterfall_upstream_shed_total", row)), number: true },
        ], rows)
      : h("p", {}, "None has been asked since the start."),
  );
}

const LIMITS: Record<string, string> = { rpm: "requests a minute", tpm: "tokens a minute", concurrency: "requests at once" };
const ACTIONS: Record<string, string> = { reject: "turned away", downgrade: "served small", warn: "warned" };

export function limits(given: Given): HTMLElement {
  const rows = (given.now.waterfall_limited_total ?? []).map(({ labels, value }) => ({ ...labels, value })) as unknown as { scope: string; limit: string; action: string; value: number }[];
  const words = (limit: string): string => LIMITS[limit] ?? `budget of a ${limit.replace("budget_", "")}`.replace("a total", "all time");
  const up = metric(given, "waterfall_shared_up");
  const hits = metric(given, "waterfall_cache_hits_total");
  const made = card(
    "Limits and budgets",
    "How often each was met since the start.",
    rows.length
      ? table("Limits and budgets that were met", [
          { name: "of a", cell: (row: { scope: string }) => row.scope },
          { name: "limit", cell: (row: { limit: string }) => words(row.limit) },
          { name: "then", cell: (row: { action: string }) => ACTIONS[row.action] ?? row.action },
          { name: "times", cell: (row: { value: number }) => count(row.value), number: true },
        ] as never, rows)
      : h("p", {}, "None is set, or none was met."),
  );
  if (up !== null) {
    const down = up < (metric(given, "waterfall_workers") ?? 1);
    made.append(h("p", {}, "Shared state ", h("span", { class: down ? "chip bad" : "chip good" }, down ? "does not answer" : "answers"), ` ${count(metric(given, "waterfall_shared_failures_total"))} of ${count(metric(given, "waterfall_shared_trips_total"))} trips came to nothing.`));
  }
  if (hits !== null) made.append(h("p", {}, `${count(hits)} replies were said again from the cache.`));
  return made;
}
