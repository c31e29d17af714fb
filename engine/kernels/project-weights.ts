/**
 * Projected weights W[e] = Σ_r c[e,r] T[r], c = E[ids] M, and their gradients: host side of
 * shaders/project-weights.wgsl (arXiv 2402.01093, section 2.5).
 */
import type { KernelCall, KernelSource } from "../gpu/index.js";
import { type KernelCase, type KernelDefinition, type Real, roundTo } from "./definition.js";
import { sumSlabs } from "./reduce.js";
import type { Target } from "./target.js";

const FILE = "project-weights.wgsl";

/** Sizes of the small products; `experts` are those in use, `tableRows` all that there are. */
export interface CoefficientShape {
  readonly experts: number;
  readonly tableRows: number;
  readonly mixers: number;
  readonly bases: number;
}

/** Sizes of the large ones: `size` values in one weight matrix. */
export interface ProjectionShape {
  readonly experts: number;
  readonly bases: number;
  readonly size: number;
}

/** Storage types: of T (`base`), and of W and its gradient (`weights`). */
export interface ProjectionTypes {
  readonly base: Real;
  readonly weights: Real;
}

const bytesOf = (real: Real): number => (real === "f16" ? 2 : 4);

/** Values a lane holds in registers: more experts than this go through in several dispatches. */
const MAX_EXPERTS = 16;
/** Bases whose sums one workgroup holds: with MAX_EXPERTS rows, 10.5 KiB of workgroup memory. */
const MAX_BASES = 64;
const COLUMNS = 32;

function params(shape: Partial<CoefficientShape & ProjectionShape> & { firstExpert?: number; run?: number }) {
  return {
    size: shape.size ?? 0,
    experts: shape.experts ?? 0,
    first_expert: shape.firstExpert ?? 0,
    bases: shape.bases ?? 0,
    mixers: shape.mixers ?? 0,
    table_rows: shape.tableRows ?? 0,
    run: shape.run ?? 0,
  };
}

/** Experts cut into chunks as even as can be, none above MAX_EXPERTS. */
function expertChunks(experts: number): { first: number; count: number }[] {
  const chunks = Math.ceil(experts / MAX_EXPERTS);
  return Array.from({ length: chunks }, (_, i) => {
    const first = Math.floor((experts * i) / chunks);
    return { first, count: Math.floor((experts * (i + 1)) / chunks) - first };
  });
}

function streamingGroups(target: Target, size: number): { workgroup: number; groups: number } {
  const workgroup = target.software ? 32 : 256;
  const groups = Math.ceil(size / (target.software ? workgroup * 4 : workgroup));
  return { workgroup, groups: Math.min(groups, target.maxWorkgroupsPerDimension) };
}

/**
 * c[e, r] = Σ_q E[ids[e], q] · M[q, r]. ids: experts u32, each < tableRows; vectors E: tableRows × mixers;
 * mixer M: mixers × bases; coefficients: experts × bases; f32.
 */
export function projectionCoefficients<B>(
  shape: CoefficientShape,
  b: { ids: B; vectors: B; mixer: B; coefficients: B },
): KernelCall<B> {
  const { experts, mixers, bases } = shape;
  return {
    label: `projection coefficients ${experts} × ${bases}`,
    kernel: { file: FILE, entryPoint: "coefficients" },
    bindings: { ids: b.ids, vectors: b.vectors, mixer: b.mixer, new_coefficients: b.coefficients },
    params: params(shape),
    workgroups: [Math.ceil((experts * bases) / 64), 1, 1],
    flops: 2 * experts * mixers * bases,
    bytes: 4 * (experts * mixers + mixers * bases + experts * bases),
  };
}

