/**
 * What a configuration that is right in itself asks of the machine: files that are not there, sets that are too small,
 * networks that do not fit. Looked at without reading more than the first documents, so that an editor can ask often.
 */
import { statSync } from "node:fs";
import { ClustersError } from "../clusters/index.js";
import { type Corpus, CorpusError, documentKey } from "../corpus/index.js";
import { type Architecture, PRESETS } from "../models/architecture.js";
import { footprintOf, formatQuantity, type Method, networksOf } from "../planner/index.js";
import { SCARCE_REPETITIONS } from "../sampling/index.js";
import type { RunConfig } from "../training/config.js";
import type { ConfigProblem } from "../training/config-error.js";
import { corpusOf, type ReadingRules } from "../training/text-set.js";
import { checkVectorFiles } from "./document-vectors.js";
import type { ForgeConfig } from "./forge-config.js";
import { forgeArchitecture } from "./forge-resolve.js";

export interface InputFindings {
  /** What would stop the job. */
  readonly problems: readonly ConfigProblem[];
  /** What is allowed but probably not meant. */
  readonly warnings: readonly ConfigProblem[];
}

/** The memory that weights, gradients and moments must fit into. */
export interface Memory {
  readonly bytes: number;
  /** As it is called in messages: "the GPU", "this machine". */
  readonly of: string;
  /** Whether what does not fit cannot work, rather than probably not. */
  readonly isLimit: boolean;
}

/** Bytes of English text that a token takes, about. */
const BYTES_PER_TOKEN = 4;
/** Larger files are not opened to count their first documents. */
const MOST_BYTES_OPENED = 64 * 2 ** 20;

/** What the whole job asks for. */
export async function forgeFindings(config: ForgeConfig, memory: Memory): Promise<InputFindings> {
  const findings = new Findings();
  const { corpus, model, pretraining } = config;
  const generic = await findings.text(corpus, "corpus.train", corpus.train);
  if (corpus.validation !== undefined) await findings.text(corpus, "corpus.validation", corpus.validation);
  const { tokens } = pretraining.budget;
  const steps = pretraining.budget.steps ?? Number.POSITIVE_INFINITY;
  const perStep = pretraining.batch * pretraining.accumulate * model.context;
  findings.repetition(
    "pretraining.budget",
    Math.min(tokens ?? Number.POSITIVE_INFINITY, steps * perStep),
    generic,
  );
  for (const [name, { train, validation }] of Object.entries(config.domains)) {
    const at = `domains.${name}`;
    const own = await findings.text(corpus, `${at}.train`, train);
    findings.shorterThan(`${at}.train`, own, model.context);
    if (validation === undefined) {
      await findings.documents(corpus, `${at}.train`, train, 3, {
        needed: "three are needed: to train on, to stop by and to test on",
        remedy: `Give ${at}.validation, or cut the text into documents (corpus.textSeparator)`,
      });
    } else {
      await findings.text(corpus, `${at}.validation`, validation);
      await findings.documents(corpus, `${at}.validation`, validation, 2, {
        needed: "two are needed: one to stop by, one to test on",
        remedy: "Give more validation text, or cut it into documents (corpus.textSeparator)",
      });
    }
  }
  findings.file("tokenizer.file", config.tokenizer.file);
  findings.file("embeddings.encoder", config.embeddings.encoder);
  await findings.vectors(config);
  findings.memory(config, memory);
  return findings;
}

/** What one training asks for. */
export async function runFindings(config: RunConfig, memory: Memory): Promise<InputFindings> {
  const findings = new Findings();
  const { data, model, training } = config;
  const text = await findings.text(data, "data.train", data.train);
  for (const [name, paths] of Object.entries(data.validation))
    await findings.text(data, `data.validation.${name}`, paths);
  const { context } = model;
  if (context !== undefined) {
    const steps = training.budget.steps ?? Number.POSITIVE_INFINITY;
    const tokens = Math.min(
      training.budget.tokens ?? Number.POSITIVE_INFINITY,
      steps * training.batch * training.accumulate * context,
    );
    findings.shorterThan("data.train", text, context);
    findings.repetition("training.budget", tokens, text);
  }
  findings.file("tokenizer.file", config.tokenizer.file);
  findings.file("model.from", model.from);
  if (model.preset !== undefined) {
    const { normEpsilon } = PRESETS[model.preset].architecture;
    const vocabulary = config.tokenizer.vocabulary ?? PRESETS[model.preset].vocabulary;
    const architecture = { ...PRESETS[model.preset].architecture, ...model, normEpsilon, vocabulary };
    findings.network("model", "the model", "slm", architecture as Architecture, memory);
  }
  return findings;
}

class Findings implements InputFindings {
  readonly problems: ConfigProblem[] = [];
  readonly warnings: ConfigProblem[] = [];

