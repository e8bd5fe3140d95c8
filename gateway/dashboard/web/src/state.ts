// What is looked at lives in the address, so that a link shows the same; the key lives in this tab.

export interface View {
  section: string;
  range: string;
  since: number | null;
  until: number | null;
  route: string;
  extra: URLSearchParams;
}

export const SECTIONS = ["money", "routing", "quality", "health", "explorer"] as const;
export const RANGES: Record<string, number> = {
  "24h": 86_400,
  "7d": 7 * 86_400,
  "30d": 30 * 86_400,
  "90d": 90 * 86_400,
};
const KEY = "waterfall.key";
const OWN = new Set(["range", "since", "until", "route"]);

/** Take a token that came with the address out of it, and keep it in this tab. */
export function takeToken(): void {
  const found = /[#&]token=([^&]+)/.exec(location.hash);
  if (!found?.[1]) return;
  setKey(decoded(found[1]));
  history.replaceState(null, "", `${location.pathname}#/money`);
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text; // a sign of per cent that is only that
  }
}

export function key(): string {
  return sessionStorage.getItem(KEY) ?? "";
}

export function setKey(value: string): void {
  if (value) sessionStorage.setItem(KEY, value);
  else sessionStorage.removeItem(KEY);
}

function moment(text: string | null): number | null {
  const value = text === null ? Number.NaN : Number(text);
  return Number.isFinite(value) ? value : null;
}

export function read(): View {
  const [path = "", query = ""] = location.hash.replace(/^#\/?/, "").split("?");
  const given = new URLSearchParams(query);
  const section = (SECTIONS as readonly string[]).includes(path) ? path : "money";
  const [since, until] = [moment(given.get("since")), moment(given.get("until"))];
  const asked = given.get("range") ?? "";
  const custom = since !== null && until !== null && since < until;
  const extra = new URLSearchParams([...given].filter(([name]) => !OWN.has(name)));
  const range = custom ? "custom" : Object.hasOwn(RANGES, asked) ? asked : "7d";
  return { section, range, since: custom ? since : null, until: custom ? until : null, route: given.get("route") ?? "", extra };
}

export function address(view: View): string {
  const query = new URLSearchParams(view.extra);
  if (view.range === "custom") {
    query.set("since", String(view.since));
    query.set("until", String(view.until));
  } else query.set("range", view.range);
  if (view.route) query.set("route", view.route);
  return `#/${view.section}?${query}`;
}

/** Look at something else. */
export function go(change: Partial<View>): void {
  const next = { ...read(), ...change };
  if (change.section && change.extra === undefined) next.extra = new URLSearchParams();
  location.hash = address(next);
}

/** The period in UNIX times. */
export function period(view: View): { since: number; until: number } {
  if (view.since !== null && view.until !== null) return { since: view.since, until: view.until };
  const until = Math.ceil(Date.now() / 1000);
  return { since: until - (RANGES[view.range] ?? 604_800), until };
}