/** W[e, :] = Σ_r c[e, r] · T[r, :]. base T: bases × size; weights W: experts × size; coefficients: f32. */
export function composeWeights<B>(
  target: Target,
  types: ProjectionTypes,
  shape: ProjectionShape,
  b: { coefficients: B; base: B; weights: B },
): KernelCall<B>[] {
  const { bases, size } = shape;
  const { workgroup, groups } = streamingGroups(target, size);
  return expertChunks(shape.experts).map(({ first, count }) => ({
    label: `compose ${count} experts from ${bases} × ${size}`,
    kernel: {
      file: FILE,
      entryPoint: "compose",
      types: { Base: types.base, Real: types.weights },
      constants: { WORKGROUP: workgroup, EXPERTS: count },
    },
    bindings: { c: b.coefficients, base: b.base, weights: b.weights },
    params: params({ ...shape, firstExpert: first }),
    workgroups: [groups, 1, 1],
    flops: 2 * count * bases * size,
    bytes: bytesOf(types.base) * bases * size + bytesOf(types.weights) * count * size,
  }));
}

/** dT[r, :] (+)= Σ_e c[e, r] · dW[e, :], experts in ascending order. dBase: bases × size f32. */
export function baseGradient<B>(
  target: Target,
  types: Pick<ProjectionTypes, "weights">,
  shape: ProjectionShape & { accumulate: boolean },
  b: { coefficients: B; dWeights: B; dBase: B },
): KernelCall<B>[] {
  const { bases, size } = shape;
  const { workgroup, groups } = streamingGroups(target, size);
  return expertChunks(shape.experts).map(({ first, count }) => {
    const accumulate = shape.accumulate || first > 0;
    return {
      label: `base gradient of ${count} experts into ${bases} × ${size}`,
      kernel: {
        file: FILE,
        entryPoint: "base_gradient",
        types: { Real: types.weights },
        constants: { WORKGROUP: workgroup, EXPERTS: count, ACCUMULATE: accumulate },
      },
      bindings: { c: b.coefficients, dweights: b.dWeights, dbase: b.dBase },
      params: params({ ...shape, firstExpert: first }),
      workgroups: [groups, 1, 1] as const,
      flops: 2 * count * bases * size,
      bytes: bytesOf(types.weights) * count * size + (accumulate ? 8 : 4) * bases * size,
    };
  });
}

/** Parts that the dot products of `coefficientGradient` are cut into: a function of the size alone. */
export function projectionParts(size: number): { count: number; run: number } {
  const run = COLUMNS * Math.max(16, Math.ceil(size / (COLUMNS * 512)));
  return { count: Math.ceil(size / run), run };
}

/**
 * dc[e, r] = Σ_i dW[e, i] · T[r, i] in two ordered passes. partial: `projectionParts(size).count` × experts × bases
 * f32; dCoefficients: experts × bases f32.
 */
export function coefficientGradient<B>(
  target: Target,
  types: ProjectionTypes,
  shape: ProjectionShape,
  b: { dWeights: B; base: B; partial: B; dCoefficients: B },
): KernelCall<B>[] {
  const { experts, bases, size } = shape;
  const { count: parts, run } = projectionParts(size);
  const tile = Math.min(bases, MAX_BASES);
  const calls: KernelCall<B>[] = expertChunks(experts).map(({ first, count }) => ({
    label: `coefficient gradient of ${count} experts × ${bases} bases × ${size}`,
    kernel: {
      file: FILE,
      entryPoint: "coefficient_gradient",
      types: { Base: types.base, Real: types.weights },
      constants: { WORKGROUP: target.software ? 8 : 64, EXPERTS: count, BASES: tile, COLUMNS },
    },
    bindings: { dweights: b.dWeights, base: b.base, partial: b.partial },
    params: params({ ...shape, firstExpert: first, run }),
    workgroups: [parts, Math.ceil(bases / tile), 1],
    flops: 2 * count * bases * size,
    bytes: (bytesOf(types.weights) * count + bytesOf(types.base) * bases) * size + 4 * parts * count * bases,
  }));
  return [
    ...calls,
    sumSlabs(
      { slabs: parts, columns: experts * bases, accumulate: false },
      { partial: b.partial, output: b.dCoefficients },
    ),
  ];
}

