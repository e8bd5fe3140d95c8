// One request's ladder: each attempt, call and check on a time line, with its cost and its verdict.

import { h, type Child } from "../dom";
import { dollars, percent, seconds, usd, when } from "../format";
import { card, tiles, toneOf } from "../parts";
import type { Told } from "./section";

interface Rung {
  name: string;
  about: string;
  from: number;
  to: number;
  tone: string;
  cost: number | null;
  says: Child[];
  inner: boolean;
}

export function ladderOf(told: Told, tiers: string[]): HTMLElement {
  const request = told.request;
  const rungs = rungsOf(request, tiers);
  const end = Math.max(request.seconds ?? 0, ...rungs.map((each) => each.to), 1e-3);
  return h(
    "div",
    { class: "rows" },
    headline(request),
    card("The ladder", `From ${when(request.started_at, true)} UTC. Checks are drawn from the end of their attempt: when they began is not kept.`, drawn(rungs, end)),
    h("div", { class: "pair" }, whyOf(request, told.decided), factsOf(request)),
  );
}

function headline(request: Told): HTMLElement {
  const path = [...new Set((request.attempts as Told[]).filter((each) => !each.shadow).map((each) => each.tier))].join(" → ");
  return tiles([
    { name: "Served by", value: request.tier === "none" ? "nobody" : request.tier, note: `${path || "no attempt"}; ${request.outcome}${request.degraded ? ", degraded" : ""}`, tone: request.outcome === "ok" ? "good" : "bad" },
    { name: "Cost", value: usd(request.cost), note: `baseline ${usd(request.baseline_cost)} at ${request.baseline_tier || "no tier"}` },
    { name: "Time", value: seconds(request.seconds), note: `first byte after ${seconds(request.first_token)}` },
    { name: "Difficulty", value: request.difficulty === null ? "not scored" : request.difficulty.toFixed(3), note: `threshold ${request.threshold ?? "none"}; started at ${request.start_tier} (${request.start_reason})` },
  ]);
}

function rungsOf(request: Told, tiers: string[]): Rung[] {
  const began = request.started_at as number;
  const calls = request.calls as Told[];
  const rungs: Rung[] = [];
  const put = (call: Told, name: string, tone: string, says: Child[], inner: boolean): number => {
    const from = Math.max(0, call.started_at - began);
    const to = from + (call.seconds ?? 0);
    const tokens = `${call.prompt_tokens} in, ${call.completion_tokens} out${call.estimated ? " (estimated)" : ""}`;
    rungs.push({ name, about: `${call.model} at ${call.upstream}; ${tokens}; ${seconds(call.seconds)}`, from, to, tone, cost: call.cost, says, inner });
    return to;
  };
  for (const call of calls.filter((each) => each.attempt === null)) put(call, `scorer: ${call.tier}`, "t9", [call.status], false);
  for (const attempt of request.attempts as Told[]) {
    const own = calls.filter((each) => each.attempt === attempt.seq && each.purpose !== "check");
    const tone = toneOf(tiers, attempt.tier);
    let end = 0;
    own.forEach((call, n) => {
      const says = n === own.length - 1 ? verdictOf(attempt) : [call.status === "ok" ? "" : call.error || call.status];
      end = Math.max(end, put(call, `${attempt.tier}${attempt.shadow ? " (shadow)" : ""}${call.bare ? ", once more without additions" : ""}`, tone, says, n > 0));
    });
    for (const check of attempt.checks as Told[]) {
      const says = [h("span", { class: `chip ${check.result === "pass" ? "good" : check.result === "fail" ? "bad" : ""}` }, check.result), check.confidence === null ? "" : ` ${percent(check.confidence, 0)}`, check.reason ? ` ${check.reason}` : ""];
      rungs.push({ name: check.check, about: `check; ${seconds(check.seconds)}`, from: end, to: end + check.seconds, tone: "check", cost: check.cost, says, inner: true });
    }
  }
  return rungs;
}

