/** Ingest, tokenizer, tokens: the generic text and every domain's, each read, divided and encoded once. */
import {
  type Document,
  DuplicateIndex,
  describeSkipped,
  type SplitSide,
  splitSide,
} from "../corpus/index.js";
import { type Leakage, measureLeakage } from "../sampling/index.js";
import { Tokenizer, type TokenShards } from "../tokenizer/index.js";
import {
  corpusOf,
  fingerprint,
  hasTokens,
  type ReadingRules,
  SetReading,
  stoppable,
  tokensOf,
  trainedTokenizer,
} from "../training/text-set.js";
import { DocumentVectors } from "./document-vectors.js";
import { type DomainSide, halves, heldOut } from "./domain-split.js";
import type { ForgeConfig } from "./forge-config.js";
import type { Job } from "./job.js";

export interface DomainText {
  readonly name: string;
  readonly train: TokenShards;
  /** The halves of the validation text. */
  readonly stopping: TokenShards;
  readonly test: TokenShards;
}

export interface JobText {
  readonly tokenizer: Tokenizer;
  readonly generic: { readonly train: TokenShards; readonly validation: TokenShards };
  readonly domains: readonly DomainText[];
  /** null where corpus.excludeLeaked is false. */
  readonly leakage: Leakage | null;
  /** Those that the user gives; undefined where the job makes its own. */
  readonly vectors: DocumentVectors | undefined;
  close(): void;
}

/** A set that is read when its tokens are not there yet. */
interface Source {
  readonly set: SetReading;
  readonly print: string;
}

/** @throws CorpusError, TokenizerError, TokenShardsError, ClustersError */
export async function prepareText(job: Job): Promise<JobText> {
  const { config } = job;
  /* every path is looked at before anything takes time */
  const vectors = await DocumentVectors.open(job);
  const generic = await genericSources(config);
  const own: [string, Source[]][] = [];
  for (const name of Object.keys(config.domains)) own.push([name, await domainSources(config, name)]);
  job.stage("tokenizer");
  const tokenizer = await tokenizerOf(job);
  const opened: TokenShards[] = [];
  const encode = async (sources: readonly Source[]) => {
    const made = await encodeGroup(job, tokenizer, sources);
    opened.push(...made);
    return made;
  };
  const close = () => {
    for (const shards of opened) shards.close();
  };
  try {
    const [validation, train] = await encode(generic);
    const domains: DomainText[] = [];
    for (const [name, sources] of own) {
      const [test, stopping, training] = await encode(sources);
      domains.push({ name, test, stopping, train: training });
    }
    const leakage = config.corpus.excludeLeaked ? await leakageOf(job, tokenizer, train, domains) : null;
    return { tokenizer, generic: { train, validation }, domains, leakage, vectors, close };
  } catch (error) {
    close();
    throw error;
  }
}

/** Tokens of sets of which each lacks what the earlier ones hold. */
async function encodeGroup(
  job: Job,
  tokenizer: Tokenizer,
  sources: readonly Source[],
): Promise<TokenShards[]> {
  const cache = job.stages.folder;
  const made: TokenShards[] = [];
  try {
    for (const [i, { set, print }] of sources.entries()) {
      const { name } = set.corpus;
      job.stage("tokens", name);
      const { shards, report } = await tokensOf(set, print, {
        cache,
        tokenizer,
        register: sources.slice(i + 1).some((later) => !hasTokens(cache, tokenizer, later.print)),
        signal: job.signal,
        onProgress: ({ tokens }) => job.stage("tokens", `${name}: ${tokens} tokens`),
      });
      made.push(shards);
      if (report.skipped > 0) job.say(`${name}: ${describeSkipped(report.skipped)}`);
    }
    return made;
  } catch (error) {
    for (const shards of made) shards.close();
    throw error;
  }
}

function rulesOf({ corpus }: ForgeConfig): ReadingRules & Pick<ForgeConfig["corpus"], "deduplicate"> {
  const { format, textField, textSeparator, include, exclude, onBadRecord, deduplicate } = corpus;
  return { format, textField, textSeparator, include, exclude, onBadRecord, deduplicate };
}

/** An index for sets that must not repeat each other. */
function duplicatesOf({ deduplicate }: ForgeConfig["corpus"]): DuplicateIndex | undefined {
  if (deduplicate === "none") return undefined;
  return new DuplicateIndex(deduplicate === "near" ? { near: {} } : {});
}

