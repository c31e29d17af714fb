/**
 * Measures the tiles that a program could use and remembers the fastest per class of shapes. Tiles of the portable
 * variants give the same bits, so that tuning changes speed and nothing else.
 */
import type { Gpu } from "../gpu/index.js";
import { Random } from "../random.js";
import type { MatmulShape } from "./matmul.js";
import { matmulCase } from "./matmul-definition.js";
import { tilesOf, variantFor } from "./matmul-tiles.js";
import { timeCase } from "./measure.js";
import { type Target, targetOf } from "./target.js";

/** Smaller products take less time than measuring them. */
const WORTH_MEASURING = 2e7;

/**
 * Measures every class of shapes that was asked for since the last call and is not known yet.
 * Returns whether any choice was made, in which case programs should be compiled again.
 */
export async function tune(gpu: Gpu, target: Target = targetOf(gpu)): Promise<boolean> {
  const { preferences } = target;
  if (!preferences) return false;
  let measured = false;
  for (const miss of preferences.takeMisses()) {
    const shape = miss.shape as MatmulShape;
    const flops = 2 * shape.m * shape.n * shape.k * (shape.batch ?? 1);
    if (flops < WORTH_MEASURING || shape.grouped) continue;
    let best: { name: string; milliseconds: number } | undefined;
    for (const tile of tilesOf(variantFor(target, shape), target)) {
      const problem = matmulCase(
        { target, random: new Random(1), variant: tile.variant, real: shape.a },
        shape,
        tile,
      );
      const { milliseconds } = await timeCase(gpu, problem, 0.1);
      if (!best || milliseconds < best.milliseconds) best = { name: tile.name, milliseconds };
    }
    if (!best) continue;
    preferences.prefer(miss, best.name);
    measured = true;
  }
  if (measured) preferences.save(target.adapterName);
  return measured;
}
