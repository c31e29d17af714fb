/** Embedding lookup and its deterministic gradient: host side of shaders/embedding.wgsl. */
import type { KernelCall } from "../gpu/index.js";
import { type KernelCase, type KernelDefinition, type Real, realSources, roundTo } from "./definition.js";
import { runStarts, sortCounts, sortPairs } from "./sort.js";
import { rowGroups, type Target } from "./target.js";

const FILE = "embedding.wgsl";

export interface EmbeddingShape {
  readonly tokens: number;
  /** Rows of the table: the vocabulary. */
  readonly rows: number;
  readonly columns: number;
}

/** output[i, :] = table[ids[i], :], zeros for ids ≥ rows. table: rows × columns (`types.table`, default real). */
export function embeddingLookup<B>(
  target: Target,
  real: Real,
  { tokens, rows, columns }: EmbeddingShape,
  b: { table: B; ids: B; output: B },
  types: { table?: Real } = {},
): KernelCall<B> {
  const table = types.table ?? real;
  return {
    label: `embedding ${tokens} of ${rows} × ${columns}`,
    kernel: {
      file: FILE,
      entryPoint: "lookup",
      types: { Real: real, Table: table },
      constants: { WORKGROUP: target.software ? 8 : 64 },
    },
    bindings: { table: b.table, ids: b.ids, output: b.output },
    params: { tokens, rows, columns },
    workgroups: rowGroups(target, tokens),
    flops: 0,
    bytes: ((real === "f16" ? 2 : 4) + (table === "f16" ? 2 : 4)) * tokens * columns + 4 * tokens,
  };
}

/** Values that each scratch buffer of `embeddingGradient` needs, all u32. */
export function embeddingScratch({ tokens, rows }: EmbeddingShape): {
  sortedIds: number;
  positions: number;
  scratchKeys: number;
  scratchValues: number;
  counts: number;
  starts: number;
} {
  return {
    sortedIds: tokens,
    positions: tokens,
    scratchKeys: tokens,
    scratchValues: tokens,
    counts: sortCounts(tokens),
    starts: rows + 1,
  };
}

/**
 * dTable[v, :] (+)= Σ dy[i, :] over tokens i with ids[i] = v, in ascending order; without `accumulate` the rows of
 * unused ids become zero. dy: tokens × columns (real); dTable: rows × columns f32; the rest as `embeddingScratch`.
 */
export function embeddingGradient<B>(
  target: Target,
  real: Real,
  shape: EmbeddingShape & { accumulate: boolean },
  b: {
    ids: B;
    dy: B;
    dTable: B;
    sortedIds: B;
    positions: B;
    scratchKeys: B;
    scratchValues: B;
    counts: B;
    starts: B;
  },
): KernelCall<B>[] {
  const { tokens, rows, columns, accumulate } = shape;
  const sorting = { length: tokens, keyRange: rows };
  const workgroup = target.software ? 8 : 64;
  const [x, y] = rowGroups(target, rows);
  /* a workgroup costs a CPU driver more than a few columns do */
  const columnBlocks = target.software ? 1 : Math.ceil(columns / workgroup);
  return [
    ...sortPairs(target, sorting, {
      keys: b.ids,
      sortedKeys: b.sortedIds,
      sortedValues: b.positions,
      scratchKeys: b.scratchKeys,
      scratchValues: b.scratchValues,
      counts: b.counts,
    }),
    runStarts(target, sorting, { sortedKeys: b.sortedIds, starts: b.starts }),
    {
      label: `embedding gradient ${tokens} into ${rows} × ${columns}`,
      kernel: {
        file: FILE,
        entryPoint: "gradient",
        types: { Real: real },
        constants: { WORKGROUP: workgroup, ACCUMULATE: accumulate },
      },
      bindings: { dy: b.dy, positions: b.positions, starts: b.starts, dtable: b.dTable },
      params: { tokens, rows, columns },
      workgroups: [x, y, columnBlocks],
      flops: tokens * columns,
      bytes:
        (real === "f16" ? 2 : 4) * tokens * columns +
        4 * (accumulate ? 2 * Math.min(tokens, rows) : rows) * columns,
    },
  ];
}

