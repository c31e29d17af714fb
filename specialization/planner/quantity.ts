/** Quantities as people write them: "8M" tokens, "650h", "1e21flop", "48GB"; and back. */
import { PlanError } from "./errors.js";

const PREFIXES: Readonly<Record<string, number>> = {
  "": 1,
  k: 1e3,
  M: 1e6,
  G: 1e9,
  B: 1e9,
  T: 1e12,
  P: 1e15,
  E: 1e18,
};

/** Powers of 1024, as bytes are counted in with the prefixes Ki, Mi and so on. */
const BINARY_PREFIXES = "kMGTPE";

/**
 * A number with an optional prefix (k, M, G or B, T, P, E; small letters but for k begin a unit) and unit; bytes may
 * have the prefixes of powers of 1024, as in 80GiB.
 *
 * @throws PlanError naming the option
 */
function parseQuantity(text: string, option: string): { amount: number; unit: string } {
  const match = /^(\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)\s*([kKMGBTPE]?)([A-Za-z/]*)$/.exec(
    text.trim().replaceAll("_", ""),
  );
  const [, digits, prefix, unit] = match ?? [];
  const decimal = prefix === "K" ? "k" : prefix;
  const isBinary = unit === "iB" && BINARY_PREFIXES.includes(decimal) && decimal !== "";
  const factor = isBinary ? 1024 ** (1 + BINARY_PREFIXES.indexOf(decimal)) : PREFIXES[decimal];
  const amount = Number(digits) * factor;
  if (match === null || !Number.isFinite(amount)) {
    throw new PlanError(
      `${option} is "${text}"`,
      "Give a number, with k, M, G, T, P or E for thousands, millions and so on, and a unit where one is needed",
    );
  }
  return { amount, unit: isBinary ? "b" : unit.toLowerCase() };
}

/** A quantity without a unit, or with one of the units named. */
export function parseAmount(text: string, option: string, units: readonly string[] = []): number {
  const { amount, unit } = parseQuantity(text, option);
  if (unit === "" || units.includes(unit)) return amount;
  const [example] = units;
  const allowed =
    example === undefined
      ? "without a unit, such as 8 or 8M"
      : `such as ${example === "b" ? "80GB or 80GiB" : `8M or 8M${example}`}`;
  throw new PlanError(`${option} is "${text}"`, `Give a number ${allowed}`);
}

/** How much may be spent: time, arithmetic, or the pretraining tokens of the plain small model. */
export interface Budget {
  readonly kind: "hours" | "flops" | "tokens";
  readonly amount: number;
}

const BUDGET_UNITS: Readonly<Record<string, readonly [Budget["kind"], number]>> = {
  s: ["hours", 1 / 3600],
  m: ["hours", 1 / 60],
  min: ["hours", 1 / 60],
  h: ["hours", 1],
  d: ["hours", 24],
  flop: ["flops", 1],
  flops: ["flops", 1],
  tok: ["tokens", 1],
  tokens: ["tokens", 1],
};

/** "650h", "90min", "2d", "1e21flop", "60Gtok". Throws PlanError with the units there are. */
export function parseBudget(text: string, option = "--budget"): Budget {
  const { amount, unit } = parseQuantity(text, option);
  const found = BUDGET_UNITS[unit];
  if (found === undefined || amount <= 0) {
    throw new PlanError(
      `${option} is "${text}"`,
      "Give hours, days or minutes (650h, 2d, 90min), FLOPs (1e21flop) or tokens (60Gtok)",
    );
  }
  return { kind: found[0], amount: amount * found[1] };
}

/** "1.2 h", "3.40 EFLOP", "126 M parameters", "22.8 GB". */
export function formatQuantity(
  value: number,
  unit: "hours" | "flops" | "tokens" | "parameters" | "bytes",
): string {
  if (unit === "hours") return formatHours(value);
  const letters = ["", "k", "M", "G", "T", "P", "E", "Z"];
  let power = 0;
  let scaled = value;
  while (Math.abs(scaled) >= 999.5 && power < letters.length - 1) {
    scaled /= 1000;
    power++;
  }
  const number = power === 0 && Number.isInteger(scaled) ? `${scaled}` : scaled.toPrecision(3);
  const name = { flops: "FLOP", tokens: "tokens", parameters: "parameters", bytes: "B" }[unit];
  return unit === "flops" || unit === "bytes"
    ? `${number} ${letters[power]}${name}`
    : `${number}${letters[power]} ${name}`;
}

function formatHours(hours: number): string {
  if (hours === 0) return "0 h";
  if (hours < 1 / 60) return `${(hours * 3600).toPrecision(2)} s`;
  if (hours < 1) return `${(hours * 60).toPrecision(2)} min`;
  return hours < 100 ? `${hours.toPrecision(3)} h` : `${Math.round(hours).toLocaleString("en")} h`;
}
