/** Losses of models on sets, each measured once; models of one architecture take turns in one place on the device. */
import type { ParameterStore } from "../../engine/index.js";
import { copyWeights, loadParameters } from "../models/load.js";
import type { Job } from "../stages/job.js";
import type { Tokenizer, TokenShards } from "../tokenizer/index.js";
import { choiceOfTokens, Evaluator, type SetLoss } from "../training/evaluate.js";
import { storageType } from "../training/training-graph.js";
import type { Model } from "./model.js";

interface Place {
  readonly architecture: string;
  readonly parameters: ParameterStore;
  readonly evaluator: Evaluator;
  /** Identity of the model whose weights lie there. */
  model: string;
}

export class LossBench {
  #place: Place | undefined;

  constructor(
    readonly job: Job,
    readonly tokenizer: Tokenizer,
  ) {}

  /** Loss of a plain model on at most evaluation.tokens of a set. */
  loss(model: Model, shards: TokenShards): Promise<SetLoss> {
    const { stages, config } = this.job;
    const { tokens } = config.evaluation;
    const choice = choiceOfTokens(shards, tokens);
    const inputs = { model: model.identity, set: shards.manifest.identity, tokens, choice };
    return stages.valueOf("evaluation", inputs, async () => {
      this.job.stage("evaluation");
      const evaluator = await this.#evaluatorOf(model);
      return evaluator.shards(shards, this.tokenizer, tokens);
    });
  }

  async #evaluatorOf(model: Model): Promise<Evaluator> {
    const architecture = JSON.stringify(model.architecture);
    const identity = JSON.stringify(model.identity);
    if (this.#place?.architecture === architecture) {
      const { parameters, evaluator } = this.#place;
      if (this.#place.model !== identity) await model.open((weights) => copyWeights(weights, parameters));
      this.#place.model = identity;
      return evaluator;
    }
    this.dispose();
    const { gpu, config } = this.job;
    const dtype = storageType(gpu, { name: config.name, training: config.device });
    const parameters = await model.open((weights) => loadParameters(gpu, weights, dtype));
    const { batch } = config.pretraining;
    const evaluator = await Evaluator.create(gpu, model.architecture, parameters, { batch, dtype });
    this.#place = { architecture, parameters, evaluator, model: identity };
    return evaluator;
  }

  dispose(): void {
    this.#place?.evaluator.dispose();
    this.#place?.parameters.dispose();
    this.#place = undefined;
  }
}
