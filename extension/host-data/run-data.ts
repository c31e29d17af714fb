/** The numbers and events of one run, read from its folder as they are written. */
import { join } from "node:path";
import type { EvaluationPoint, RunEvent } from "../shared/runs.js";
import { StepSeries } from "../shared/series.js";
import { LineTail } from "./line-tail.js";

export class RunData {
  readonly series = new StepSeries();
  readonly evaluations: EvaluationPoint[] = [];
  readonly events: RunEvent[] = [];
  /** Grows whenever rows that were there have become void, so that whoever sent them sends all again. */
  generation = 0;
  readonly #metrics: LineTail;
  readonly #eventLines: LineTail;
  #reading: Promise<boolean> | undefined;
  #readAgain = false;

  constructor(readonly folder: string) {
    this.#metrics = new LineTail(join(folder, "metrics.jsonl"));
    this.#eventLines = new LineTail(join(folder, "events.jsonl"));
  }

  /** Reads what came since; `onChange` is called after every piece. One reading at a time. */
  async refresh(onChange: () => void): Promise<void> {
    if (this.#reading) {
      this.#readAgain = true;
      await this.#reading;
      return;
    }
    do {
      this.#readAgain = false;
      this.#reading = this.#readPiece();
      let more = false;
      let before = this.#mark();
      try {
        more = await this.#reading;
      } finally {
        this.#reading = undefined;
      }
      if (this.#mark() !== before) onChange();
      before = this.#mark();
      if (more) this.#readAgain = true;
    } while (this.#readAgain);
  }

  #mark(): string {
    return [this.generation, this.series.length, this.evaluations.length, this.events.length].join();
  }

  async #readPiece(): Promise<boolean> {
    const events = await this.#eventLines.read();
    if (events.restarted) {
      this.events.length = 0;
      this.generation++;
    }
    const known = this.events.length > 0 || this.series.length > 0;
    for (const record of events.records) {
      this.events.push(record as unknown as RunEvent);
      /* a resumed run has cut its metrics, perhaps to write the same number of bytes again */
      if (record.kind === "resume" && known) this.#metrics.rewind();
    }
    if (known && events.records.some(({ kind }) => kind === "resume")) this.#forgetMetrics();
    const { records, restarted, more } = await this.#metrics.read();
    if (restarted) this.#forgetMetrics();
    for (const record of records) this.#take(record);
    return more || events.more;
  }

  #forgetMetrics(): void {
    this.series.truncate(0);
    this.evaluations.length = 0;
    this.generation++;
  }

  #take(record: Readonly<Record<string, unknown>>): void {
    if (typeof record.step !== "number") return;
    if (record.kind === "step") this.series.append(record as Record<string, number>);
    else if (record.kind === "evaluation" && typeof record.set === "string")
      this.evaluations.push(record as unknown as EvaluationPoint);
  }
}