function verdictOf(attempt: Told): Child[] {
  const words = attempt.failure ? ["failed", attempt.failure] : attempt.verdict ? [attempt.verdict, attempt.reason] : [attempt.left ? "left" : "", ""];
  const good = attempt.served || words[0] === "accept";
  return [
    words[0] ? h("span", { class: `chip ${good ? "good" : "bad"}` }, String(words[0])) : null,
    words[1] ? ` ${words[1]}` : "",
    attempt.confidence === null ? "" : ` ${percent(attempt.confidence, 0)}`,
    attempt.served ? h("span", { class: "chip" }, "served") : null,
  ];
}

function drawn(rungs: Rung[], end: number): HTMLElement {
  const rows = rungs.map((each) => {
    const [start, width] = [(each.from / end) * 100, ((each.to - each.from) / end) * 100];
    return h(
      "li",
      { class: each.inner ? "rung inner" : "rung" },
      h("div", { class: "rung-name" }, h("strong", {}, each.name), h("small", {}, each.about)),
      h("div", { class: "rung-room", "aria-hidden": "true" }, h("span", { class: `bar ${each.tone}`, css: { "margin-left": `${Math.min(start, 99)}%`, width: `${Math.max(0.6, Math.min(width, 100 - start))}%` } })),
      h("div", { class: "rung-says" }, ...each.says),
      h("div", { class: "rung-cost" }, each.cost ? usd(each.cost) : "free"),
    );
  });
  const axis = [0, 0.25, 0.5, 0.75, 1].map((part) => h("span", {}, seconds(end * part)));
  return h("div", { class: "ladder" }, h("ol", { "aria-label": "Attempts, calls and checks in order" }, ...rows), h("div", { class: "axis", "aria-hidden": "true" }, ...axis));
}

function pairs(rows: [string, unknown][]): HTMLElement {
  const known = rows.filter(([, value]) => value !== null && value !== undefined && value !== "");
  return h("dl", { class: "facts" }, ...known.flatMap(([name, value]) => [h("dt", {}, name), h("dd", {}, String(value))]));
}

function whyOf(request: Told, decided: Told | null): HTMLElement {
  const moves = (request.escalations as Told[]).map((each) => h("li", {}, `${each.from} → ${each.to}: ${String(each.cause).replace("_", "-")}, ${each.reason}`));
  return card(
    "Why",
    "",
    moves.length ? h("ul", { class: "moves" }, ...moves) : h("p", {}, "It stayed at the tier it started at."),
    pairs([
      ["started at", `${request.start_tier}: ${request.start_reason}`],
      ["delivered", request.reason],
      ["scorer", request.scorer],
      ["gain", request.gain],
      ["expected good", (request.p_good as number[]).map((each) => percent(each, 0)).join(", ")],
      ["thresholds", (decided?.thresholds as number[] | undefined)?.join(", ")],
      ["deadline", decided?.plan?.deadline === undefined ? null : seconds(decided.plan.deadline)],
      ["ceiling", decided?.plan?.ceiling ? dollars(decided.plan.ceiling / 1e9) : null],
      ...Object.entries((decided?.signals ?? {}) as Record<string, unknown>).map(([name, value]): [string, unknown] => [name.replace("_", " "), value === false ? "no" : value === true ? "yes" : value]),
    ]),
  );
}

function factsOf(request: Told): HTMLElement {
  return card(
    "Facts",
    "",
    pairs([
      ["request id", request.request_id],
      ["entry", request.entry_id],
      ["route", `${request.route}, ${request.mode}`],
      ["asked for", request.requested_model],
      ["dialect", request.api],
      ["key", request.key],
      ["session", request.session],
      ["status", request.status],
      ["finish", request.finish_reason],
      ["streamed", request.stream ? "yes" : "no"],
      ["tokens", `${request.prompt_tokens} in (${request.cached_tokens} cached), ${request.completion_tokens} out${request.estimated ? ", estimated" : ""}`],
      ["discarded", usd(request.discarded_cost)],
      ["shadow", request.shadow_cost ? usd(request.shadow_cost) : null],
      ["added by the gateway", seconds(request.overhead)],
      ["configuration", request.config],
    ]),
  );
}
