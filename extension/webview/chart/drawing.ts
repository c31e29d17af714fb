/** Draws lines with their axes onto a surface. */
import { type BlockRanges, type Columns, columnsOf, lowerBound } from "../../shared/columns.js";
import { type Range, rangeOf, Scale, union } from "../../shared/scale.js";
import type { Theme } from "../theme.js";
import type { Band, Surface } from "./surface.js";

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
  /** What finds the extremes of `y` and of `raw` quickly, kept while they only grow. */
  readonly ranges?: BlockRanges;
  readonly rawRanges?: BlockRanges;
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
  readonly shown: readonly Shown[];
}

const MARGIN = { left: 62, right: 12, top: 8, bottom: 22 };
const RAW_OPACITY = 0.22;
const MOST_RAW = 8;
const MOST_MARKED = 200;
/** Pixels of a digit of an axis label, about, and between two labels. */
const LABEL_CHARACTER = 6;
const LABEL_GAP = 6;

/** A line as a frame shows it: all its points from `from` to `to`, or with very many what they cover of each column. */
interface Shown {
  readonly line: Line;
  readonly from: number;
  readonly to: number;
  readonly columns?: Columns;
}

/** Scales that show the lines in a view, on a surface of so many pixels with `density` device pixels each. */
export function frameOf(
  lines: readonly Line[],
  view: View,
  width: number,
  height: number,
  density = 1,
): Frame {
  const [left, top] = [MARGIN.left, MARGIN.top];
  const [right, bottom] = [width - MARGIN.right, height - MARGIN.bottom];
  const x = new Scale(view.x ?? extentX(lines, view.logX), left, right, view.logX);
  const shown = lines.map((line): Shown => {
    const [from, to] = within(line.x, x.range);
    const isDense = to - from > (right - left) / 2;
    return { line, from, to, columns: isDense ? columnsOf(line, x, density, view.logY) : undefined };
  });
  const y = new Scale(view.y ?? extentY(shown, view.logY), bottom, top, view.logY);
  return { x, y, left, top, right, bottom, shown };
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

function extentY(shown: readonly Shown[], isLog: boolean): Range {
  let range: Range | undefined;
  const above = isLog ? 0 : undefined;
  for (const { line, from, to, columns } of shown)
    if (columns === undefined) range = union(range, rangeOf(line.y, from, to, above));
    else
      for (const ends of [columns.least, columns.greatest])
        range = union(range, rangeOf(ends, 0, ends.length, above));
  if (range === undefined) return { least: isLog ? 0.1 : 0, greatest: 1 };
  const { least, greatest } = range;
  if (isLog) return { least: least / 1.05, greatest: greatest * 1.05 };
  const room = (greatest - least || Math.abs(least) || 1) * 0.06;
  return { least: least - (least >= 0 && least - room < 0 ? least : room), greatest: greatest + room };
}

/** Indices of the points in a range, with one more on either side so that lines lead out of the picture. */
function within(x: ArrayLike<number>, { least, greatest }: Range): [number, number] {
  const from = Math.max(0, lowerBound(x, least) - 1);
  const to = Math.min(x.length, lowerBound(x, greatest) + 2);
  return [from, Math.max(from, to)];
}

/** Draws everything but what follows the pointer. */
export function drawChart(surface: Surface, frame: Frame, theme: Theme, format: AxisFormat): void {
  const { shown, left, right, top, bottom, x, y } = frame;
  drawAxes(surface, frame, theme, format);
  surface.clip(left, top - 2, right - left, bottom - top + 4);
  for (const { line, from, to, columns } of shown) {
    /* behind many lines the unsmoothed ones are a grey cloud that hides them */
    if (line.raw === undefined || shown.length > MOST_RAW) continue;
    const stroke = { color: line.color, width: 1, opacity: RAW_OPACITY };
    const series = { x: line.x, y: line.raw, ranges: line.rawRanges };
    if (columns) surface.band(bandOf(columnsOf(series, x, columns.density, y.isLog), y), stroke);
    else surface.line(pathOf(line.x, line.raw, from, to, frame), stroke);
  }
  for (const { line, from, to, columns } of shown) {
    const { color, dash, marked } = line;
    const stroke = { color, width: theme.isHighContrast ? 2.5 : 1.75, dash };
    if (columns) surface.band(bandOf(columns, y), stroke);
    else {
      const points = pathOf(line.x, line.y, from, to, frame);
      surface.line(points, stroke);
      if (marked && to - from < MOST_MARKED) drawMarks(surface, points, color);
    }
  }
  surface.unclip();
}

function bandOf({ first, density, least, greatest }: Columns, y: Scale): Band {
  const toPixel = (value: number) => y.toPixel(value);
  return { first, density, tops: greatest.map(toPixel), bottoms: least.map(toPixel) };
}

function pathOf(
  x: ArrayLike<number>,
  y: ArrayLike<number>,
  from: number,
  to: number,
  frame: Frame,
): number[] {
  const points: number[] = [];
  for (let at = from; at < to; at++) points.push(frame.x.toPixel(x[at]), frame.y.toPixel(y[at]));
  return points;
}

function drawMarks(surface: Surface, points: readonly number[], color: string): void {
  for (let at = 0; at < points.length; at += 2) {
    const [x, y] = [points[at], points[at + 1]];
    if (!Number.isNaN(y)) surface.fill(x - 2.5, y - 2.5, 5, 5, color);
  }
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
  let free = Number.NEGATIVE_INFINITY;
  for (const tick of ticks) {
    const at = Math.round(x.toPixel(tick)) + 0.5;
    if (at < left - 1 || at > right + 1) continue;
    surface.line([at, bottom, at, bottom + 4], { color: theme.muted, width: 1 });
    const label = format.x(tick);
    const wide = label.length * LABEL_CHARACTER;
    const align = at > right - 24 ? "end" : "middle";
    const end = align === "end" ? Math.min(at + 8, right + 8) : at + wide / 2;
    /* round values of a logarithmic axis lie close together at its far end */
    if (end - wide < free) continue;
    free = end + LABEL_GAP;
    surface.text(label, align === "end" ? end : at, bottom + 13, { ...text, align });
  }
  surface.line([left, bottom + 0.5, right, bottom + 0.5], { color: theme.muted, width: 1 });
}
