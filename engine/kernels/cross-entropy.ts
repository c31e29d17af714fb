/**
 * Softmax cross-entropy of a chunk of logits, hard or distilled: host side of shaders/cross-entropy.wgsl and, for
 * training on CPU drivers, shaders/cross-entropy-cpu.wgsl.
 */
import type { KernelCall } from "../gpu/index.js";
import { type KernelCase, type KernelDefinition, type Real, realSources, roundTo } from "./definition.js";
import { rowGroups, type Target } from "./target.js";

const FILE = "cross-entropy.wgsl";
const CPU_FILE = "cross-entropy-cpu.wgsl";
/** Lanes of the CPU kernel: a subgroup. */
const CPU_LANES = 8;

export type CrossEntropyVariant = "rows" | "cpu";

/** A chunk: `rows` tokens of `columns` logits; its tokens begin at `firstRow` of the per-token arrays. */
export interface CrossEntropyShape {
  readonly rows: number;
  readonly columns: number;
  readonly firstRow: number;
  /** Target that means "no loss here"; targets ≥ columns mean the same. */
  readonly ignoreIndex: number;
}

export interface DistillationShape extends CrossEntropyShape {
  readonly temperature: number;
  /** λ: 0 is the targets alone, 1 the teacher alone. */
  readonly mix: number;
}

function call<B>(
  target: Target,
  real: Real,
  entryPoint: "forward" | "backward" | "training" | "distill",
  shape: CrossEntropyShape & { temperature?: number; mix?: number },
  bindings: Record<string, B>,
  cost: { flops: number; passes: number; tokenValues: number },
): KernelCall<B> {
  const { rows, columns } = shape;
  return {
    label: `cross-entropy ${entryPoint} ${rows} × ${columns}`,
    kernel: {
      file: FILE,
      entryPoint,
      types: { Real: real },
      constants: { WORKGROUP: target.software ? 8 : 256 },
    },
    bindings,
    params: {
      rows,
      columns,
      first_row: shape.firstRow,
      ignore_index: shape.ignoreIndex,
      temperature: shape.temperature ?? 1,
      mix: shape.mix ?? 0,
    },
    workgroups: rowGroups(target, rows),
    flops: cost.flops * rows * columns,
    bytes: (real === "f16" ? 2 : 4) * cost.passes * rows * columns + 4 * cost.tokenValues * rows,
  };
}

/**
 * losses[t] = lse[t] − logits[r, target[t]] (unweighted, 0 where ignored) and lse[t] = log Σ exp logits[r, :],
 * t = firstRow + r. logits: rows × columns (real); targets: u32; losses, lse: f32, one per token.
 */
export function crossEntropyForward<B>(
  target: Target,
  real: Real,
  shape: CrossEntropyShape,
  b: { logits: B; targets: B; losses: B; lse: B },
): KernelCall<B> {
  const bindings = { logits: b.logits, targets: b.targets, losses: b.losses, lse: b.lse };
  return call(target, real, "forward", shape, bindings, { flops: 4, passes: 1, tokenValues: 3 });
}

/** Replaces the logits by their gradient: (softmax − onehot) · weights[t] · seed[0]. `lse` is the forward's. */
export function crossEntropyBackward<B>(
  target: Target,
  real: Real,
  shape: CrossEntropyShape,
  b: { logits: B; targets: B; weights: B; lse: B; seed: B },
): KernelCall<B> {
  const bindings = {
    gradient: b.logits,
    targets: b.targets,
    weights: b.weights,
    saved_lse: b.lse,
    seed: b.seed,
  };
  return call(target, real, "backward", shape, bindings, { flops: 4, passes: 2, tokenValues: 3 });
}

/** The variant that trains on this device; that for CPU drivers wants rows of whole vectors. */
function trainingVariant(target: Target, real: Real, columns: number): CrossEntropyVariant {
  const cpu = target.software && target.subgroupSize === CPU_LANES && real === "f32";
  return cpu && columns % 4 === 0 ? "cpu" : "rows";
}