/** Generic validation and training text, in this order. */
async function genericSources(config: ForgeConfig): Promise<Source[]> {
  const { corpus, seed } = config;
  const rules = rulesOf(config);
  const duplicates = duplicatesOf(corpus);
  const held = corpus.validation === undefined;
  const rule = { validationFraction: corpus.holdOut, seed };
  const side = (which: SplitSide) =>
    held ? (document: Document) => splitSide(document, rule) === which : undefined;
  const remedy = held
    ? `Give more generic text, corpus.validation, or a larger corpus.holdOut than ${corpus.holdOut}`
    : "Check corpus.validation, and corpus.deduplicate";
  const validation = corpusOf(rules, "generic validation", corpus.validation ?? corpus.train);
  const train = corpusOf(rules, "generic", corpus.train);
  const split = held ? [corpus.holdOut, seed] : [];
  const first = await fingerprint(validation, rules, "validation", split);
  const second = await fingerprint(train, rules, "train", split, duplicates ? first : null);
  return [
    { set: new SetReading(validation, side("validation"), duplicates, remedy), print: first },
    { set: new SetReading(train, side("train"), duplicates), print: second },
  ];
}

/** A domain's text to test on, to stop by and to train on, in this order. */
async function domainSources(config: ForgeConfig, name: string): Promise<Source[]> {
  const { seed } = config;
  const { train, validation, holdOut } = config.domains[name];
  const rules = rulesOf(config);
  const duplicates = duplicatesOf(config.corpus);
  const title = (side: DomainSide) => (side === "train" ? name : `${name} ${side}`);
  const open = (side: DomainSide) =>
    corpusOf(rules, title(side), side === "train" ? train : (validation ?? train));
  const all = open("test");
  const sides = new Later(() =>
    validation === undefined
      ? heldOut(`domain ${name}`, all.documents(), holdOut, seed)
      : halves(`domain ${name}`, all.documents(), seed),
  );
  const sources: Source[] = [];
  for (const side of ["test", "stopping", "train"] as const) {
    const corpus = open(side);
    const divided = side !== "train" || validation === undefined;
    const split = divided ? [side, validation === undefined ? holdOut : null, seed] : [];
    const earlier = duplicates ? sources.map(({ print }) => print) : null;
    const print = await fingerprint(corpus, rules, "domain", split, earlier);
    const set = new SetReading(
      corpus,
      divided ? async (document) => (await sides.value)(document) === side : undefined,
      duplicates,
      `Check the text of domains.${name}, and corpus.deduplicate`,
    );
    sources.push({ set, print });
  }
  return sources;
}

/** A promise that is made when it is first asked for. */
class Later<T> {
  #value: Promise<T> | undefined;
  constructor(private readonly make: () => Promise<T>) {}

  get value(): Promise<T> {
    this.#value ??= this.make();
    return this.#value;
  }
}

async function tokenizerOf(job: Job): Promise<Tokenizer> {
  const { config, stages, signal } = job;
  const { file, vocabulary, endOfText } = config.tokenizer;
  if (file !== undefined) return Tokenizer.load(file, { endOfText });
  /* what repeats does no harm here, and a set is registered as read only once */
  const [, { set, print }] = await genericSources({
    ...config,
    corpus: { ...config.corpus, deduplicate: "none" },
  });
  return trainedTokenizer(stages.folder, print, vocabulary as number, () =>
    stoppable(set.documents(), signal),
  );
}

/** Raised whenever the same texts would give another list, so that no older one is kept. */
const LEAKAGE_VERSION = 2;

/** Generic documents that repeat a domain's, by number; looked for once. */
function leakageOf(
  job: Job,
  tokenizer: Tokenizer,
  generic: TokenShards,
  domains: readonly DomainText[],
): Promise<Leakage> {
  const identity = ({ manifest }: TokenShards) => manifest.identity;
  const inputs = {
    version: LEAKAGE_VERSION,
    generic: identity(generic),
    domains: domains.map(({ name, train, stopping, test }) => [
      name,
      ...[train, stopping, test].map(identity),
    ]),
  };
  return job.stages.valueOf("leakage", inputs, async () => {
    job.stage("leakage", `${generic.documentCount} generic documents`);
    const texts = Object.fromEntries(
      domains.map(({ name, train, stopping, test }) => [
        name,
        [train, stopping, test].flatMap((shards) => [...textsOf(tokenizer, shards)]),
      ]),
    );
    return measureLeakage(texts, stoppable(textsOf(tokenizer, generic), job.signal));
  });
}

function* textsOf(tokenizer: Tokenizer, shards: TokenShards): Generator<string> {
  for (const { start, length } of shards.documents())
    yield tokenizer.decode(shards.readTokens(start, length));
}