export const embedding: KernelDefinition = {
  name: "embedding",
  formula: "y[i] = table[ids[i]]; dtable[v] = Σ_{ids[i] = v} dy[i], tokens in ascending order",
  variants: [
    {
      name: "sorted",
      purpose: "every adapter",
      file: FILE,
      reals: ["f32", "f16"],
      runsOn: () => true,
      sources: [
        ...realSources(FILE, ["lookup", "gradient"]),
        { file: FILE, entryPoint: "lookup", types: { Real: "f16", Table: "f16" } },
        { file: FILE, entryPoint: "gradient", constants: { ACCUMULATE: true } },
      ],
    },
  ],
  cases: (context) => [
    problem(context, { tokens: 1, rows: 1, columns: 1 }),
    problem(context, { tokens: 7, rows: 5, columns: 3 }),
    problem(context, { tokens: 65, rows: 127, columns: 65 }),
    problem(context, { tokens: 1031, rows: 257, columns: 64 }),
    problem(context, { tokens: 1500, rows: 2, columns: 9 }),
  ],
  benchmark: (context) =>
    problem(
      context,
      context.target.software
        ? { tokens: 2048, rows: 4096, columns: 128 }
        : { tokens: 32768, rows: 32768, columns: 1024 },
    ),
};

function problem(
  { target, random, real }: Parameters<KernelDefinition["cases"]>[0],
  shape: EmbeddingShape,
): KernelCase {
  const { tokens, rows, columns } = shape;
  const table = roundTo(real, random.normals(rows * columns));
  const dy = roundTo(real, random.normals(tokens * columns));
  const before = random.normals(rows * columns);
  /* squares favour low ids, as word frequencies do; the last id is outside the table */
  const ids = Uint32Array.from({ length: tokens }, () => Math.floor(random.uniform() ** 2 * (rows + 1)));
  const scratch = Object.fromEntries(
    Object.entries(embeddingScratch(shape)).map(([name, elements]) => [name, { dtype: "u32", elements }]),
  ) as KernelCase["buffers"];
  const names = {
    ids: "ids",
    dy: "dy",
    sortedIds: "sortedIds",
    positions: "positions",
    scratchKeys: "scratchKeys",
    scratchValues: "scratchValues",
    counts: "counts",
    starts: "starts",
  };
  return {
    label: `${tokens} tokens, table ${rows} × ${columns}`,
    buffers: {
      table: { dtype: real, elements: rows * columns, data: table },
      ids: { dtype: "u32", elements: tokens, data: ids },
      dy: { dtype: real, elements: tokens * columns, data: dy },
      output: { dtype: real, elements: tokens * columns },
      dTable: { dtype: "f32", elements: rows * columns },
      sum: { dtype: "f32", elements: rows * columns, data: before },
      ...scratch,
    },
    calls: [
      embeddingLookup(target, real, shape, { table: "table", ids: "ids", output: "output" }),
      ...embeddingGradient(target, real, { ...shape, accumulate: false }, { ...names, dTable: "dTable" }),
      ...embeddingGradient(target, real, { ...shape, accumulate: true }, { ...names, dTable: "sum" }),
    ],
    expected() {
      const output = new Float64Array(tokens * columns);
      const dTable = new Float64Array(rows * columns);
      for (let i = 0; i < tokens; i++) {
        if (ids[i] >= rows) continue;
        for (let c = 0; c < columns; c++) {
          output[i * columns + c] = table[ids[i] * columns + c];
          dTable[ids[i] * columns + c] += dy[i * columns + c];
        }
      }
      return { output, dTable, sum: dTable.map((value, i) => value + before[i]) };
    },
  };
}