/** Forward and backward in one dispatch: fills losses and lse and replaces the logits by their gradient. */
export function crossEntropyTraining<B>(
  target: Target,
  real: Real,
  shape: CrossEntropyShape,
  b: { logits: B; targets: B; weights: B; seed: B; losses: B; lse: B },
  variant: CrossEntropyVariant = trainingVariant(target, real, shape.columns),
): KernelCall<B> {
  const bindings = {
    gradient: b.logits,
    targets: b.targets,
    weights: b.weights,
    seed: b.seed,
    losses: b.losses,
    lse: b.lse,
  };
  const rows = call(target, real, "training", shape, bindings, { flops: 8, passes: 3, tokenValues: 4 });
  if (variant === "rows") return rows;
  const { temperature: _, mix: __, ...params } = rows.params as Record<string, number>;
  return {
    ...rows,
    kernel: { file: CPU_FILE, entryPoint: "training" },
    params,
  };
}

/**
 * Distillation: losses[t] = (1−λ)·CE(target, softmax x) + λ·T²·CE(softmax(teacher/T), softmax(x/T)), and the
 * logits are replaced by their gradient × weights[t] × seed[0]. teacher: rows × columns (real).
 */
export function distillationTraining<B>(
  target: Target,
  real: Real,
  shape: DistillationShape,
  b: { logits: B; teacher: B; targets: B; weights: B; seed: B; losses: B },
): KernelCall<B> {
  const bindings = {
    gradient: b.logits,
    teacher: b.teacher,
    targets: b.targets,
    weights: b.weights,
    seed: b.seed,
    losses: b.losses,
  };
  return call(target, real, "distill", shape, bindings, { flops: 24, passes: 5, tokenValues: 3 });
}

export const crossEntropy: KernelDefinition = {
  name: "cross-entropy",
  formula: "loss = log Σ exp x − x[target]; dx = (softmax x − onehot) · w; and with a teacher's distribution",
  variants: [
    {
      name: "rows",
      purpose: "every adapter",
      file: FILE,
      reals: ["f32", "f16"],
      runsOn: () => true,
      sources: realSources(FILE, ["forward", "backward", "training", "distill"]),
    },
    {
      name: "cpu",
      purpose: "training on CPU drivers with subgroups of 8",
      file: CPU_FILE,
      reals: ["f32"],
      runsOn: (target) => target.software && target.subgroupSize === CPU_LANES,
      sources: [{ file: CPU_FILE, entryPoint: "training" }],
    },
  ],
  cases(context) {
    const vector = context.variant === "cpu" ? 4 : 1;
    const shapes = [
      [1, 2],
      [3, 7],
      [5, 127],
      [5, 255],
      [17, 256],
      [4, 257],
      [9, 1009],
      [2, 8191],
    ].map(([rows, columns]) => [rows, Math.ceil(columns / vector) * vector]);
    return shapes.map(([rows, columns]) => problem(context, rows, columns));
  },
  benchmark: (context) =>
    benchmark(context, context.target.software ? 512 : 4096, context.target.software ? 4096 : 32768),
};

const IGNORE = 0xffffffff;
const SEED_GRADIENT = 8;

interface Problem {
  readonly x: Float32Array;
  readonly targets: Uint32Array;
  readonly weights: Float32Array;
  readonly shape: DistillationShape;
}

function draw({ random, real }: Parameters<KernelDefinition["cases"]>[0], rows: number, columns: number) {
  const firstRow = 2;
  const tokens = rows + firstRow + 1;
  const shape = { rows, columns, firstRow, ignoreIndex: IGNORE, temperature: 2.5, mix: 0.3 };
  /*
   * Among few columns a confident row has a gradient that is all rounding: keep those undecided. And their lse away
   * from 0, where the rounding of a logit would count as a large relative error.
   */
  const few = columns < 16;
  const logits = random.normals(rows * columns, few ? 0.5 : 3);
  const x = roundTo(
    real,
    logits.map((value) => value + (few ? 2 : 0)),
  );
  const teacher = roundTo(real, random.normals(rows * columns, 3));
  /* every third token from the second on is ignored, by index or by lying outside the vocabulary */
  const targets = Uint32Array.from({ length: tokens }, (_, t) =>
    t % 3 === 0 ? (t % 2 === 0 ? IGNORE : columns) : random.integer(columns),
  );
  const weights = Float32Array.from({ length: tokens }, () => random.uniform());
  return { x, teacher, targets, weights, shape, tokens };
}

