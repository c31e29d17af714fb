/**
 * Stable radix sort of (key, value) pairs and the bounds of each key's run: host side of shaders/sort.wgsl.
 * What a deterministic scatter needs: sorted by destination, each destination adds its own run in order.
 */
import { type KernelCall, UNUSED } from "../gpu/index.js";
import type { KernelCase, KernelDefinition } from "./definition.js";
import type { Target } from "./target.js";

const FILE = "sort.wgsl";
const DIGIT_BITS = 4;

export interface SortShape {
  readonly length: number;
  /** Keys are 0 … keyRange − 1; anything above counts as keyRange and sorts last. */
  readonly keyRange: number;
}

function shapeOf(target: Target): { workgroup: number; items: number } {
  return target.software ? { workgroup: 8, items: 128 } : { workgroup: 64, items: 16 };
}

const BLOCK = 1024;

/** The most pairs that `sortPairs` takes on a device: it counts its blocks along one dimension. */
export function mostSorted(target: Target): number {
  return BLOCK * target.maxWorkgroupsPerDimension;
}

/** Values that the buffer `counts` of `sortPairs` needs. */
export function sortCounts(length: number): number {
  return 2 ** DIGIT_BITS * Math.max(1, Math.ceil(length / BLOCK));
}

/**
 * Sorts pairs by key, equal keys in their old order; keys above keyRange come out as keyRange.
 * keys, sortedKeys, sortedValues, scratchKeys, scratchValues: u32 × length; counts: u32 × `sortCounts(length)`.
 * Without `values` the pairs are numbered 0 … length − 1, so sortedValues is the sorting permutation.
 * keys and values are left as they are; the buffers must all be different.
 */
export function sortPairs<B>(
  target: Target,
  { length, keyRange }: SortShape,
  b: {
    keys: B;
    values?: B;
    sortedKeys: B;
    sortedValues: B;
    scratchKeys: B;
    scratchValues: B;
    counts: B;
  },
): KernelCall<B>[] {
  const { workgroup, items } = shapeOf(target);
  const blocks = Math.max(1, Math.ceil(length / BLOCK));
  const passes = Math.max(1, Math.ceil(Math.log2(keyRange + 1) / DIGIT_BITS));
  const constants = { WORKGROUP: workgroup, ITEMS: items };
  const sorted = { keys: b.sortedKeys, values: b.sortedValues };
  const scratch = { keys: b.scratchKeys, values: b.scratchValues };
  const calls: KernelCall<B>[] = [];
  let from: { keys: B; values: B | undefined } = { keys: b.keys, values: b.values };
  for (let pass = 0; pass < passes; pass++) {
    const to = (passes - 1 - pass) % 2 === 0 ? sorted : scratch;
    const params = { length, shift: pass * DIGIT_BITS, blocks, key_range: keyRange };
    const label = `sort ${length} by ${keyRange} keys, digit ${pass + 1} of ${passes}`;
    calls.push(
      {
        label: `${label}: count`,
        kernel: { file: FILE, entryPoint: "count", constants },
        bindings: { keys: from.keys, counts: b.counts },
        params,
        workgroups: [blocks, 1, 1],
        flops: 0,
        bytes: 4 * length,
      },
      {
        label: `${label}: scan`,
        kernel: { file: FILE, entryPoint: "scan", constants: { SCAN_WORKGROUP: target.software ? 16 : 256 } },
        bindings: { counts: b.counts },
        params,
        workgroups: [1, 1, 1],
        flops: 0,
        bytes: 12 * 2 ** DIGIT_BITS * blocks,
      },
      {
        label: `${label}: scatter`,
        kernel: {
          file: FILE,
          entryPoint: "scatter",
          constants: { ...constants, NUMBER: from.values === undefined },
        },
        bindings: {
          keys: from.keys,
          values: from.values ?? UNUSED,
          offsets: b.counts,
          sorted_keys: to.keys,
          sorted_values: to.values,
        },
        params,
        workgroups: [blocks, 1, 1],
        flops: 0,
        bytes: 20 * length,
      },
    );
    from = to;
  }
  return calls;
}

