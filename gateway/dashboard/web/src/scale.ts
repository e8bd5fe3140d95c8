// Where values lie on an axis.

export interface Scale {
  at(value: number): number;
  back(place: number): number;
  ticks: number[];
}

/** Round numbers, at most about `most`, that hold both ends between them. */
export function nice(low: number, high: number, most = 5): number[] {
  if (!(high > low)) return [low, low + (low === 0 ? 1 : Math.abs(low))];
  const rough = (high - low) / most;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 2.5, 5, 10].map((each) => each * power).find((each) => each >= rough * 0.999) ?? rough;
  const ticks: number[] = [];
  for (let n = Math.floor(low / step + 1e-9); ; n += 1) {
    ticks.push(Number((n * step).toPrecision(12)));
    if (n * step >= high - step * 1e-9) return ticks;
  }
}

const WIDTHS = [1, 2, 3, 6, 12, 24, 48, 96, 168, 336, 720, 1440, 2160].map((each) => each * 3600);

/** Whole hours and days. */
export function times(low: number, high: number, most: number): number[] {
  const width = WIDTHS.find((each) => (high - low) / each <= most) ?? 7200 * 3600;
  const ticks: number[] = [];
  for (let at = Math.ceil(low / width) * width; at <= high; at += width) ticks.push(at);
  return ticks;
}

export function linear(low: number, high: number, from: number, to: number, ticks: number[]): Scale {
  const span = high - low || 1;
  return {
    at: (value) => from + ((value - low) / span) * (to - from),
    back: (place) => low + ((place - from) / (to - from)) * span,
    ticks,
  };
}
