// Lines, areas and stacks over one axis: drawn to their place's width, read with pointer or arrow keys.

import { fresh, h, s } from "./dom";
import { short, tick, when } from "./format";
import { linear, nice, times, type Scale } from "./scale";

export interface Series {
  name: string;
  points: [number, number | null][];
  /** The name of its colour: a class of the style sheet. */
  tone: string;
  /** The band about it. */
  low?: (number | null)[];
  high?: (number | null)[];
  dashed?: boolean;
  area?: boolean;
  dots?: boolean;
}

export interface Mark {
  at: number;
  name: string;
  tone?: string;
}

export interface Plot {
  title: string;
  /** What the chart says, in a sentence, for who cannot see it. */
  says: string;
  series: Series[];
  show: (value: number) => string;
  time?: boolean;
  across?: string;
  showAcross?: (value: number) => string;
  stacked?: boolean;
  top?: number;
  bottom?: number;
  left?: number;
  right?: number;
  marks?: Mark[];
  height?: number;
}

const EDGE = { top: 14, right: 14, bottom: 30 };

export function chart(plot: Plot): HTMLElement {
  const place = h("div", { class: "plot" });
  const key = h("ul", { class: "legend" });
  for (const each of plot.series) {
    key.append(h("li", {}, h("span", { class: `swatch ${each.tone}${each.dashed ? " dashed" : ""}`, "aria-hidden": "true" }), each.name));
  }
  const read = h("p", { class: "reading", role: "status" });
  const drawn = widened(plot.stacked ? stack(plot) : plot);
  let last = 0;
  const draw = (): void => {
    const width = Math.floor(place.clientWidth);
    if (width && width !== last) {
      last = width;
      place.replaceChildren(svg(plot, drawn, width, read));
    }
  };
  new ResizeObserver(draw).observe(place);
  return h(
    "figure",
    { class: "chart" },
    h("figcaption", {}, plot.title),
    plot.series.length > 1 || plot.marks?.length ? key : null,
    place,
    read,
    table(plot),
  );
}

/** One hour alone is drawn as wide as it is, not as a dot. */
function widened(plot: Plot): Plot {
  const places = new Set(plot.series.flatMap((each) => each.points.map(([x]) => x)));
  if (!plot.time || places.size !== 1) return plot;
  const twice = <T>(values: T[]): T[] => [...values, ...values];
  const series = plot.series.map((each) => ({
    ...each,
    points: twice(each.points).map(([x, y], n): [number, number | null] => [n < each.points.length ? x : x + 3600, y]),
    ...(each.low && each.high ? { low: twice(each.low), high: twice(each.high) } : {}),
  }));
  return { ...plot, series };
}

/** Series on top of each other: each line is the sum of those up to it. */
function stack(plot: Plot): Plot {
  const below = new Map<number, number>();
  const series = plot.series.map((each) => {
    const low = each.points.map(([x]) => below.get(x) ?? 0);
    const points = each.points.map(([x, y], n): [number, number] => [x, (low[n] ?? 0) + (y ?? 0)]);
    points.forEach(([x, y]) => below.set(x, y));
    return { ...each, points, low, high: points.map(([, y]) => y) };
  });
  return { ...plot, series };
}

function bounds(plot: Plot): [number, number, number, number] {
  const xs = plot.series.flatMap((each) => each.points.map(([x]) => x));
  const ys = plot.series.flatMap((each) => [...each.points.map(([, y]) => y), ...(each.low ?? []), ...(each.high ?? [])]);
  const known = ys.filter((y): y is number => y !== null && Number.isFinite(y));
  const across = [...xs, ...(plot.marks ?? []).map((each) => each.at)];
  return [
    plot.left ?? Math.min(...across),
    plot.right ?? Math.max(...across),
    plot.bottom ?? Math.min(0, ...known),
    plot.top ?? Math.max(0, ...known),
  ];
}