/** starts[k] = first i with sortedKeys[i] ≥ k, k = 0 … keyRange: key k's run is starts[k] … starts[k + 1] − 1. */
export function runStarts<B>(
  target: Target,
  { length, keyRange }: SortShape,
  b: { sortedKeys: B; starts: B },
): KernelCall<B> {
  const { workgroup, items } = shapeOf(target);
  return {
    label: `runs of ${keyRange} keys in ${length}`,
    kernel: { file: FILE, entryPoint: "run_starts", constants: { WORKGROUP: workgroup, ITEMS: items } },
    bindings: { keys: b.sortedKeys, starts: b.starts },
    params: { length, shift: 0, blocks: 0, key_range: keyRange },
    workgroups: [Math.min(Math.ceil((keyRange + 1) / workgroup), target.maxWorkgroupsPerDimension), 1, 1],
    flops: 0,
    bytes: 4 * (keyRange + 1) * (1 + Math.ceil(Math.log2(length + 1))),
  };
}

export const sort: KernelDefinition = {
  name: "sort",
  formula: "pairs in ascending order of key, equal keys in their old order; where each key's run begins",
  variants: [
    {
      name: "radix",
      purpose: "every adapter",
      file: FILE,
      reals: ["f32"],
      runsOn: () => true,
      sources: [
        { file: FILE, entryPoint: "count" },
        { file: FILE, entryPoint: "scan" },
        { file: FILE, entryPoint: "scatter" },
        { file: FILE, entryPoint: "scatter", constants: { NUMBER: true } },
        { file: FILE, entryPoint: "run_starts" },
      ],
    },
  ],
  cases: (context) => [
    problem(context, 1, 1),
    problem(context, 2, 3),
    problem(context, 1023, 16),
    problem(context, 1024, 15),
    problem(context, 1025, 17),
    problem(context, 5003, 257),
    problem(context, 40009, 1000),
    problem(context, 20000, 32000),
  ],
  benchmark: (context) => problem(context, context.target.software ? 1 << 16 : 1 << 22, 1024),
};

function problem(
  { target, random }: Parameters<KernelDefinition["cases"]>[0],
  length: number,
  keyRange: number,
): KernelCase {
  /* one key in nine or so lies outside the range */
  const keys = Uint32Array.from({ length }, () =>
    random.integer(9) === 0 ? 0xffffffff - random.integer(16) : random.integer(keyRange),
  );
  const values = Uint32Array.from({ length }, () => random.integer(1 << 20));
  const scratch = { dtype: "u32" as const, elements: length };
  const buffers = {
    scratchKeys: "scratchKeys",
    scratchValues: "scratchValues",
    counts: "counts",
    keys: "keys",
  };
  const shape = { length, keyRange };
  return {
    label: `${length} pairs, ${keyRange} keys`,
    buffers: {
      keys: { dtype: "u32", elements: length, data: keys },
      values: { dtype: "u32", elements: length, data: values },
      scratchKeys: scratch,
      scratchValues: scratch,
      counts: { dtype: "u32", elements: sortCounts(length) },
      sortedKeys: scratch,
      sortedValues: scratch,
      numberedKeys: scratch,
      permutation: scratch,
      starts: { dtype: "u32", elements: keyRange + 1 },
    },
    calls: [
      ...sortPairs(target, shape, {
        ...buffers,
        values: "values",
        sortedKeys: "sortedKeys",
        sortedValues: "sortedValues",
      }),
      ...sortPairs(target, shape, { ...buffers, sortedKeys: "numberedKeys", sortedValues: "permutation" }),
      runStarts(target, shape, { sortedKeys: "sortedKeys", starts: "starts" }),
    ],
    expected() {
      const clamped = keys.map((key) => Math.min(key, keyRange));
      const permutation = Array.from(keys.keys()).sort((a, c) => clamped[a] - clamped[c] || a - c);
      const sortedKeys = Float64Array.from(permutation, (i) => clamped[i]);
      const counted = new Float64Array(keyRange + 1);
      for (const key of clamped) if (key < keyRange) counted[key + 1]++;
      for (let k = 0; k < keyRange; k++) counted[k + 1] += counted[k];
      return {
        sortedKeys,
        sortedValues: Float64Array.from(permutation, (i) => values[i]),
        numberedKeys: sortedKeys,
        permutation: Float64Array.from(permutation),
        starts: counted,
      };
    },
  };
}
