/** Loss, perplexity and bits per byte of documents: each on its own, in windows of one context that may overlap. */
import { Executable, type Gpu, Graph, type ParameterStore } from "../../engine/index.js";
import type { Architecture } from "../models/architecture.js";
import { languageModel } from "../models/transformer.js";
import { writeExperts } from "../models/weights.js";
import type { TokenDocument, Tokenizer, TokenShards } from "../tokenizer/index.js";

/** Sum of losses over a piece of text. */
export interface TextLoss {
  /** Nats over all predicted tokens. */
  readonly nats: number;
  /** Tokens predicted: the text's own, and the end of text where it was predicted too. */
  readonly tokens: number;
}

export interface SetLoss extends TextLoss {
  readonly documents: number;
  /** UTF-8 bytes of the text. */
  readonly bytes: number;
  /** Nats per token. */
  readonly loss: number;
  readonly perplexity: number;
  readonly bitsPerByte: number;
}

export interface DocumentLoss extends TextLoss {
  readonly shard: string;
  readonly offset: number;
  readonly source?: string;
  readonly bytes: number;
}

const DOCUMENTS_AT_ONCE = 256;

interface Window {
  readonly tokens: ArrayLike<number>;
  readonly targets: ArrayLike<number>;
  /** Targets before this one are context only. */
  readonly from: number;
  readonly owner: number;
  readonly cluster: number;
}

/** A text to predict; `from` is the first token that counts (1 predicts all but the first). */
export interface Sequence {
  readonly tokens: ArrayLike<number>;
  readonly from: number;
  /** Whose expert predicts it, in a projected network. */
  readonly cluster?: number;
}

export interface EvaluationOptions {
  readonly onDocument?: (document: DocumentLoss) => void;
  /** Cluster of every document of the set. */
  readonly clusters?: ArrayLike<number>;
  /**
   * Tokens from the beginning of a window to that of the next, at most the context, which is the default: windows do not overlap,
   * as in the paper. With a smaller one every token but a document's first ones has at least context − stride before it, at
   * context / stride times the cost.
   */
  readonly stride?: number;
}

export class Evaluator {
  private constructor(
    readonly executable: Executable,
    readonly batch: number,
    readonly architecture: Architecture,
  ) {}

  /** A forward plan over the parameters of `store`. */
  static async create(
    gpu: Gpu,
    architecture: Architecture,
    parameters: ParameterStore,
    options: { batch: number; dtype: "f32" | "f16" },
  ): Promise<Evaluator> {
    const graph = new Graph();
    const { losses } = languageModel(graph, architecture, { ...options, tokens: architecture.context });
    const executable = await Executable.create(
      gpu,
      graph,
      { results: { losses } },
      { label: "evaluation", parameters },
    );
    return new Evaluator(executable, options.batch, architecture);
  }

  /** Losses of sequences: token i + 1 is predicted from tokens 0 … i of its window. */
  async sequences(sequences: Iterable<Sequence>, stride = this.architecture.context): Promise<TextLoss[]> {
    const totals: { nats: number; tokens: number }[] = [];
    let waiting: Window[] = [];
    const flush = async () => {
      if (waiting.length > 0) await this.#run(waiting, totals);
      waiting = [];
    };
    const { context } = this.architecture;
    for (const { tokens, from, cluster = 0 } of sequences) {
      const owner = totals.push({ nats: 0, tokens: 0 }) - 1;
      let predicted = from;
      for (let start = 0; predicted < tokens.length; start += stride) {
        const end = Math.min(start + context, tokens.length - 1);
        if (end < predicted) continue;
        const part = Array.prototype.slice.call(tokens, start, end + 1) as number[];
        const [inputs, targets] = [part.slice(0, -1), part.slice(1)];
        waiting.push({ tokens: inputs, targets, from: predicted - start - 1, owner, cluster });
        predicted = end + 1;
        if (waiting.length === this.batch) await flush();
      }
    }
    await flush();
    return totals;
  }

