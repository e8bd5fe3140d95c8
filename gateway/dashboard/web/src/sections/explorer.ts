// Explorer: find a request, and see all that happened to it.

import { ask, questionOf } from "../api";
import { clear, h } from "../dom";
import { count, seconds, usd, when } from "../format";
import { card, code, empty, table } from "../parts";
import { go, address } from "../state";
import { ladderOf } from "./ladder";
import { ladder, type Given, type Told } from "./section";

const OUTCOMES = ["ok", "cancelled", "timeout", "upstream_error", "client_error", "internal_error", "rejected", "unsettled"];

export async function explorer(given: Given): Promise<HTMLElement[]> {
  const id = given.view.extra.get("id");
  const made = [search(given)];
  if (id && given.view.extra.get("show") === "1") {
    const back = new URLSearchParams(given.view.extra);
    back.delete("id");
    back.delete("show");
    const link = h("a", { class: "back", href: address({ ...given.view, extra: back }) }, "← All requests");
    const told = await ask("request", new URLSearchParams({ id }), given.signal);
    return [link, ladderOf(told, ladder(given, (told.request.attempts as Told[]).map((each) => each.tier)))];
  }
  made.push(await list(given));
  return made;
}

function search(given: Given): HTMLElement {
  const { extra } = given.view;
  const field = (name: string, words: string, values: string[]): HTMLElement => {
    const chosen = h("select", { name, id: `filter-${name}` }, h("option", { value: "" }, "any"), ...values.map((each) => h("option", { value: each, selected: extra.get(name) === each }, each)));
    return h("label", { for: `filter-${name}` }, words, chosen);
  };
  const tiers = ladder(given);
  const form = h(
    "form",
    { class: "filters", role: "search", "aria-label": "Find requests" },
    h("label", { for: "filter-id", class: "wide" }, "Request id", h("input", { type: "search", name: "id", id: "filter-id", value: extra.get("id") ?? "", placeholder: "x-request-id of a response", maxlength: 128, autocomplete: "off", spellcheck: "false" })),
    field("start_tier", "Started at", tiers),
    field("tier", "Served by", [...tiers, "none"]),
    field("outcome", "Outcome", OUTCOMES),
    field("escalated", "Escalated", ["true", "false"]),
    field("degraded", "Degraded", ["true", "false"]),
    h("button", { type: "submit", class: "primary" }, "Find"),
  );
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const given = [...new FormData(form)].filter(([, value]) => value !== "") as [string, string][];
    go({ extra: new URLSearchParams(given) });
  });
  return h("section", { class: "card" }, h("h2", {}, "Requests"), form);
}

async function list(given: Given): Promise<HTMLElement> {
  const place = h("div");
  const more = h("div", { class: "act" });
  const rows: Told[] = [];
  const load = async (before: string | null): Promise<void> => {
    const query = questionOf(given.view);
    for (const [name, value] of given.view.extra) if (value) query.set(name, value);
    if (before) query.set("before", before);
    const told = await ask("requests", query, given.signal);
    rows.push(...told.requests);
    if (rows.length) clear(place, shown(given, rows));
    else if (!told.next) clear(place, empty("No request fits", "Choose a longer period or fewer conditions. A request is here a moment after it has ended; its id is the ", code("x-request-id"), " of the response."));
    else clear(place, h("p", { class: "about" }, "None of the newest requests fits."));
    clear(more);
    if (told.next) more.append(h("button", { type: "button", onclick: () => void load(told.next) }, "Look further back"));
  };
  await load(null);
  return card("", "", place, more);
}

function shown(given: Given, rows: Told[]): HTMLElement {
  const link = (row: Told): HTMLElement => {
    const extra = new URLSearchParams(given.view.extra);
    extra.set("id", row.entry_id);
    extra.set("show", "1");
    return h("a", { href: address({ ...given.view, section: "explorer", extra }) }, when(row.started_at, true));
  };
  return table(
    "Requests, newest first; times in UTC",
    [
      { name: "UTC", cell: link },
      { name: "route", cell: (row) => row.route },
      { name: "difficulty", cell: (row) => (row.difficulty === null ? "–" : row.difficulty.toFixed(2)), number: true },
      { name: "start → served", cell: (row) => h("span", {}, row.start_tier === row.tier ? row.tier : `${row.start_tier} → ${row.tier}`, row.degraded ? h("span", { class: "chip bad" }, "degraded") : null) },
      { name: "outcome", cell: (row) => h("span", { class: row.outcome === "ok" ? "" : "chip bad" }, row.outcome) },
      { name: "tokens", cell: (row) => count(row.prompt_tokens + row.completion_tokens), number: true },
      { name: "cost", cell: (row) => usd(row.cost), number: true },
      { name: "baseline", cell: (row) => usd(row.baseline_cost), number: true },
      { name: "time", cell: (row) => seconds(row.seconds), number: true },
      { name: "model asked for", cell: (row) => row.requested_model },
    ],
    rows,
  );
}