/** dE and dM from dc: dE[i, :] (+)= Σ_{ids[e] = i} M · dc[e, :], dM (+)= Σ_e E[ids[e], :]ᵀ dc[e, :]; f32. */
export function projectionVectorGradients<B>(
  shape: CoefficientShape & { accumulate: boolean },
  b: { ids: B; vectors: B; mixer: B; dCoefficients: B; dVectors: B; dMixer: B },
): KernelCall<B>[] {
  const { experts, tableRows, mixers, bases, accumulate } = shape;
  const constants = { ACCUMULATE: accumulate };
  return [
    {
      label: `expert vector gradient ${tableRows} × ${mixers}`,
      kernel: { file: FILE, entryPoint: "vector_gradient", constants },
      bindings: { ids: b.ids, mixer: b.mixer, dc: b.dCoefficients, dvectors: b.dVectors },
      params: params(shape),
      workgroups: [Math.ceil((tableRows * mixers) / 64), 1, 1],
      flops: 2 * experts * mixers * bases,
      bytes: 4 * (mixers * bases + experts * bases + tableRows * mixers),
    },
    {
      label: `mixer gradient ${mixers} × ${bases}`,
      kernel: { file: FILE, entryPoint: "mixer_gradient", constants },
      bindings: { ids: b.ids, vectors: b.vectors, dc: b.dCoefficients, dmixer: b.dMixer },
      params: params(shape),
      workgroups: [Math.ceil((mixers * bases) / 64), 1, 1],
      flops: 2 * experts * mixers * bases,
      bytes: 4 * (experts * mixers + experts * bases + mixers * bases),
    },
  ];
}

function sources(): KernelSource[] {
  const small = ["coefficients", "vector_gradient", "mixer_gradient"].map((entryPoint) => ({
    file: FILE,
    entryPoint,
  }));
  const large = ["compose", "base_gradient", "coefficient_gradient"].flatMap((entryPoint) =>
    [1, 7, MAX_EXPERTS].flatMap((EXPERTS) =>
      (
        [
          ["f32", "f32"],
          ["f32", "f16"],
          ["f16", "f16"],
        ] as const
      ).map(([Base, Real]) => ({
        file: FILE,
        entryPoint,
        types: { Base, Real },
        constants: { EXPERTS, ...(EXPERTS === MAX_EXPERTS ? { BASES: MAX_BASES } : {}) },
      })),
    ),
  );
  return [...small, ...large];
}

export const projectWeights: KernelDefinition = {
  name: "project-weights",
  formula: "W[e] = Σ_r c[e,r] T[r], c = E M; dT, dc, dE, dM",
  variants: [
    {
      name: "columns",
      purpose: "every adapter",
      file: FILE,
      reals: ["f32", "f16"],
      runsOn: () => true,
      sources: sources(),
    },
  ],
  cases: (context) => [
    problem(context, { experts: 1, tableRows: 1, mixers: 1, bases: 1, size: 1 }),
    problem(context, { experts: 2, tableRows: 5, mixers: 3, bases: 4, size: 67 }),
    problem(context, { experts: 7, tableRows: 7, mixers: 16, bases: 13, size: 1031 }),
    problem(context, { experts: 17, tableRows: 40, mixers: 5, bases: 65, size: 513 }),
    problem(context, { experts: 4, tableRows: 16, mixers: 16, bases: 16, size: 20_011 }),
  ],
  benchmark: (context) =>
    problem(
      context,
      context.target.software
        ? { experts: 4, tableRows: 16, mixers: 16, bases: 16, size: 128 * 384 }
        : { experts: 8, tableRows: 32, mixers: 32, bases: 32, size: 1024 * 4096 },
    ),
};