function svg(plot: Plot, drawn: Plot, width: number, read: HTMLElement): SVGElement {
  const height = plot.height ?? (width < 420 ? 190 : 230);
  const [left, right, bottom, top] = bounds(drawn);
  const steps = nice(bottom, top, height < 200 ? 4 : 5);
  const texts = steps.map((each) => short(plot.show(each)));
  const edge = Math.max(30, Math.max(...texts.map((each) => each.length)) * 6.8 + 14);
  const most = Math.max(2, Math.floor((width - edge) / 86));
  const y = linear(Math.min(bottom, steps[0] ?? bottom), Math.max(top, steps.at(-1) ?? top), height - EDGE.bottom, EDGE.top, steps);
  const x = linear(left, right, edge, width - EDGE.right, plot.time ? times(left, right, most) : nice(left, right, most).filter((each) => each >= left && each <= right));
  const parts: SVGElement[] = [...axes(plot, x, y, width, height, right - left, edge)];
  for (const each of drawn.series) parts.push(...line(each, x, y, plot.stacked ?? false));
  for (const mark of plot.marks ?? []) parts.push(...marked(mark, x, height, width));
  const cursor = s("line", { class: "cursor", y1: EDGE.top, y2: height - EDGE.bottom, visibility: "hidden" });
  const label = fresh("chart");
  const whole = s(
    "svg",
    { viewBox: `0 0 ${width} ${height}`, width, height, role: "img", tabindex: 0, "aria-labelledby": label },
    s("title", { id: label }, `${plot.title}. ${plot.says} Arrow keys read the values.`),
    ...parts,
    cursor,
  );
  listen(whole, plot, x, cursor, read);
  return whole;
}

function* axes(plot: Plot, x: Scale, y: Scale, width: number, height: number, span: number, edge: number): Generator<SVGElement> {
  for (const value of y.ticks) {
    const at = y.at(value);
    yield s("line", { class: value === 0 ? "zero" : "grid", x1: edge, x2: width - EDGE.right, y1: at, y2: at });
    yield s("text", { class: "tick", x: edge - 8, y: at + 4, "text-anchor": "end" }, short(plot.show(value)));
  }
  const show = plot.showAcross ?? ((value: number) => (plot.time ? tick(value, span) : String(value)));
  for (const value of x.ticks) {
    const at = x.at(value);
    const anchor = at > width - EDGE.right - 16 ? "end" : "middle";
    yield s("text", { class: "tick", x: at, y: height - EDGE.bottom + 18, "text-anchor": anchor }, plot.time ? show(value) : short(show(value)));
  }
}

function* line(each: Series, x: Scale, y: Scale, stacked: boolean): Generator<SVGElement> {
  const at = (px: number, py: number): string => `${x.at(px).toFixed(1)},${y.at(py).toFixed(1)}`;
  const known = each.points.filter((point): point is [number, number] => point[1] !== null);
  if (each.low && each.high) {
    const band = each.points.map(([px], n) => [px, each.low?.[n] ?? null, each.high?.[n] ?? null] as const).filter(([, low, high]) => low !== null && high !== null);
    const up = band.map(([px, , high]) => at(px, high as number));
    const down = [...band].reverse().map(([px, low]) => at(px, low as number));
    if (up.length) yield s("polygon", { class: `${stacked ? "stack" : "band"} ${each.tone}`, points: [...up, ...down].join(" ") });
  } else if (each.area && known.length) {
    const first = known[0] as [number, number];
    const last = known.at(-1) as [number, number];
    const points = [at(first[0], 0), ...known.map(([px, py]) => at(px, py)), at(last[0], 0)];
    yield s("polygon", { class: `band ${each.tone}`, points: points.join(" ") });
  }
  if (!stacked && known.length) {
    yield s("polyline", { class: `line ${each.tone}${each.dashed ? " dashed" : ""}`, points: known.map(([px, py]) => at(px, py)).join(" ") });
  }
  if (each.dots || known.length === 1) {
    for (const [px, py] of known) yield s("circle", { class: `dot ${each.tone}`, cx: x.at(px), cy: y.at(py), r: 4 });
  }
}

