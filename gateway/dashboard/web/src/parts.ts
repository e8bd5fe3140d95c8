// What sections are made of: tiles, tables, bars, and what stands where there is nothing.

import { h, type Child } from "./dom";

export interface Tile {
  name: string;
  value: string;
  note?: string;
  tone?: "good" | "bad" | "plain";
  /** The whole figure, where the value is rounded. */
  exact?: string;
  id?: string;
}

export function tiles(rows: Tile[]): HTMLElement {
  const made = rows.map((each) =>
    h(
      "div",
      { class: `tile ${each.tone ?? "plain"}` },
      h("dt", {}, each.name),
      h("dd", { class: "value", title: each.exact, "data-figure": each.id, "data-exact": each.exact }, each.value),
      each.note ? h("dd", { class: "note" }, each.note) : null,
    ),
  );
  return h("dl", { class: "tiles" }, ...made);
}

export function card(title: string, about: string, ...children: Child[]): HTMLElement {
  return h("section", { class: "card" }, h("h2", {}, title), about ? h("p", { class: "about" }, about) : null, ...children);
}

export interface Column<Row> {
  name: string;
  cell: (row: Row) => Child;
  number?: boolean;
}

export function table<Row>(title: string, columns: Column<Row>[], rows: Row[], mark?: (row: Row) => Record<string, unknown>): HTMLElement {
  const head = columns.map((each) => h("th", { scope: "col", class: each.number ? "number" : null }, each.name));
  const body = rows.map((row) => {
    const cells = columns.map((each, n) => h(n ? "td" : "th", n ? { class: each.number ? "number" : null } : { scope: "row" }, each.cell(row)));
    return h("tr", mark?.(row) ?? {}, ...cells);
  });
  return h(
    "div",
    { class: "scroll", tabindex: 0, role: "region", "aria-label": title },
    h("table", {}, h("caption", { class: "unseen" }, title), h("thead", {}, h("tr", {}, ...head)), h("tbody", {}, ...body)),
  );
}

export interface Bar {
  name: string;
  value: number;
  text: string;
  tone?: string;
  note?: string;
}

/** Bars beside their names, as long as their part of the longest. */
export function bars(title: string, rows: Bar[]): HTMLElement {
  const most = Math.max(...rows.map((each) => each.value), 1e-12);
  const made = rows.map((each) =>
    h(
      "li",
      {},
      h("span", { class: "bar-name" }, each.name, each.note ? h("small", {}, each.note) : null),
      h("span", { class: "bar-room", "aria-hidden": "true" }, h("span", { class: `bar ${each.tone ?? "t0"}`, css: { width: `${Math.max(0.5, (each.value / most) * 100)}%` } })),
      h("span", { class: "bar-value" }, each.text),
    ),
  );
  return h("ul", { class: "bars", "aria-label": title }, ...made);
}

/** A bill from one amount to another, each step beginning where the last has ended. */
export function steps(title: string, rows: { name: string; from: number; to: number; text: string; tone: string }[]): HTMLElement {
  const ends = rows.flatMap((each) => [each.from, each.to]);
  const [low, high] = [Math.min(0, ...ends), Math.max(...ends, 1)];
  const part = (value: number): number => ((value - low) / (high - low)) * 100;
  const made = rows.map((each) => {
    const [start, end] = [part(Math.min(each.from, each.to)), part(Math.max(each.from, each.to))];
    return h(
      "li",
      {},
      h("span", { class: "bar-name" }, each.name),
      h("span", { class: "bar-room", "aria-hidden": "true" }, h("span", { class: `bar ${each.tone}`, css: { "margin-left": `${start}%`, width: `${Math.max(0.4, end - start)}%` } })),
      h("span", { class: "bar-value" }, each.text),
    );
  });
  return h("ul", { class: "bars steps", "aria-label": title }, ...made);
}

/** What to say, and to do, where there is nothing to show. */
export function empty(title: string, ...what: Child[]): HTMLElement {
  return h("div", { class: "empty" }, h("h2", {}, title), h("p", {}, ...what));
}

export function code(text: string): HTMLElement {
  return h("code", {}, text);
}

/** The name of a tier's colour: by its place from cheap to strong. */
export function toneOf(tiers: string[], tier: string): string {
  const place = tiers.indexOf(tier);
  if (place < 0) return "t9";
  if (place === tiers.length - 1 && tiers.length > 1) return "t3";
  return `t${Math.min(place, 2)}`;
}