function problem(
  { target, random, real }: Parameters<KernelDefinition["cases"]>[0],
  shape: CoefficientShape & ProjectionShape,
): KernelCase {
  const { experts, tableRows, mixers, bases, size } = shape;
  const types = { base: real, weights: real };
  /* means away from zero, so that no dot product cancels to nearly nothing */
  const draw = (count: number, mean: number) => random.normals(count).map((x) => x + mean);
  const ids = Uint32Array.from({ length: experts }, () => random.integer(tableRows));
  const vectors = draw(tableRows * mixers, 0.5);
  const mixer = draw(mixers * bases, 0.5);
  const coefficients = draw(experts * bases, 0.5);
  const base = roundTo(real, draw(bases * size, 1));
  const dWeights = roundTo(real, draw(experts * size, 1));
  const before = draw(bases * size, 0);
  const names = { coefficients: "coefficients", base: "base", dWeights: "dWeights" };
  const tables = { ids: "ids", vectors: "vectors", mixer: "mixer" };
  const small = (elements: number, data?: Float32Array) => ({ dtype: "f32" as const, elements, data });
  return {
    label: `${experts} of ${tableRows} experts, ${mixers} mixers, ${bases} bases × ${size}`,
    buffers: {
      ids: { dtype: "u32", elements: experts, data: ids },
      vectors: small(vectors.length, vectors),
      mixer: small(mixer.length, mixer),
      coefficients: small(coefficients.length, coefficients),
      base: { dtype: real, elements: base.length, data: base },
      dWeights: { dtype: real, elements: dWeights.length, data: dWeights },
      newCoefficients: small(experts * bases),
      weights: { dtype: real, elements: experts * size },
      dBase: small(bases * size),
      dBaseSum: small(bases * size, before),
      partial: small(projectionParts(size).count * experts * bases),
      dCoefficients: small(experts * bases),
      dVectors: small(tableRows * mixers),
      dMixer: small(mixers * bases),
    },
    calls: [
      projectionCoefficients(shape, { ...tables, coefficients: "newCoefficients" }),
      ...composeWeights(target, types, shape, { ...names, weights: "weights" }),
      ...baseGradient(target, types, { ...shape, accumulate: false }, { ...names, dBase: "dBase" }),
      ...baseGradient(target, types, { ...shape, accumulate: true }, { ...names, dBase: "dBaseSum" }),
      ...coefficientGradient(target, types, shape, {
        ...names,
        partial: "partial",
        dCoefficients: "dCoefficients",
      }),
      ...projectionVectorGradients(
        { ...shape, accumulate: false },
        { ...tables, dCoefficients: "coefficients", dVectors: "dVectors", dMixer: "dMixer" },
      ),
    ],
    expected() {
      const newCoefficients = new Float64Array(experts * bases);
      const weights = new Float64Array(experts * size);
      const dBase = new Float64Array(bases * size);
      const dCoefficients = new Float64Array(experts * bases);
      const dVectors = new Float64Array(tableRows * mixers);
      const dMixer = new Float64Array(mixers * bases);
      for (let e = 0; e < experts; e++) {
        for (let r = 0; r < bases; r++) {
          const at = e * bases + r;
          const c = coefficients[at];
          for (let q = 0; q < mixers; q++) {
            newCoefficients[at] += vectors[ids[e] * mixers + q] * mixer[q * bases + r];
            /* the small gradients are checked with the coefficients in the place of their gradient */
            dVectors[ids[e] * mixers + q] += c * mixer[q * bases + r];
            dMixer[q * bases + r] += vectors[ids[e] * mixers + q] * c;
          }
          for (let i = 0; i < size; i++) {
            weights[e * size + i] += c * base[r * size + i];
            dBase[r * size + i] += c * dWeights[e * size + i];
            dCoefficients[at] += dWeights[e * size + i] * base[r * size + i];
          }
        }
      }
      const dBaseSum = dBase.map((value, i) => value + before[i]);
      return { newCoefficients, weights, dBase, dBaseSum, dCoefficients, dVectors, dMixer };
    },
  };
}
