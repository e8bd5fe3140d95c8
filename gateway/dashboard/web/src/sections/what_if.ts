// A slider over the threshold: the ledger's own requests, decided again at each place of it.

import { ask, Failed, questionOf, setThreshold } from "../api";
import { chart } from "../chart";
import { clear, h } from "../dom";
import { count, percent, range, usd } from "../format";
import { card, tiles } from "../parts";
import { inForce, type Given, type Told } from "./section";

const GRID = [0, 0.2, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1];
const PAUSE = 120;

export function whatIf(given: Given, route: string): HTMLElement {
  const about = "A sample of the period's requests, decided again by the policy that served them, at another threshold. What nobody can know is in the interval. The same as ";
  const command = h("code", { class: "command" });
  const place = h("div");
  const found = card("What if the threshold were …", "", h("p", { class: "about" }, about, command), place);
  if (!route) {
    place.append(h("p", {}, "No route has two tiers: there is no threshold to try."));
    return found;
  }
  const now = inForce(given, route) ?? 0.8;
  const start = Number(given.view.extra.get("threshold") ?? now);
  const view = { ...given.view, route };
  const query = questionOf(view);
  const figures = h("div", { "aria-live": "polite" });
  const curves = h("div");
  const slider = h("input", { type: "range", id: "threshold", min: 0, max: 1, step: 0.01, value: start });
  const output = h("output", { for: "threshold", class: "value" });
  const known = new Map<number, Told>();
  let timer = 0;
  let turn = 0;

  const fetchAt = async (threshold: number): Promise<Told> => {
    const old = known.get(threshold);
    if (old) return old;
    const asked = new URLSearchParams(query);
    asked.set("threshold", String(threshold));
    const told = await ask("what-if", asked, given.signal);
    if (!told.why) known.set(threshold, told);
    return told;
  };
  const show = async (): Promise<void> => {
    const mine = ++turn;
    const threshold = Number(slider.value);
    output.textContent = threshold.toFixed(2);
    slider.setAttribute("aria-valuetext", `${threshold.toFixed(2)}; ${percent(1 - threshold, 0)} of reference traffic starts higher`);
    try {
      const told = await fetchAt(threshold);
      if (mine !== turn) return;
      if (told.why) {
        clear(figures, h("p", {}, told.why));
        return;
      }
      command.textContent = `waterfall replay --ledger … --route ${route} --sample ${told.sample} --seed ${told.seed} --threshold ${threshold} --since @${told.since} --until @${told.until}`;
      clear(figures, figuresOf(told), button(given, route, threshold, now));
      if (known.size > 1) clear(curves, curvesOf(known, now, threshold));
    } catch (error) {
      if (!(error instanceof DOMException)) clear(figures, h("p", { class: "error", role: "alert" }, (error as Error).message));
    }
  };
  slider.addEventListener("input", () => {
    output.textContent = Number(slider.value).toFixed(2);
    clearTimeout(timer);
    timer = window.setTimeout(() => void show(), PAUSE);
  });
  void show().then(async () => {
    for (const threshold of [...GRID, Number(now.toFixed(2))]) {
      if (given.signal.aborted || !known.size) return;
      await fetchAt(threshold).catch(() => undefined);
      if (known.size > 1) clear(curves, curvesOf(known, now, Number(slider.value)));
    }
  });
  place.append(h("div", { class: "slider" }, h("label", { for: "threshold" }, `Threshold of ${route}`), slider, output), figures, curves);
  return found;
}

function figuresOf(told: Told): HTMLElement {
  const { bounds } = told;
  const [low, high] = bounds.cost_per_1000 as [number, number];
  const saved = bounds.saved.at_least;
  const least = percent(saved);
  const most = percent(bounds.saved.at_most);
  return tiles([
    { id: "what-if-up", name: "Start above the first tier", value: percent(told.share_up.value), note: range(told.share_up) },
    { id: "what-if-saved", name: "Saved", value: least === most ? least : `${least} to ${most}`, note: `95 % interval ${range({ value: 0, low: bounds.saved.low, high: bounds.saved.high })}`, tone: bounds.saved.low > 0 ? "good" : bounds.saved.high < 0 ? "bad" : "plain" },
    { id: "what-if-cost", name: "Per 1,000 requests", value: low === high ? usd(low) : `${usd(low)} to ${usd(high)}` },
    { id: "what-if-quality", name: "Mean label", value: percent(bounds.quality.value), note: bounds.quality.value === null ? `${bounds.quality.labels} labels: too few` : `${range(bounds.quality)}; ${count(bounds.quality.labels)} labels` },
    { id: "what-if-known", name: "Known", value: percent(bounds.known, 0), note: `of ${count(told.sample)} requests: what would have come of them` },
  ]);
}

function curvesOf(known: Map<number, Told>, now: number, chosen: number): HTMLElement {
  const rows = [...known.entries()].sort(([a], [b]) => a - b);
  const marks = [{ at: now, name: "in force", tone: "now" }, ...(Math.abs(now - chosen) > 0.02 ? [{ at: chosen, name: "chosen" }] : [])];
  const across = { across: "threshold", showAcross: (value: number) => value.toFixed(2), left: 0, right: 1, show: (value: number) => percent(value, 0), marks };
  return h(
    "div",
    { class: "pair" },
    chart({ ...across, title: "Saved, by threshold", says: "At least, with its interval.", series: [{ name: "saved, at least", tone: "t1", points: rows.map(([t, told]) => [t, told.bounds.saved.at_least]), low: rows.map(([, told]) => told.bounds.saved.low), high: rows.map(([, told]) => told.bounds.saved.high) }] }),
    chart({ ...across, title: "Started above the first tier, and mean label", says: "By threshold.", top: 1, series: [
      { name: "start above", tone: "t0", points: rows.map(([t, told]) => [t, told.share_up.value]) },
      { name: "mean label", tone: "t3", points: rows.map(([t, told]) => [t, told.bounds.quality.value]), low: rows.map(([, told]) => told.bounds.quality.low), high: rows.map(([, told]) => told.bounds.quality.high) },
    ] }),
  );
}

function button(given: Given, route: string, threshold: number, now: number): HTMLElement {
  const place = h("div", { class: "act" });
  const others = (given.routes[route]?.thresholds ?? []).slice(1).map((each) => Math.max(threshold, each));
  const say = (text: string, failed = false): void => clear(place, h("p", failed ? { class: "error", role: "alert" } : { class: "done", role: "status" }, text));
  const write = async (): Promise<void> => {
    try {
      await setThreshold(route, [threshold, ...others]);
      window.dispatchEvent(new Event("threshold"));
      say(`The threshold of ${route} is ${threshold.toFixed(2)} now, in every process, until the next reload of the configuration. To keep it, write it there.`);
    } catch (error) {
      say(error instanceof Failed ? error.message : String(error), true);
    }
  };
  const ask = h("button", { type: "button", class: "primary", disabled: Math.abs(threshold - now) < 0.005 }, Math.abs(threshold - now) < 0.005 ? "This is the threshold in force" : `Set the threshold to ${threshold.toFixed(2)}`);
  ask.addEventListener("click", () => {
    const yes = h("button", { type: "button", class: "primary", onclick: () => void write() }, "Yes, set it");
    const no = h("button", { type: "button", onclick: () => clear(place, ask) }, "No");
    const warning = given.routes[route]?.live ? " The gateway moves this one by itself: it will stop doing so." : "";
    clear(place, h("p", {}, `The next request of ${route} is routed at ${threshold.toFixed(2)}.${warning}`), yes, no);
    yes.focus();
  });
  place.append(ask);
  return place;
}
