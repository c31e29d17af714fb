/** Draws lines with their axes onto a surface. */
import { type BlockExtremes, decimate, lowerBound } from "../../shared/decimate.js";
import { type Range, rangeOf, Scale, union } from "../../shared/scale.js";
import type { Theme } from "../theme.js";
import type { Surface } from "./surface.js";

/** A line of a chart; x ascends, NaN in y is a gap. */
export interface Line {
  readonly id: string;
  readonly label: string;
  readonly color: string;
  readonly dash: readonly number[];
  readonly x: ArrayLike<number>;
  readonly y: ArrayLike<number>;
  /** Drawn faintly behind: what was smoothed. */
  readonly raw?: ArrayLike<number>;
  readonly extremes?: BlockExtremes;
  readonly rawExtremes?: BlockExtremes;
  /** Marks every point: for few points. */
  readonly marked?: boolean;
}

export interface View {
  /** Absent: all there is. */
  readonly x?: Range;
  readonly y?: Range;
  readonly logX: boolean;
  readonly logY: boolean;
}

export interface AxisFormat {
  readonly x: (value: number) => string;
  readonly y: (value: number) => string;
}

export interface Frame {
  readonly x: Scale;
  readonly y: Scale;
  readonly left: number;
  readonly top: number;
  readonly right: number;
  readonly bottom: number;
}

const MARGIN = { left: 54, right: 12, top: 8, bottom: 22 };
/** Points beyond which a line is first thinned by blocks. */
const MANY_POINTS = 8192;
const RAW_OPACITY = 0.22;
const MOST_RAW = 8;

/** Scales that show the lines in a view. */
export function frameOf(lines: readonly Line[], view: View, width: number, height: number): Frame {
  const [left, top] = [MARGIN.left, MARGIN.top];
  const [right, bottom] = [width - MARGIN.right, height - MARGIN.bottom];
  const x = view.x ?? extentX(lines, view.logX);
  const xScale = new Scale(x, left, right, view.logX);
  const y = view.y ?? extentY(lines, xScale.range, view.logY);
  return { x: xScale, y: new Scale(y, bottom, top, view.logY), left, top, right, bottom };
}

function extentX(lines: readonly Line[], isLog: boolean): Range {
  let range: Range | undefined;
  for (const { x } of lines) {
    if (x.length === 0) continue;
    const first = isLog ? Math.min(lowerBound(x, Number.MIN_VALUE), x.length - 1) : 0;
    range = union(range, { least: x[first], greatest: x[x.length - 1] });
  }
  return range ?? { least: isLog ? 1 : 0, greatest: 1 };
}

function extentY(lines: readonly Line[], x: Range, isLog: boolean): Range {
  let range: Range | undefined;
  for (const line of lines) {
    const [from, to] = within(line.x, x);
    range = union(range, extremesOf(line.y, from, to, isLog, line.extremes));
  }
  if (range === undefined) return { least: isLog ? 0.1 : 0, greatest: 1 };
  const { least, greatest } = range;
  if (isLog) return { least: least / 1.05, greatest: greatest * 1.05 };
  const room = (greatest - least || Math.abs(least) || 1) * 0.06;
  return { least: least - (least >= 0 && least - room < 0 ? least : room), greatest: greatest + room };
}

function extremesOf(
  y: ArrayLike<number>,
  from: number,
  to: number,
  isLog: boolean,
  extremes: BlockExtremes | undefined,
): Range | undefined {
  const few = extremes?.candidates(y, from, to, MANY_POINTS);
  const values = few ? few.map((at) => y[at]) : y;
  const [start, end] = few ? [0, values.length] : [from, to];
  if (!isLog) return rangeOf(values, start, end);
  const positive: number[] = [];
  for (let at = start; at < end; at++) if (values[at] > 0) positive.push(values[at]);
  return rangeOf(positive);
}

/** Indices of the points in a range, with one more on either side so that lines lead out of the picture. */
function within(x: ArrayLike<number>, { least, greatest }: Range): [number, number] {
  const from = Math.max(0, lowerBound(x, least) - 1);
  const to = Math.min(x.length, lowerBound(x, greatest) + 2);
  return [from, Math.max(from, to)];
}

/** Draws everything but what follows the pointer. */
export function drawChart(
  surface: Surface,
  lines: readonly Line[],
  frame: Frame,
  theme: Theme,
  format: AxisFormat,
): void {
  drawAxes(surface, frame, theme, format);
  surface.clip(frame.left, frame.top - 2, frame.right - frame.left, frame.bottom - frame.top + 4);
  for (const { x, raw, color, rawExtremes } of lines) {
    /* behind many lines the unsmoothed ones are a grey cloud that hides them */
    if (raw && lines.length <= MOST_RAW)
      surface.line(pathOf(x, raw, frame, rawExtremes), { color, width: 1, opacity: RAW_OPACITY });
  }
  for (const { x, y, color, dash, extremes, marked } of lines) {
    const points = pathOf(x, y, frame, extremes);
    surface.line(points, { color, width: theme.isHighContrast ? 2.5 : 1.75, dash });
    if (marked && points.length < 400) drawMarks(surface, points, color);
  }
  surface.unclip();
}

function drawMarks(surface: Surface, points: readonly number[], color: string): void {
  for (let at = 0; at < points.length; at += 2) {
    const [x, y] = [points[at], points[at + 1]];
    if (!Number.isNaN(y)) surface.fill(x - 2.5, y - 2.5, 5, 5, color);
  }
}

/** Pixels of a line's points, thinned to what can be told apart. */
export function pathOf(
  x: ArrayLike<number>,
  y: ArrayLike<number>,
  frame: Frame,
  extremes?: BlockExtremes,
): number[] {
  const [from, to] = within(x, frame.x.range);
  const candidates = extremes?.candidates(y, from, to, MANY_POINTS);
  const column = (value: number) => frame.x.toPixel(value);
  const points: number[] = [];
  const push = (at: number) => points.push(frame.x.toPixel(x[at]), frame.y.toPixel(y[at]));
  if (candidates === undefined) {
    for (const at of decimate(x, y, from, to, column)) push(at);
    return points;
  }
  const fewX = Float64Array.from(candidates, (at) => x[at]);
  const fewY = Float64Array.from(candidates, (at) => y[at]);
  for (const at of decimate(fewX, fewY, 0, fewX.length, column)) push(candidates[at]);
  return points;
}

function drawAxes(surface: Surface, frame: Frame, theme: Theme, format: AxisFormat): void {
  const { left, right, top, bottom, x, y } = frame;
  const text = { color: theme.muted, size: 11, font: theme.font };
  for (const tick of y.ticks(Math.max(2, (bottom - top) / 42))) {
    const at = Math.round(y.toPixel(tick)) + 0.5;
    if (at < top - 1 || at > bottom + 1) continue;
    surface.line([left, at, right, at], { color: theme.grid, width: 1 });
    surface.text(format.y(tick), left - 7, at, { ...text, align: "end" });
  }
  const ticks = x.ticks(Math.max(2, (right - left) / 90));
  for (const tick of ticks) {
    const at = Math.round(x.toPixel(tick)) + 0.5;
    if (at < left - 1 || at > right + 1) continue;
    surface.line([at, bottom, at, bottom + 4], { color: theme.muted, width: 1 });
    const align = at > right - 24 ? "end" : "middle";
    surface.text(format.x(tick), align === "end" ? Math.min(at + 8, right + 8) : at, bottom + 13, {
      ...text,
      align,
    });
  }
  surface.line([left, bottom + 0.5, right, bottom + 0.5], { color: theme.muted, width: 1 });
}
