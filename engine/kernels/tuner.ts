/**
 * Measures the tiles that a program could use and remembers the fastest per class of shapes. Tiles of the portable
 * variants give the same bits, so that tuning changes speed and nothing else.
 */
import type { Gpu } from "../gpu/index.js";
import { Random } from "../random.js";
import { attentionCase } from "./attention-definition.js";
import { type AttentionSizes, type AttentionVariant, tilesOf as attentionTiles } from "./attention-tiles.js";
import type { KernelCase, Real } from "./definition.js";
import {
  type AssignShape,
  type AssignVariant,
  assignCase,
  assignTileName,
  assignTiles,
} from "./kmeans-assign.js";
import type { MatmulShape } from "./matmul.js";
import { matmulCase } from "./matmul-definition.js";
import { tilesOf, variantFor } from "./matmul-tiles.js";
import { timeCase } from "./measure.js";
import type { Miss } from "./preferences.js";
import { type Target, targetOf } from "./target.js";

interface Candidate {
  readonly name: string;
  problem(): KernelCase;
}

/** Problems of less work than this are done before they would be measured. */
const WORTH_MEASURING = 2e7;

/** The tiles to compare for a class of shapes; none where the choice does not matter. */
function candidates(target: Target, { kind, shape }: Miss): Candidate[] {
  const context = { target, random: new Random(1) };
  if (kind === "matmul") {
    const s = shape as MatmulShape;
    if (s.grouped || 2 * s.m * s.n * s.k * (s.batch ?? 1) < WORTH_MEASURING) return [];
    return tilesOf(variantFor(target, s), target).map((tile) => ({
      name: tile.name,
      problem: () => matmulCase({ ...context, variant: tile.variant, real: s.a }, s, tile),
    }));
  }
  if (kind === "attention") {
    const s = shape as AttentionSizes & { variant: AttentionVariant; real: Real };
    if (s.batch * s.heads * s.headDimension * s.tokens ** 2 < WORTH_MEASURING) return [];
    return attentionTiles(s.variant, target).map((tile) => ({
      name: tile.name,
      problem: () => attentionCase({ ...context, variant: s.variant, real: s.real }, s, tile),
    }));
  }
  const s = shape as AssignShape & { variant: AssignVariant };
  if (2 * s.points * s.clusters * s.dimensions < WORTH_MEASURING * 50) return [];
  return assignTiles(target, s.variant).map((tile) => ({
    name: assignTileName(tile),
    problem: () =>
      assignCase({ ...context, variant: s.variant, real: "f32" }, tile, {
        ...s,
        points: Math.min(s.points, 4096),
      }),
  }));
}

/**
 * Measures every class of shapes that was asked for since the last call and is not known yet.
 * Returns whether any choice was made, in which case programs should be compiled again.
 */
export async function tune(gpu: Gpu, target: Target = targetOf(gpu)): Promise<boolean> {
  const { preferences } = target;
  if (!preferences) return false;
  let measured = false;
  for (const miss of preferences.takeMisses()) {
    let best: { name: string; milliseconds: number } | undefined;
    const all = candidates(target, miss);
    if (all.length < 2) continue;
    for (const { name, problem } of all) {
      const { milliseconds } = await timeCase(gpu, problem(), 0.1);
      if (!best || milliseconds < best.milliseconds) best = { name, milliseconds };
    }
    if (!best) continue;
    preferences.prefer(miss, best.name);
    measured = true;
  }
  if (measured) preferences.save();
  return measured;
}