  /** Looks for the files of a set. @returns their bytes; undefined where files are compressed, missing or too many */
  async text(rules: ReadingRules, path: string, given: readonly string[]): Promise<number | undefined> {
    let bytes: number | undefined = 0;
    for (const [i, each] of given.entries()) {
      try {
        for await (const shard of corpusOf(rules, path, [each]).shards()) {
          const { size } = statSync(shard.path);
          const isPlain = !/\.(?:gz|zst|parquet)$/i.test(shard.path);
          bytes = isPlain && bytes !== undefined ? bytes + size : undefined;
        }
      } catch (error) {
        this.problems.push({
          path: given.length === 1 ? path : `${path}[${i}]`,
          value: each,
          message: messageOf(error),
        });
        bytes = undefined;
      }
    }
    if (bytes !== 0) return bytes;
    this.problems.push({ path, value: given, message: "holds no text: the files are empty. Give others." });
    return undefined;
  }

  /** Counts documents until there are enough. */
  async documents(
    rules: ReadingRules,
    path: string,
    given: readonly string[],
    least: number,
    { needed, remedy }: { readonly needed: string; readonly remedy: string },
  ): Promise<void> {
    if (this.problems.some((problem) => problem.path.startsWith(path))) return;
    const corpus = corpusOf(rules, path, given);
    const found = new Set<string>();
    try {
      if (!(await isQuicklyOpened(corpus))) return;
      for await (const document of corpus.documents()) {
        found.add(documentKey(document));
        if (found.size >= least) return;
      }
    } catch (error) {
      this.problems.push({ path, value: given, message: messageOf(error) });
      return;
    }
    const count = `${found.size} ${found.size === 1 ? "document" : "documents"}`;
    this.problems.push({ path, value: given, message: `has ${count}, and ${needed}. ${remedy}.` });
  }

  file(path: string, given: string | undefined): void {
    if (given === undefined || statSync(given, { throwIfNoEntry: false }) !== undefined) return;
    this.problems.push({ path, value: given, message: `${given} does not exist. Check the path.` });
  }

  /** Files of given vectors that are not there, cannot be read, or differ in their dimensions. */
  async vectors(config: ForgeConfig): Promise<void> {
    if (config.embeddings.kind !== "given") return;
    try {
      await checkVectorFiles(config);
    } catch (error) {
      if (!(error instanceof ClustersError)) throw error;
      const { at, value, problem, remedy } = error.details;
      this.problems.push({ path: at, value, message: `${problem}. ${remedy}` });
    }
  }

  /** Text that does not fill one sequence. */
  shorterThan(path: string, bytes: number | undefined, context: number): void {
    if (bytes === undefined || bytes >= context * BYTES_PER_TOKEN) return;
    const tokens = Math.round(bytes / BYTES_PER_TOKEN);
    const message = `holds about ${tokens} tokens, less than one sequence of ${context}; a model will learn it by heart.`;
    this.warnings.push({ path, message });
  }

  /** A budget that reads its text again and again. */
  repetition(path: string, tokens: number, bytes: number | undefined): void {
    if (bytes === undefined || !Number.isFinite(tokens)) return;
    const readings = (tokens * BYTES_PER_TOKEN) / bytes;
    if (readings <= SCARCE_REPETITIONS) return;
    const message = `reads the text about ${Math.round(readings).toLocaleString("en")} times; after ${SCARCE_REPETITIONS} there is little left to learn. Give more text, or a smaller budget.`;
    this.warnings.push({ path, message });
  }

  /** The networks of the methods that are asked for. */
  memory(config: ForgeConfig, memory: Memory): void {
    const vocabulary = config.tokenizer.vocabulary ?? 32_000;
    const small = forgeArchitecture(config.model, vocabulary);
    const large = forgeArchitecture(config.largeModel, vocabulary);
    const { experts, capacity, vector } = config.projection;
    const projection = { experts, capacity, vector };
    const all = [...config.methods, ...Object.values(config.compare.variants).map(({ method }) => method)];
    const seen = new Set<string>();
    for (const method of all) {
      const key =
        method === "slm-pn"
          ? "projection"
          : method.startsWith("llm") || method === "slm-d"
            ? "largeModel"
            : "model";
      if (seen.has(key)) continue;
      seen.add(key);
      this.network(key, method, method, small, memory, { large, projection });
    }
  }

  network(
    path: string,
    what: string,
    method: Method,
    small: Architecture,
    memory: Memory,
    others: { large?: Architecture; projection?: { experts: number; capacity: number; vector: number } } = {},
  ): void {
    const { large = small, projection = { experts: 1, capacity: 1, vector: 1 } } = others;
    const networks = networksOf({ small, large, projection, sequences: 1 });
    const { trainingBytes } = footprintOf(method, { networks, domains: 1, mixtureExperts: 1, shardBytes: 0 });
    if (trainingBytes <= memory.bytes) return;
    const message =
      `${what} needs ${formatQuantity(trainingBytes, "bytes")} for weights, gradients and moments, and ${memory.of} ` +
      `has ${formatQuantity(memory.bytes, "bytes")}. Use smaller sizes${path === "projection" ? " or fewer experts" : ""}.`;
    (memory.isLimit ? this.problems : this.warnings).push({ path, message });
  }
}

async function isQuicklyOpened(corpus: Corpus): Promise<boolean> {
  for await (const { path } of corpus.shards()) return statSync(path).size <= MOST_BYTES_OPENED;
  return true;
}

/** Why text cannot be read, without the name of the set, which is that of the key. */
function messageOf(error: unknown): string {
  if (!(error instanceof CorpusError)) throw error;
  return error.message;
}
