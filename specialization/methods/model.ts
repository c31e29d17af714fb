/** Models as methods hand them on: what they are, what made them, and their weights when these are needed. */
import { join } from "node:path";
import { openModel } from "../export/source.js";
import { type Architecture, type Projection, plainArchitecture } from "../models/architecture.js";
import { mergeAdapter } from "../models/low-rank.js";
import type { ModelWeights } from "../models/model-weights.js";
import { PROJECTED_NAMES } from "../models/names.js";
import { expertVectors, mixVectors, projectExpert, startFromPlain } from "../models/projection.js";

export interface Model {
  /** JSON, equal for equal weights: what made them. */
  readonly identity: unknown;
  readonly architecture: Architecture;
  /** Opens the weights for as long as `use` takes. */
  open<T>(use: (weights: ModelWeights) => Promise<T>): Promise<T>;
}

/** What a run trained. @param checkpoint "best", or by default the newest */
export function modelOfRun(
  runs: string,
  name: string,
  architecture: Architecture,
  checkpoint?: "best",
): Model {
  return {
    identity: [name, checkpoint ?? null],
    architecture,
    async open(use) {
      const source = await openModel(join(runs, name), { checkpoint });
      try {
        return await use(source);
      } finally {
        await source.close();
      }
    },
  };
}

/** Which vector of a projected network: one expert's own, or the mean of all by shares. */
export type ExpertChoice = { readonly index: number } | { readonly shares: readonly number[] };

/** The plain model of an expert. */
export function expertOf(network: Model, choice: ExpertChoice): Model {
  return derived(network, { expert: choice }, plainArchitecture(network.architecture), async (weights) =>
    projectExpert(weights, vectorOf(await expertVectors(weights), choice)),
  );
}

/** The network with one expert, whose vector is the mean of all by shares: what a fitted expert begins from. */
export function withOneVector(network: Model, shares: readonly number[]): Model {
  const projection: Projection = { ...(network.architecture.projection as Projection), experts: 1 };
  const architecture: Architecture = { ...network.architecture, projection };
  return derived(network, { vector: shares }, architecture, async (weights) => {
    const vector = vectorOf(await expertVectors(weights), { shares });
    return {
      architecture,
      read: async (name) => (name === PROJECTED_NAMES.vectors ? vector : weights.read(name)),
    };
  });
}

/** A projected network whose experts all begin as the plain model. */
export function projectedFrom(plain: Model, projection: Projection, seed: number): Model {
  return derived(plain, { projection, seed }, { ...plain.architecture, projection }, async (weights) =>
    startFromPlain(weights, projection, seed),
  );
}

/** The plain model that a low-rank adapter makes of its matrices. */
export function merged(adapted: Model): Model {
  return derived(adapted, "merged", plainArchitecture(adapted.architecture), async (weights) =>
    mergeAdapter(weights),
  );
}

function derived(
  from: Model,
  by: unknown,
  architecture: Architecture,
  make: (weights: ModelWeights) => Promise<ModelWeights>,
): Model {
  return {
    identity: { from: from.identity, by },
    architecture,
    open: (use) => from.open(async (weights) => use(await make(weights))),
  };
}

function vectorOf(vectors: readonly Float32Array[], choice: ExpertChoice): Float32Array {
  return "index" in choice ? vectors[choice.index] : mixVectors(vectors, choice.shares);
}
