/** Padding, norms and panels for k-means, and checks of its points: host side of shaders/kmeans-prepare.wgsl. */
import type { KernelCall } from "../gpu/index.js";
import type { Real } from "./definition.js";
import { rowGroups, type Target } from "./target.js";

const FILE = "kmeans-prepare.wgsl";
const WORKGROUP = 64;

/** Centroids that lie side by side in a panel: the lanes of the `cpu` variant. */
export const PANEL_LANES = 8;

interface RowsShape {
  readonly rows: number;
  readonly columns: number;
}

function call<B>(
  target: Target,
  label: string,
  entryPoint: string,
  invocations: number,
  bindings: Readonly<Record<string, B>>,
  params: { rows: number; columns: number; targetRows?: number; stride?: number; firstRow?: number },
  work: { flops: number; bytes: number },
  real: Real = "f32",
): KernelCall<B> {
  const constants: Record<string, number> = { WORKGROUP };
  if (entryPoint === "panels") constants.LANES = PANEL_LANES;
  return {
    label,
    kernel: { file: FILE, entryPoint, constants, types: { Real: real } },
    bindings,
    params: {
      source_rows: params.rows,
      columns: params.columns,
      target_rows: params.targetRows ?? params.rows,
      stride: params.stride ?? params.columns,
      first_row: params.firstRow ?? 0,
    },
    workgroups: rowGroups(target, Math.ceil(invocations / WORKGROUP)),
    ...work,
  };
}

/** padded[r, c] = source[r, c], zeros outside. source: rows × columns (f32); padded: targetRows × stride (real). */
export function padRows<B>(
  target: Target,
  real: Real,
  shape: RowsShape & { targetRows: number; stride: number },
  b: { source: B; padded: B },
): KernelCall<B> {
  const written = shape.targetRows * shape.stride;
  return call(
    target,
    `k-means rows ${shape.rows} × ${shape.columns} to ${real}`,
    "rows",
    written,
    { source: b.source, padded: b.padded },
    shape,
    { flops: 0, bytes: 4 * shape.rows * shape.columns + (real === "f16" ? 2 : 4) * written },
    real,
  );
}

/** norms[j] = Σ real(source[j, :])²; 3e38 from `rows` to `targetRows`. source: rows × columns (f32). */
export function rowNorms<B>(
  target: Target,
  real: Real,
  shape: RowsShape & { targetRows: number },
  b: { source: B; norms: B },
): KernelCall<B> {
  return call(
    target,
    `k-means norms of ${shape.rows} centroids`,
    "norms_of_rows",
    shape.targetRows,
    { source: b.source, norms: b.norms },
    shape,
    { flops: 2 * shape.rows * shape.columns, bytes: 4 * (shape.rows * shape.columns + shape.targetRows) },
    real,
  );
}

/** Centroids regrouped for the `cpu` variant. source: rows × columns, columns a multiple of 4; panel: targetRows × columns. */
export function panelRows<B>(
  target: Target,
  shape: RowsShape & { targetRows: number },
  b: { source: B; panel: B },
): KernelCall<B> {
  return call(
    target,
    `k-means panels of ${shape.rows} centroids`,
    "panels",
    (shape.targetRows * shape.columns) / 4,
    { source: b.source, panel: b.panel },
    shape,
    { flops: 0, bytes: 4 * (shape.rows + shape.targetRows) * shape.columns },
  );
}

/** Scales each row to unit length, in place; rows of zeros stay. unit: rows × columns (f32). */
export function normaliseRows<B>(target: Target, shape: RowsShape, b: { unit: B }): KernelCall<B> {
  return call(target, `k-means unit rows ${shape.rows}`, "normalise", shape.rows, { unit: b.unit }, shape, {
    flops: 5 * shape.rows * shape.columns,
    bytes: 16 * shape.rows * shape.columns,
  });
}

/** bad[0] = min(bad[0], firstRow + the first row that holds a NaN or an infinity). bad: one u32, set by the caller. */
export function firstBadRow<B>(
  target: Target,
  shape: RowsShape & { firstRow: number },
  b: { source: B; bad: B },
): KernelCall<B> {
  return call(
    target,
    `k-means check of ${shape.rows} rows`,
    "first_bad",
    shape.rows,
    { source: b.source, bad: b.bad },
    shape,
    { flops: 0, bytes: 4 * shape.rows * shape.columns },
  );
}

/** Everything of the file, for compiling on a machine without a GPU. */
export const PREPARE_SOURCES = [
  { file: FILE, entryPoint: "rows" },
  { file: FILE, entryPoint: "rows", types: { Real: "f16" as const } },
  { file: FILE, entryPoint: "norms_of_rows" },
  { file: FILE, entryPoint: "norms_of_rows", types: { Real: "f16" as const } },
  { file: FILE, entryPoint: "panels" },
  { file: FILE, entryPoint: "normalise" },
  { file: FILE, entryPoint: "first_bad" },
];
