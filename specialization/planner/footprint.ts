/** Memory of training, disk, and memory of the model that is finally used, for each method. */
import type { Networks } from "./price.js";
import type { Method } from "./work.js";

/** Master weight, gradient and AdamW's two moments, f32. */
const TRAINED_BYTES = 16;
/** Weight and two moments: what a checkpoint holds. */
const CHECKPOINT_BYTES = 12;
const WEIGHT_BYTES = 4;

export interface FootprintOptions {
  readonly networks: Networks;
  readonly domains: number;
  /** One resampled pretraining for a mixture of the domains, not one for each. */
  readonly mixedSampling?: boolean;
  readonly mixtureExperts: number;
  /** Bytes of token shards on disk; 0 where there is no generic set. */
  readonly shardBytes: number;
}

export interface Footprint {
  /** Parameters of everything that is pretrained. */
  readonly parameters: number;
  /** Parameters of the model that is used for a domain. */
  readonly inferenceParameters: number;
  /** Weights, gradients and moments on the GPU at the worst stage; activations, which depend on the batch, excluded. */
  readonly trainingBytes: number;
  /** One checkpoint of each pretraining, the final model of each domain, and the token shards. */
  readonly diskBytes: number;
}

/** What a method takes. A mixture's experts are trained one after the other. */
export function footprintOf(method: Method, options: FootprintOptions): Footprint {
  const { networks, domains, mixedSampling, mixtureExperts, shardBytes } = options;
  const { small, large, projected, adapted } = networks;
  const s = small.parameters;
  const l = large.parameters;
  const row = (
    parameters: number,
    inferenceParameters: number,
    trainingBytes: number,
    stored: number,
  ): Footprint => ({
    parameters,
    inferenceParameters,
    trainingBytes,
    diskBytes: stored + (method === "slm-nopt" ? 0 : shardBytes),
  });
  const models = (parameters: number) => domains * WEIGHT_BYTES * parameters;
  switch (method) {
    case "slm":
      return row(s, s, TRAINED_BYTES * s, CHECKPOINT_BYTES * s + models(s));
    case "slm-nopt":
      return row(s, s, TRAINED_BYTES * s, CHECKPOINT_BYTES * s + models(s));
    case "slm-is": {
      const all = (mixedSampling ? 1 : domains) * s;
      return row(all, s, TRAINED_BYTES * s, CHECKPOINT_BYTES * all + models(s));
    }
    case "slm-pn": {
      const p = projected.parameters;
      return row(p, s, TRAINED_BYTES * p, CHECKPOINT_BYTES * p + models(s));
    }
    case "slm-mix": {
      const all = mixtureExperts * s;
      return row(all, s, TRAINED_BYTES * s, CHECKPOINT_BYTES * all + models(s));
    }
    case "slm-d":
      /* The teacher's fine-tuning is the worst stage: it outweighs teacher's weights plus student's training. */
      return row(
        l + s,
        s,
        Math.max(TRAINED_BYTES * l, WEIGHT_BYTES * l + TRAINED_BYTES * s),
        CHECKPOINT_BYTES * (l + s) + models(l + s),
      );
    case "llm":
      return row(l, l, TRAINED_BYTES * l, CHECKPOINT_BYTES * l + models(l));
    case "llm-lora":
      return row(l, l, TRAINED_BYTES * l, CHECKPOINT_BYTES * l + models(adapted.parameters - l));
  }
}
