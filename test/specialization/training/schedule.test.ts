/** Learning rates: warm-up, and the course of every schedule. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { learningRateAt, type Schedule } from "../../../specialization/training/schedule.js";

const base = { peak: 0.01, warmup: 0, finalFraction: 0.1, decayFraction: 0.2 };

function shares(kind: Schedule["kind"], at: readonly number[], more: Partial<Schedule> = {}): number[] {
  return at.map((progress) => learningRateAt({ ...base, kind, ...more }, 1000, progress) / 0.01);
}

function assertNear(found: readonly number[], wanted: readonly number[]): void {
  assert.equal(found.length, wanted.length);
  for (const [i, value] of found.entries()) assert.ok(Math.abs(value - wanted[i]) < 1e-12, `${i}: ${value}`);
}

test("schedules hold, fall linearly, by cosine, or at the end", () => {
  const at = [0, 0.25, 0.5, 0.8, 0.9, 1];
  assertNear(shares("constant", at), [1, 1, 1, 1, 1, 1]);
  assertNear(shares("linear", at), [1, 0.775, 0.55, 0.28, 0.19, 0.1]);
  assertNear(
    shares("cosine", at),
    at.map((p) => 0.1 + (0.9 * (1 + Math.cos(Math.PI * p))) / 2),
  );
  assertNear(shares("wsd", at), [1, 1, 1, 1, 0.55, 0.1]);
  assertNear(shares("wsd", [0, 0.5, 1], { decayFraction: 1, finalFraction: 0 }), [1, 0.5, 0]);
});

test("past the end of the budget the rate stays at its last value", () => {
  for (const kind of ["linear", "cosine", "wsd"] as const) assertNear(shares(kind, [1.5]), shares(kind, [1]));
});

test("warm-up rises in equal steps, never from zero, and meets the schedule", () => {
  const rates = [0, 1, 2, 3, 4, 5].map((step) =>
    learningRateAt({ ...base, kind: "constant", warmup: 4 }, step, 0),
  );
  assertNear(rates, [0.0025, 0.005, 0.0075, 0.01, 0.01, 0.01]);
  assertNear([learningRateAt({ ...base, kind: "linear", warmup: 4 }, 1, 0.5)], [0.01 * 0.5 * 0.55]);
});
