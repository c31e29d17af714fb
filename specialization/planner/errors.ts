/** The one error of the planner: which figure is wrong, its value, and what to give instead. */

export class PlanError extends Error {
  constructor(
    readonly reason: string,
    readonly remedy: string,
  ) {
    super(`${reason}. ${remedy}.`);
    this.name = "PlanError";
  }
}

/** @throws PlanError unless the value is a finite number above 0 */
export function requirePositive(what: string, value: number): void {
  if (value > 0 && Number.isFinite(value)) return;
  throw new PlanError(`${what} is ${value}`, "Give a number above 0");
}
