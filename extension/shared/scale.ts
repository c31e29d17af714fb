/** Axes: from values to pixels and back, linear or logarithmic, with round ticks; and how numbers are written on them. */

export interface Range {
  readonly least: number;
  readonly greatest: number;
}

export class Scale {
  readonly range: Range;

  constructor(
    range: Range,
    /** Pixels of the least and the greatest value. */
    readonly from: number,
    readonly to: number,
    readonly isLog = false,
  ) {
    const { least, greatest } = range;
    if (isLog) {
      const low = least > 0 ? least : 1e-12;
      this.range = { least: low, greatest: greatest > low ? greatest : low * 10 };
    } else {
      const room = Math.max(0.5, Math.abs(least) * 0.05);
      this.range = greatest > least ? range : { least: least - room, greatest: least + room };
    }
  }

  toPixel(value: number): number {
    const { least, greatest } = this.range;
    const share = this.isLog
      ? Math.log(Math.max(value, least * 1e-6) / least) / Math.log(greatest / least)
      : (value - least) / (greatest - least);
    return this.from + share * (this.to - this.from);
  }

  toValue(pixel: number): number {
    const { least, greatest } = this.range;
    const share = (pixel - this.from) / (this.to - this.from);
    return this.isLog ? least * (greatest / least) ** share : least + share * (greatest - least);
  }

  /** Round values, about so many. */
  ticks(count: number): number[] {
    return this.isLog ? logTicks(this.range, count) : linearTicks(this.range, count);
  }
}

function linearTicks({ least, greatest }: Range, count: number): number[] {
  const rough = (greatest - least) / Math.max(1, count);
  const power = 10 ** Math.floor(Math.log10(rough));
  /* the nearest round step, not the next larger: two ticks would be too few */
  const step = power * ([1, 2, 5].find((each) => each * power >= rough * 0.7) ?? 10);
  const ticks: number[] = [];
  for (let at = Math.ceil(least / step - 1e-9); at * step <= greatest + step * 1e-9; at++)
    ticks.push(at * step + 0); /* no -0 */
  return ticks;
}

function logTicks(range: Range, count: number): number[] {
  const { least, greatest } = range;
  const decades = Math.log10(greatest / least);
  if (decades < 1) return linearTicks(range, count).filter((tick) => tick > 0);
  const every = Math.max(1, Math.ceil(decades / count));
  const factors = decades < count / 2 ? [1, 2, 5] : [1];
  const ticks: number[] = [];
  for (let power = Math.floor(Math.log10(least)); power <= Math.ceil(Math.log10(greatest)); power++) {
    if (power % every !== 0) continue;
    for (const factor of factors) {
      const tick = factor * 10 ** power;
      if (tick >= least * (1 - 1e-9) && tick <= greatest * (1 + 1e-9)) ticks.push(tick);
    }
  }
  return ticks;
}

/** Least and greatest of finite values above another; undefined where there are none. */
export function rangeOf(
  values: ArrayLike<number>,
  from = 0,
  to = values.length,
  above = Number.NEGATIVE_INFINITY,
): Range | undefined {
  let least = Number.POSITIVE_INFINITY;
  let greatest = Number.NEGATIVE_INFINITY;
  for (let at = from; at < to; at++) {
    const value = values[at];
    if (!(value > above && value < Number.POSITIVE_INFINITY)) continue;
    if (value < least) least = value;
    if (value > greatest) greatest = value;
  }
  return least <= greatest ? { least, greatest } : undefined;
}

/** The range that holds both. */
export function union(a: Range | undefined, b: Range | undefined): Range | undefined {
  if (a === undefined || b === undefined) return a ?? b;
  return { least: Math.min(a.least, b.least), greatest: Math.max(a.greatest, b.greatest) };
}

/** A number in few characters: 1.25k, 3.2M, 4.5e-5. */
export function formatNumber(value: number, digits = 3): string {
  if (!Number.isFinite(value)) return "–";
  const size = Math.abs(value);
  if (size === 0) return "0";
  if (size >= 1e15 || size < 1e-3) return value.toExponential(Math.max(0, digits - 1)).replace(/\.?0+e/, "e");
  const units: readonly [number, string][] = [
    [1e12, "T"],
    [1e9, "G"],
    [1e6, "M"],
    [1e3, "k"],
  ];
  for (const [unit, suffix] of units) if (size >= unit) return `${trimmed(value / unit, digits)}${suffix}`;
  return trimmed(value, digits);
}

function trimmed(value: number, digits: number): string {
  const text = value.toPrecision(digits);
  return text.includes("e")
    ? String(Math.round(value))
    : text.includes(".")
      ? text.replace(/\.?0+$/, "")
      : text;
}

/** Bytes in powers of 1024. */
export function formatBytes(value: number): string {
  if (!Number.isFinite(value)) return "–";
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  const power = value < 1 ? 0 : Math.min(4, Math.floor(Math.log2(value) / 10));
  return `${trimmed(value / 1024 ** power, 3)} ${units[power]}`;
}

/** Seconds as 1:02:03, or 4.5 s. */
export function formatSeconds(value: number): string {
  if (!Number.isFinite(value)) return "–";
  if (value < 60) return `${trimmed(value, 3)} s`;
  const whole = Math.round(value);
  const parts = [Math.floor(whole / 3600), Math.floor((whole % 3600) / 60), whole % 60];
  const padded = parts.map((part, at) => (at === 0 ? String(part) : String(part).padStart(2, "0")));
  return parts[0] === 0 ? `${parts[1]}:${padded[2]} min` : padded.join(":");
}
