/** metrics.jsonl: what a run measures, one object a line, in the order of steps; written while training, read by any viewer. */
import { JsonLinesWriter, readLines } from "./json-lines.js";

/** Measured at a training step. */
export interface StepMetrics {
  readonly kind: "step";
  /** Steps done, this one included. */
  readonly step: number;
  /** Tokens trained on since the run began. */
  readonly tokens: number;
  /** Floating-point operations since the run began. */
  readonly flops: number;
  /** Seconds of training since the run began, all resumed parts together. */
  readonly seconds: number;
  /** Mean loss of the step's tokens, in nats; null when it was not finite. */
  readonly loss: number | null;
  readonly learningRate: number;
  /** Global norm before clipping. */
  readonly gradientNorm: number | null;
  readonly tokensPerSecond: number | null;
  /** Bytes in use on the adapter. */
  readonly memory: number | null;
}

/** Measured on a validation set. */
export interface EvaluationMetrics {
  readonly kind: "evaluation";
  readonly step: number;
  readonly set: string;
  /** Mean loss a token, in nats; null when it was not finite. */
  readonly loss: number | null;
  readonly perplexity: number | null;
  readonly bitsPerByte: number | null;
}

export type Metrics = StepMetrics | EvaluationMetrics;

/** Where a reading of metrics.jsonl got to. */
export interface MetricsRead {
  readonly records: Metrics[];
  /** Give this as `from` next time. */
  readonly next: number;
  /** More whole lines are there already: call again. */
  readonly more: boolean;
  /** A resumed run has cut the file since: forget earlier records, these begin at the start. */
  readonly restarted: boolean;
  /** Lines that are no metrics. */
  readonly skipped: number;
}

/** Appends metrics; the numbers of a line that are not finite become null. */
export class MetricsWriter {
  private constructor(private readonly lines: JsonLinesWriter) {}

  /** Opens or creates the file, and cuts off a half-written last line. @throws RunError */
  static open(path: string): MetricsWriter {
    return new MetricsWriter(JsonLinesWriter.open(path));
  }

  get path(): string {
    return this.lines.path;
  }

  /** @throws RunError, for instance on a full disk; the file then ends with the record before */
  write(record: Metrics): void {
    this.lines.append(record);
  }

  /**
   * Cuts off everything after a step, so that training again from its checkpoint continues the file as if it had never
   * been interrupted. Whatever follows the first damaged line goes too. Returns the records that are left.
   */
  rewind(step: number): number {
    let kept = 0;
    for (let from = 0; ; ) {
      const { lines, next, more } = readLines(this.path, from);
      for (const { offset, text } of lines) {
        const record = parseMetrics(text);
        if (record === undefined || record.step > step) {
          this.lines.truncate(offset);
          return kept;
        }
        kept++;
      }
      if (!more) return kept;
      from = next;
    }
  }

  /** Makes what was written last through a power cut; to be called before a checkpoint is. */
  sync(): void {
    this.lines.sync();
  }

  close(): void {
    this.lines.close();
  }
}

/**
 * Records from a byte offset on. A half-written last line is left for the next call, and a file that is not there yet
 * has no records, so a viewer may begin before the run and call again and again.
 *
 * @throws RunError when the file cannot be read
 */
export function readMetrics(
  path: string,
  options: { from?: number; maximumBytes?: number } = {},
): MetricsRead {
  const { lines, next, more, restarted } = readLines(path, options.from, options.maximumBytes);
  const records = lines.map(({ text }) => parseMetrics(text)).filter((record) => record !== undefined);
  return { records, next, more, restarted, skipped: lines.length - records.length };
}

/** Losses of a validation set over a run. */
export interface SetSummary {
  readonly final: EvaluationMetrics;
  readonly best: EvaluationMetrics;
}

export interface MetricsSummary {
  /** The last training step. */
  readonly last: StepMetrics | undefined;
  readonly sets: Readonly<Record<string, SetSummary>>;
}

/** Final and best losses of a run. @throws RunError */
export function summarizeMetrics(path: string): MetricsSummary {
  let last: StepMetrics | undefined;
  const sets = new Map<string, SetSummary>();
  for (let from = 0, more = true; more; ) {
    const read = readMetrics(path, { from });
    for (const record of read.records) {
      if (record.kind === "step") {
        last = record;
        continue;
      }
      const best = sets.get(record.set)?.best;
      const isBest =
        best === undefined ||
        (record.loss ?? Number.POSITIVE_INFINITY) < (best.loss ?? Number.POSITIVE_INFINITY);
      sets.set(record.set, { final: record, best: isBest ? record : best });
    }
    from = read.next;
    more = read.more;
  }
  return { last, sets: Object.fromEntries(sets) };
}

function parseMetrics(text: string): Metrics | undefined {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    /* reported as skipped */
    return undefined;
  }
  if (typeof value !== "object" || value === null) return undefined;
  const { kind, step, set } = value as Partial<EvaluationMetrics>;
  if (typeof step !== "number") return undefined;
  if ((kind as string) === "step" || (kind === "evaluation" && typeof set === "string"))
    return value as Metrics;
  return undefined;
}
