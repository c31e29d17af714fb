/**
 * A chart of losses over steps for the terminal: the training loss as a line of braille dots, two across and four down in a
 * character, the validation loss as marks on it.
 */

export interface ChartPoint {
  readonly step: number;
  readonly loss: number;
}

export interface LossChart {
  readonly training: readonly ChartPoint[];
  readonly validation: readonly ChartPoint[];
  /** What the validation marks stand for, in the legend. */
  readonly validationName: string;
  /** Characters of the area inside the axes. */
  readonly width: number;
  readonly height: number;
}

const VALIDATION_MARK = "◆";
const LINE_SAMPLE = "⠒⠒";
const BRAILLE = 0x2800;
/** Bit of each dot of a braille character, by row, then column. */
const DOT_BITS = [
  [0x01, 0x08],
  [0x02, 0x10],
  [0x04, 0x20],
  [0x40, 0x80],
];
/** Columns of dots on either side that a column of many steps is averaged with. */
const SMOOTHING = 3;
/** Rows between two labels of the vertical axis. */
const LABEL_EVERY = 3;

/** Lines of a chart, joined by newlines; losses that are not finite are left out. Without a point the text is empty. */
export function lossChart({ training, validation, validationName, width, height }: LossChart): string {
  const line = training.filter(({ loss }) => Number.isFinite(loss));
  const marks = validation.filter(({ loss }) => Number.isFinite(loss));
  const all = [...line, ...marks];
  if (all.length === 0) return "";
  const firstStep = Math.min(...all.map(({ step }) => step));
  const lastStep = Math.max(...all.map(({ step }) => step));
  const means = columnMeans(line, firstStep, lastStep, width * 2);
  const columns = line.length > means.length ? smoothed(means) : means;
  const shown = [...columns.filter((loss) => loss !== undefined), ...marks.map(({ loss }) => loss)];
  const low = Math.min(...shown);
  const high = Math.max(...shown);
  const span = high - low || 1;
  /** 0 at the top … 1 at the bottom. */
  const depth = (loss: number) => (high - loss) / span;
  const cells = Array.from({ length: height }, () => new Array<string>(width).fill(" "));
  drawLine(
    cells,
    columns.map((loss) =>
      loss === undefined ? undefined : Math.min(height * 4 - 1, Math.floor(depth(loss) * height * 4)),
    ),
  );
  for (const { step, loss } of marks) {
    const column = Math.floor(((step - firstStep) / (lastStep - firstStep || 1)) * (width - 1));
    cells[Math.min(height - 1, Math.floor(depth(loss) * height))][column] = VALIDATION_MARK;
  }
  const labels = cells.map((_, row) =>
    row % LABEL_EVERY === 0 || row === height - 1
      ? (high - (height > 1 ? row / (height - 1) : 0) * span).toFixed(2)
      : "",
  );
  const margin = Math.max(...labels.map((label) => label.length));
  const rows = cells.map((row, i) =>
    `${labels[i].padStart(margin)} ${labels[i] === "" ? "│" : "┤"}${row.join("")}`.trimEnd(),
  );
  const steps = `step ${firstStep}`;
  const axis = `${steps}${String(lastStep).padStart(Math.max(1, width - steps.length))}`;
  const indent = " ".repeat(margin + 2);
  const legend = [
    ...(line.length > 0 ? [`${LINE_SAMPLE} training`] : []),
    ...(marks.length > 0 ? [`${VALIDATION_MARK} ${validationName}`] : []),
  ];
  return [
    ...rows,
    `${" ".repeat(margin)} └${"─".repeat(width)}`,
    `${indent}${axis}`,
    `${indent}${legend.join("   ")}`,
  ].join("\n");
}

/**
 * The line's height in each of so many columns: the mean of the losses that fall into it, or between the neighbouring
 * points where none does; undefined before the first point and after the last.
 */
function columnMeans(
  points: readonly ChartPoint[],
  firstStep: number,
  lastStep: number,
  count: number,
): (number | undefined)[] {
  const place = (step: number) => ((step - firstStep) / (lastStep - firstStep || 1)) * (count - 1);
  const sums = new Float64Array(count);
  const counts = new Uint32Array(count);
  for (const { step, loss } of points) {
    const column = Math.round(place(step));
    sums[column] += loss;
    counts[column]++;
  }
  const means = Array.from(sums, (sum, i) => (counts[i] === 0 ? undefined : sum / counts[i]));
  let left: number | undefined;
  for (const [column, mean] of means.entries()) {
    if (mean === undefined) continue;
    if (left !== undefined) {
      for (let between = left + 1; between < column; between++) {
        const share = (between - left) / (column - left);
        means[between] = means[left]! + share * (mean - means[left]!);
      }
    }
    left = column;
  }
  return means;
}

/** Each column's mean with its neighbours: single steps of small batches tell little about the course. */
function smoothed(columns: readonly (number | undefined)[]): (number | undefined)[] {
  return columns.map((loss, i) => {
    if (loss === undefined) return undefined;
    /* as many on both sides, so that the ends do not drift */
    const reach = Math.min(SMOOTHING, i, columns.length - 1 - i);
    const near = columns.slice(i - reach, i + reach + 1).filter((value) => value !== undefined);
    return near.reduce((sum, value) => sum + value, 0) / near.length;
  });
}

/** Sets the dots of a line, given for each column of dots the row of dots; steep parts are joined up. */
function drawLine(cells: string[][], dots: readonly (number | undefined)[]): void {
  let before: number | undefined;
  for (const [x, y] of dots.entries()) {
    if (y !== undefined) {
      const from = before === undefined ? y : before < y ? Math.min(before + 1, y) : Math.max(before - 1, y);
      for (let dot = Math.min(from, y); dot <= Math.max(from, y); dot++) setDot(cells, x, dot);
    }
    before = y;
  }
}

function setDot(cells: string[][], x: number, y: number): void {
  const row = cells[y >> 2];
  const code = row[x >> 1] === " " ? 0 : row[x >> 1].charCodeAt(0) - BRAILLE;
  row[x >> 1] = String.fromCharCode(BRAILLE | code | DOT_BITS[y & 3][x & 1]);
}