function* marked(mark: Mark, x: Scale, height: number, width: number): Generator<SVGElement> {
  const at = x.at(mark.at);
  const end = at > width * 0.6;
  yield s("line", { class: `mark ${mark.tone ?? ""}`, x1: at, x2: at, y1: EDGE.top, y2: height - EDGE.bottom });
  yield s("text", { class: "name", x: at + (end ? -6 : 6), y: EDGE.top + 10, "text-anchor": end ? "end" : "start" }, mark.name);
}

function listen(whole: SVGElement, plot: Plot, x: Scale, cursor: SVGElement, read: HTMLElement): void {
  const xs = [...new Set(plot.series.flatMap((each) => each.points.map(([px]) => px)))].sort((a, b) => a - b);
  let now = -1;
  const point = (next: number): void => {
    now = Math.max(0, Math.min(xs.length - 1, next));
    const value = xs[now];
    if (value === undefined) return;
    cursor.setAttribute("x1", String(x.at(value)));
    cursor.setAttribute("x2", String(x.at(value)));
    cursor.setAttribute("visibility", "visible");
    read.textContent = [place(plot, value), ...plot.series.map((each) => spoken(plot, each, value))].filter(Boolean).join(" · ");
  };
  const leave = (): void => {
    cursor.setAttribute("visibility", "hidden");
    read.textContent = "";
  };
  whole.addEventListener("pointermove", (event) => {
    const box = whole.getBoundingClientRect();
    const value = x.back(event.clientX - box.left);
    point(xs.reduce((best, each, n) => (Math.abs(each - value) < Math.abs((xs[best] ?? 0) - value) ? n : best), 0));
  });
  whole.addEventListener("pointerleave", leave);
  whole.addEventListener("blur", leave);
  whole.addEventListener("keydown", (event) => {
    const step = { ArrowRight: now + 1, ArrowLeft: now < 0 ? xs.length - 1 : now - 1, Home: 0, End: xs.length - 1 }[event.key];
    if (step === undefined) return;
    event.preventDefault();
    point(step);
  });
}

function place(plot: Plot, value: number): string {
  if (plot.time) return `${when(value)} UTC`;
  return `${plot.across ?? ""} ${(plot.showAcross ?? String)(value)}`.trim();
}

function spoken(plot: Plot, each: Series, value: number): string {
  const found = each.points.find(([x]) => x === value)?.[1];
  return found === null || found === undefined ? "" : `${each.name} ${plot.show(found)}`;
}

/** The same as a table, for who reads it that way. */
function table(plot: Plot): HTMLElement {
  const made = h("details", { class: "as-table" }, h("summary", {}, "As a table"));
  made.addEventListener(
    "toggle",
    () => {
      const xs = [...new Set(plot.series.flatMap((each) => each.points.map(([x]) => x)))].sort((a, b) => a - b);
      const head = h("tr", {}, h("th", { scope: "col" }, plot.time ? "UTC" : (plot.across ?? "")), ...plot.series.map((each) => h("th", { scope: "col" }, each.name)));
      const rows = xs.map((x) => h("tr", {}, h("th", { scope: "row" }, plot.time ? when(x) : (plot.showAcross ?? String)(x)), ...plot.series.map((each) => h("td", {}, shown(plot, each, x)))));
      made.append(h("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": plot.title }, h("table", {}, h("thead", {}, head), h("tbody", {}, ...rows))));
    },
    { once: true },
  );
  return made;
}

function shown(plot: Plot, each: Series, x: number): string {
  const found = each.points.find(([px]) => px === x)?.[1];
  return found === null || found === undefined ? "–" : plot.show(found);
}
