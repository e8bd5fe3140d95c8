// Questions to the gateway that has served this page, and to nobody else.

import { key, period, type View } from "./state";

export class Failed extends Error {
  constructor(
    message: string,
    readonly status: number,
    readonly param: string | null = null,
  ) {
    super(message);
  }
}

/** Said of a key that no header can carry, and that no configuration takes. */
export const UNSENDABLE = "No admin key has spaces in it, or letters that are not ASCII's.";

export type Json = Record<string, any>; // eslint-disable-line

async function send(path: string, init: RequestInit): Promise<Response> {
  if (!/^[!-~]*$/.test(key())) throw new Failed(UNSENDABLE, 401);
  const headers = { ...init.headers, authorization: `Bearer ${key()}` };
  let answer: Response;
  try {
    answer = await fetch(path, { ...init, headers, cache: "no-store", credentials: "omit" });
  } catch (error) {
    if (error instanceof DOMException && error.name === "AbortError") throw error;
    throw new Failed("The gateway does not answer. Does it run?", 0);
  }
  if (answer.ok) return answer;
  let told: Json = {};
  try {
    told = ((await answer.json()) as Json).error ?? {};
  } catch {
    told = { message: `The gateway answered with ${answer.status}.` };
  }
  throw new Failed(String(told.message ?? answer.status), answer.status, told.param ?? null);
}

export function questionOf(view: View, more: Record<string, string | number> = {}): URLSearchParams {
  const { since, until } = period(view);
  const query = new URLSearchParams({ since: String(since), until: String(until) });
  if (view.route) query.set("route", view.route);
  for (const [name, value] of Object.entries(more)) query.set(name, String(value));
  return query;
}

export async function ask(name: string, query: URLSearchParams | null = null, signal?: AbortSignal): Promise<Json> {
  const path = `./api/${name}${query ? `?${query}` : ""}`;
  return (await (await send(path, signal ? { signal } : {})).json()) as Json;
}

export async function setThreshold(route: string, threshold: number[]): Promise<void> {
  const headers = { "content-type": "application/json" };
  await send("../admin/threshold", { method: "PUT", headers, body: JSON.stringify({ route, threshold }) });
}

/** Fetch a table as CSV and hand it to the browser as a file. */
export async function download(name: string, query: URLSearchParams): Promise<void> {
  query.set("format", "csv");
  const blob = await (await send(`./api/${name}?${query}`, {})).blob();
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = `waterfall-${name}.csv`;
  link.click();
  URL.revokeObjectURL(link.href);
}
