// Numbers as people read them. Money comes in nano-dollars.

export interface Interval {
  value: number | null;
  low: number | null;
  high: number | null;
}

const UNKNOWN = "unknown";

export function usd(nano: number | null | undefined): string {
  return nano === null || nano === undefined ? UNKNOWN : dollars(nano / 1e9);
}

export function dollars(value: number): string {
  const size = Math.abs(value);
  const sign = value < 0 ? "−" : "";
  if (size === 0) return "$0";
  if (size >= 1e6) return `${sign}$${(size / 1e6).toLocaleString("en", { maximumFractionDigits: 2 })}M`;
  if (size >= 10_000) return `${sign}$${size.toLocaleString("en", { maximumFractionDigits: 0 })}`;
  if (size >= 1) return `${sign}$${size.toLocaleString("en", { minimumFractionDigits: 2, maximumFractionDigits: 2 })}`;
  const digits = Math.min(9, Math.max(2, 2 - Math.floor(Math.log10(size))));
  return `${sign}$${size.toFixed(digits)}`;
}

/** To the nano-dollar: what a sum can be checked against. */
export function exact(nano: number): string {
  const sign = nano < 0 ? "−" : "";
  const size = Math.abs(nano);
  return `${sign}$${Math.floor(size / 1e9).toLocaleString("en")}.${String(size % 1e9).padStart(9, "0")}`;
}

export function percent(value: number | null | undefined, digits = 1): string {
  if (value === null || value === undefined || Number.isNaN(value)) return UNKNOWN;
  const text = (value * 100).toFixed(digits);
  return `${Number(text) === 0 ? text.replace("-", "") : text.replace("-", "−")}\u00a0%`;
}

export function points(value: number): string {
  const text = (Math.abs(value) * 100).toFixed(1);
  return `${Number(text) === 0 ? "±" : value < 0 ? "−" : "+"}${text} points`;
}

export function count(value: number | null | undefined): string {
  if (value === null || value === undefined) return UNKNOWN;
  return value >= 1e6
    ? `${(value / 1e6).toLocaleString("en", { maximumFractionDigits: 2 })}M`
    : Math.round(value).toLocaleString("en");
}

export function seconds(value: number | null | undefined): string {
  if (value === null || value === undefined) return UNKNOWN;
  if (value === 0) return "0 s";
  if (value < 0.001) return `${(value * 1e6).toFixed(0)} µs`;
  if (value < 1) return `${(value * 1e3).toFixed(value < 0.01 ? 1 : 0)} ms`;
  return value < 120 ? `${value.toFixed(value < 10 ? 2 : 1)} s` : `${(value / 60).toFixed(1)} min`;
}

/** The same number without zeros that say nothing: for an axis. */
export function short(text: string): string {
  return text.replace(/(\.\d*?)0+(?=\D*$)/, "$1").replace(/\.(?=\D*$)/, "");
}

export function range(found: Interval | undefined, show: (value: number) => string = (v) => percent(v)): string {
  if (!found || found.low === null || found.high === null) return "";
  return `${show(found.low)} to ${show(found.high)}`;
}

export function number(value: number): string {
  return Number(value.toPrecision(4)).toLocaleString("en", { maximumFractionDigits: 4 });
}

const pad = (value: number): string => String(value).padStart(2, "0");

/** A UNIX time in UTC, as the ledger and the reports have it. */
export function when(at: number, precise = false): string {
  const date = new Date(at * 1000);
  const day = `${date.getUTCFullYear()}-${pad(date.getUTCMonth() + 1)}-${pad(date.getUTCDate())}`;
  const time = `${pad(date.getUTCHours())}:${pad(date.getUTCMinutes())}`;
  return `${day} ${time}${precise ? `:${pad(date.getUTCSeconds())}` : ""}`;
}

const MONTHS = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split(" ");

/** The same on an axis: the hour, where days are few. */
export function tick(at: number, span: number): string {
  const date = new Date(at * 1000);
  const day = `${date.getUTCDate()} ${MONTHS[date.getUTCMonth()]}`;
  if (span > 3 * 86_400) return day;
  const time = `${pad(date.getUTCHours())}:${pad(date.getUTCMinutes())}`;
  return time === "00:00" ? day : time;
}
