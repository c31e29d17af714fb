/** The page's copy of what runs measured, with what is derived from it, kept while the series only grows. */
import { BlockRanges, nearestIndex } from "../../shared/columns.js";
import type { ToPage } from "../../shared/protocol.js";
import type { EvaluationPoint, RunEvent } from "../../shared/runs.js";
import { type ColumnName, StepSeries } from "../../shared/series.js";
import { Smoother } from "../../shared/smoothing.js";

export const X_COLUMNS = ["step", "tokens", "flops", "seconds"] as const;
export type XColumn = (typeof X_COLUMNS)[number];
export type SetMeasure = "loss" | "perplexity" | "bitsPerByte";

interface Derived {
  readonly factor: number;
  readonly smoother: Smoother;
  readonly ranges: BlockRanges;
  readonly rawRanges: BlockRanges;
}

export class RunNumbers {
  readonly series = new StepSeries();
  evaluations: EvaluationPoint[] = [];
  events: RunEvent[] = [];
  readonly #derived = new Map<ColumnName, Derived>();

  /** Takes a message about this run; false when it left a gap, so that all must be asked for again. */
  take(message: Extract<ToPage, { type: "rows" | "evaluations" | "events" }>): boolean {
    if (message.type === "rows") {
      /* what was derived from rows that are void is void */
      if (message.first < this.series.length) this.#derived.clear();
      if (message.first === 0) this.series.truncate(0);
      return this.series.unpack(message.first, message.rows);
    }
    if (message.type === "evaluations") {
      if (message.first > this.evaluations.length) return false;
      this.evaluations = [...this.evaluations.slice(0, message.first), ...message.points];
      return true;
    }
    if (message.first > this.events.length) return false;
    this.events = [...this.events.slice(0, message.first), ...message.events];
    return true;
  }

  /** A column smoothed by a factor, with the column itself, and what finds their extremes. */
  smoothed(column: ColumnName, factor: number) {
    let derived = this.#derived.get(column);
    if (derived?.factor !== factor) {
      const rawRanges = derived?.rawRanges ?? new BlockRanges();
      derived = { factor, smoother: new Smoother(factor), ranges: new BlockRanges(), rawRanges };
      this.#derived.set(column, derived);
    }
    const raw = this.series.column(column);
    const { ranges, rawRanges } = derived;
    if (factor === 0) return { y: raw, raw: undefined, ranges: rawRanges, rawRanges };
    return { y: derived.smoother.extend(raw), raw, ranges, rawRanges };
  }

  /** Measurements of a validation set, over a column of the steps at which they were made. */
  ofSet(set: string, measure: SetMeasure, column: XColumn): { x: number[]; y: number[] } {
    const points = this.evaluations.filter((point) => point.set === set);
    const steps = this.series.column("step");
    const values = this.series.column(column);
    const x = points.map(({ step }) => {
      if (column === "step" || steps.length === 0) return step;
      /* before the first step nothing has been used */
      return step < steps[0] ? 0 : values[nearestIndex(steps, step)];
    });
    return { x, y: points.map((point) => point[measure] ?? Number.NaN) };
  }

  sets(): string[] {
    return [...new Set(this.evaluations.map(({ set }) => set))];
  }
}
