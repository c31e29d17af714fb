/** The charts of the dashboard: which there are, and their lines for the runs that are shown. */
import { formatBytes, formatNumber, formatSeconds } from "../../shared/scale.js";
import type { ColumnName } from "../../shared/series.js";
import type { Line } from "../chart/drawing.js";
import type { RunNumbers, SetMeasure, XColumn } from "./run-numbers.js";

export interface ShownRun {
  readonly id: string;
  readonly label: string;
  readonly color: string;
  readonly dash: readonly number[];
  readonly numbers: RunNumbers;
}

export interface PanelSettings {
  readonly x: XColumn;
  readonly smoothing: number;
  readonly measure: SetMeasure;
}

export interface Panel {
  readonly id: string;
  readonly title: string;
  readonly format: (value: number) => string;
  lines(runs: readonly ShownRun[], settings: PanelSettings): Line[];
}

const fine = (value: number) => formatNumber(value, 4);

export const STEP_PANELS: readonly Panel[] = [
  stepPanel("loss", "Training loss", fine, true),
  stepPanel("learningRate", "Learning rate", formatNumber, false),
  stepPanel("gradientNorm", "Gradient norm", formatNumber, true),
  stepPanel("tokensPerSecond", "Tokens per second", formatNumber, true),
  stepPanel("memory", "Memory", formatBytes, false),
];

function stepPanel(
  column: ColumnName,
  title: string,
  format: (value: number) => string,
  isSmoothed: boolean,
): Panel {
  return {
    id: column,
    title,
    format,
    lines: (runs, { x, smoothing }) =>
      runs.map(({ id, label, color, dash, numbers }) => ({
        ...{ id, label, color, dash },
        x: numbers.series.column(x),
        ...numbers.smoothed(column, isSmoothed ? smoothing : 0),
      })),
  };
}

export const MEASURES: readonly (readonly [SetMeasure, string])[] = [
  ["loss", "Loss"],
  ["perplexity", "Perplexity"],
  ["bitsPerByte", "Bits per byte"],
];

/** The chart of a validation set or domain. */
export function setPanel(set: string, measure: SetMeasure): Panel {
  const name = MEASURES.find(([each]) => each === measure)![1];
  return {
    id: `set ${set}`,
    title: `${name} · ${set}`,
    format: fine,
    lines: (runs, settings) =>
      runs
        .filter(({ numbers }) => numbers.sets().includes(set))
        .map(({ id, label, color, dash, numbers }) => ({
          ...{ id, label, color, dash, marked: true },
          ...numbers.ofSet(set, settings.measure, settings.x),
        })),
  };
}

/** How values of the horizontal axis are written. */
export const X_FORMATS: Readonly<Record<XColumn, (value: number) => string>> = {
  step: (value) => (value < 1e5 ? String(Math.round(value)) : formatNumber(value, 4)),
  tokens: (value) => `${formatNumber(value)}`,
  flops: (value) => `${formatNumber(value)}`,
  seconds: formatSeconds,
};

export const X_NAMES: readonly (readonly [XColumn, string])[] = [
  ["step", "Step"],
  ["tokens", "Tokens"],
  ["flops", "FLOPs"],
  ["seconds", "Time"],
];