function problem(
  context: Parameters<KernelDefinition["cases"]>[0],
  rows: number,
  columns: number,
): KernelCase {
  const { target, real, variant } = context;
  const { x, teacher, targets, weights, shape, tokens } = draw(context, rows, columns);
  const zeros = new Float32Array(tokens);
  const seed = Float32Array.of(SEED_GRADIENT);
  const matrix = { dtype: real, elements: rows * columns, data: x };
  const perToken = { dtype: "f32" as const, elements: tokens, data: zeros };
  const given = { targets: "targets", weights: "weights", seed: "seed" };
  return {
    label: `${rows} × ${columns}, first token ${shape.firstRow}`,
    buffers: {
      logits: matrix,
      apart: matrix,
      fused: matrix,
      distilled: matrix,
      teacher: { dtype: real, elements: rows * columns, data: teacher },
      targets: { dtype: "u32", elements: tokens, data: targets },
      weights: { dtype: "f32", elements: tokens, data: weights },
      seed: { dtype: "f32", elements: 1, data: seed },
      losses: perToken,
      lse: perToken,
      fusedLosses: perToken,
      fusedLse: perToken,
      distilledLosses: perToken,
    },
    calls: [
      crossEntropyForward(target, real, shape, {
        logits: "logits",
        targets: "targets",
        losses: "losses",
        lse: "lse",
      }),
      crossEntropyBackward(target, real, shape, { ...given, logits: "apart", lse: "lse" }),
      crossEntropyTraining(
        target,
        real,
        shape,
        { ...given, logits: "fused", losses: "fusedLosses", lse: "fusedLse" },
        variant as CrossEntropyVariant,
      ),
      distillationTraining(target, real, shape, {
        ...given,
        logits: "distilled",
        teacher: "teacher",
        losses: "distilledLosses",
      }),
    ],
    expected() {
      const hard = reference({ x, targets, weights, shape: { ...shape, temperature: 1, mix: 0 } }, teacher);
      const soft = reference({ x, targets, weights, shape }, teacher);
      return {
        losses: hard.losses,
        lse: hard.lse,
        apart: hard.gradient,
        fusedLosses: hard.losses,
        fusedLse: hard.lse,
        fused: hard.gradient,
        distilledLosses: soft.losses,
        distilled: soft.gradient,
      };
    },
  };
}

function logSumExp(values: Float32Array, scale: number): number {
  let maximum = Number.NEGATIVE_INFINITY;
  for (const v of values) maximum = Math.max(maximum, v * scale);
  let sum = 0;
  for (const v of values) sum += Math.exp(v * scale - maximum);
  return maximum + Math.log(sum);
}

function reference({ x, targets, weights, shape }: Problem, teacher: Float32Array) {
  const { rows, columns, firstRow, temperature, mix } = shape;
  const losses = new Float64Array(targets.length);
  const lse = new Float64Array(targets.length);
  const gradient = new Float64Array(rows * columns);
  for (let r = 0; r < rows; r++) {
    const t = firstRow + r;
    const row = x.subarray(r * columns, (r + 1) * columns);
    const taught = teacher.subarray(r * columns, (r + 1) * columns);
    lse[t] = logSumExp(row, 1);
    if (targets[t] === IGNORE || targets[t] >= columns) continue;
    const softTotal = logSumExp(row, 1 / temperature);
    const taughtTotal = logSumExp(taught, 1 / temperature);
    let crossEntropy = 0;
    for (let c = 0; c < columns; c++) {
      const p = Math.exp(taught[c] / temperature - taughtTotal);
      const q = row[c] / temperature - softTotal;
      crossEntropy -= p * q;
      const fromTarget = Math.exp(row[c] - lse[t]) - (c === targets[t] ? 1 : 0);
      gradient[r * columns + c] =
        ((1 - mix) * fromTarget + mix * temperature * (Math.exp(q) - p)) * weights[t] * SEED_GRADIENT;
    }
    losses[t] = (1 - mix) * (lse[t] - row[targets[t]]) + mix * temperature ** 2 * crossEntropy;
  }
  return { losses, lse, gradient };
}

function benchmark(
  context: Parameters<KernelDefinition["benchmark"]>[0],
  rows: number,
  columns: number,
): KernelCase {
  const whole = problem(context, rows, columns);
  const { fused, targets, weights, seed, fusedLosses, fusedLse } = whole.buffers;
  return {
    label: `training ${rows} × ${columns}`,
    buffers: { fused, targets, weights, seed, fusedLosses, fusedLse },
    calls: [whole.calls[2]],
    expected() {
      const answer = whole.expected();
      return { fusedLosses: answer.fusedLosses, fusedLse: answer.fusedLse, fused: answer.fused };
    },
  };
}
