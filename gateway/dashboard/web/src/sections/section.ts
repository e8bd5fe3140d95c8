// What a section is given: the view, what is configured, and a signal that ends when it is left.

import type { Json } from "../api";
import { count } from "../format";
import type { View } from "../state";

export interface Route {
  tiers: string[];
  thresholds: number[];
  baseline: string;
  mode: string;
  live: boolean;
  /** What the threshold is to keep of the strong tier's quality, 0..1; null where nothing is asked. */
  floor: number | null;
}

export interface Given {
  view: View;
  routes: Record<string, Route>;
  /** What the gateway says of itself now: series by metric. */
  now: Record<string, { labels: Record<string, string>; value: number }[]>;
  signal: AbortSignal;
}

export type Section = (given: Given) => Promise<HTMLElement[]>;

/** The names of all tiers, cheap to strong; those of the past behind. */
export function ladder(given: Given, seen: string[] = []): string[] {
  const chosen = given.view.route ? [given.routes[given.view.route]] : Object.values(given.routes);
  const known = chosen.flatMap((each) => each?.tiers ?? []);
  const strong = new Set(chosen.map((each) => each?.tiers.at(-1)));
  const names = [...new Set([...known.filter((each) => !strong.has(each)), ...seen.filter((each) => !known.includes(each) && each !== "none"), ...known])];
  return names;
}

/** The route that a threshold is tried of: the chosen one, else the default one, else the first. */
export function routeOf(given: Given): string {
  const names = Object.keys(given.routes).filter((name) => (given.routes[name]?.tiers.length ?? 0) > 1);
  return given.view.route || names.find((name) => name === "waterfall") || names[0] || "";
}

/** The first threshold in force of a route, as the gateway says now. */
export function inForce(given: Given, route: string): number | null {
  const live = given.now.waterfall_threshold?.find((each) => each.labels.route === route);
  return live?.value ?? given.routes[route]?.thresholds[0] ?? null;
}

export function metric(given: Given, name: string): number | null {
  const found = given.now[name];
  return found ? found.reduce((sum, each) => sum + each.value, 0) : null;
}

export type Told = Json;

/** Whose figures these are, where at most so many requests are looked at. */
export function ofDrawn(drawn: number, all: number): string {
  return drawn >= all ? `Of all ${count(all)} requests` : `Of ${count(drawn)} requests drawn by chance`;
}