  async #run(unordered: readonly Window[], totals: { nats: number; tokens: number }[]): Promise<void> {
    const { batch } = this;
    const { context, projection } = this.architecture;
    const windows = projection ? unordered.toSorted((a, b) => a.cluster - b.cluster) : unordered;
    const tokens = new Uint32Array(batch * context);
    const targets = new Uint32Array(batch * context);
    for (const [row, window] of windows.entries()) {
      tokens.set(window.tokens, row * context);
      targets.set(window.targets, row * context);
    }
    this.executable.write("tokens", tokens);
    this.executable.write("targets", targets);
    this.executable.write("weights", new Float32Array(batch * context));
    /* rows without a window repeat the last one's expert */
    const last = windows.length - 1;
    const clusters = Array.from({ length: batch }, (_, row) => windows[Math.min(row, last)].cluster);
    writeExperts(this.executable, this.architecture, clusters, context);
    this.executable.run();
    const losses = await this.executable.read("losses");
    for (const [row, window] of windows.entries()) {
      const total = totals[window.owner];
      for (let i = Math.max(0, window.from); i < window.targets.length; i++) {
        total.nats += losses[row * context + i];
        total.tokens++;
      }
    }
  }

  /**
   * Loss of a set of token shards, of at most `maximumTokens` tokens spread evenly over its documents.
   * `onDocument` is told of every document; `clusters` names the expert of each, in a projected network.
   */
  async shards(
    shards: TokenShards,
    tokenizer: Tokenizer,
    maximumTokens = Number.POSITIVE_INFINITY,
    { onDocument, clusters, stride }: EvaluationOptions = {},
  ): Promise<SetLoss> {
    const chosen = evenly(shards, maximumTokens);
    const total = { nats: 0, tokens: 0, documents: 0, bytes: 0 };
    /* some documents at a time, so that memory does not grow with the set */
    for (let first = 0; first < chosen.length; first += DOCUMENTS_AT_ONCE) {
      const documents = chosen.slice(first, first + DOCUMENTS_AT_ONCE);
      const texts = documents.map((d) => shards.readTokens(d.start, d.length));
      /* a document is predicted from what comes before it: the end of another text, or a beginning of its own */
      const losses = await this.sequences(
        texts.map((t, i) => ({
          tokens: [tokenizer.beginOfText, ...t],
          from: 1,
          cluster: clusters?.[documents[i].number],
        })),
        stride,
      );
      for (const [i, { nats, tokens }] of losses.entries()) {
        const bytes = Buffer.byteLength(tokenizer.decode(texts[i]));
        const { shard, offset, source } = documents[i];
        onDocument?.({ shard, offset, source, nats, tokens, bytes });
        total.nats += nats;
        total.tokens += tokens;
        total.bytes += bytes;
        total.documents++;
      }
    }
    return summarize(total);
  }

  dispose(): void {
    this.executable.dispose();
  }
}

export function summarize(total: {
  nats: number;
  tokens: number;
  documents: number;
  bytes: number;
}): SetLoss {
  const loss = total.nats / total.tokens;
  return { ...total, loss, perplexity: Math.exp(loss), bitsPerByte: total.nats / Math.LN2 / total.bytes };
}

/** Forward passes that an evaluation of the set takes. */
export function evaluationBatches(
  shards: TokenShards,
  maximumTokens: number,
  { context, batch }: { readonly context: number; readonly batch: number },
): number {
  const chosen = evenly(shards, maximumTokens);
  let batches = 0;
  for (let first = 0; first < chosen.length; first += DOCUMENTS_AT_ONCE) {
    const documents = chosen.slice(first, first + DOCUMENTS_AT_ONCE);
    const windows = documents.reduce((sum, { length }) => sum + Math.ceil(length / context), 0);
    batches += Math.ceil(windows / batch);
  }
  return batches;
}

/** Version of how documents are chosen. */
const CHOICE = 2;

/** What, beside the set and the maximum, decides which tokens are evaluated: undefined where it is all of them. */
export function choiceOfTokens({ tokenCount }: TokenShards, maximumTokens: number): number | undefined {
  return tokenCount > maximumTokens ? CHOICE : undefined;
}

/**
 * Documents at even distances, then those after them while they leave room, the last one cut so that they hold at most
 * `maximumTokens`: the same ones every time.
 */
function evenly(shards: TokenShards, maximumTokens: number): (TokenDocument & { number: number })[] {
  const stride = Math.max(1, Math.ceil(shards.tokenCount / maximumTokens));
  const chosen: (TokenDocument & { number: number })[] = [];
  let room = maximumTokens;
  for (let first = 0; first < Math.min(stride, shards.documentCount) && room > 0; first++) {
    for (let i = first; i < shards.documentCount && room > 0; i += stride) {
      const document = { ...shards.document(i), number: i };
      chosen.push(document.length <= room ? document : { ...document, length: room });
      room -= document.length;
    }
  }
  return chosen;
}
