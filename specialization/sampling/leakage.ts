/**
 * Near-duplicate leakage between a domain and the generic set: web crawls contain copies of many domains' texts, and a
 * model trained on its own test set looks better than it is (PAPER.md §4, [D]). Memory is bounded: the domains' texts
 * stay in the duplicate index, generic ones are forgotten when it is full.
 */
import { CorpusError, DuplicateIndex, type DuplicateOptions } from "../corpus/index.js";

export interface LeakageOptions extends DuplicateOptions {
  /** Generic documents compared before the index starts afresh with the domains alone; default 200,000. */
  readonly chunkDocuments?: number;
}

/** Repeats of one domain's text. */
export interface DomainLeakage {
  /** Documents of the domain, and those among them that repeat another one of the same or of an earlier domain. */
  readonly documents: number;
  readonly repeats: number;
  /** Generic documents that repeat one of them. */
  readonly exact: number;
  readonly near: number;
}

export interface Leakage {
  readonly domains: Readonly<Record<string, DomainLeakage>>;
  readonly genericDocuments: number;
  /** Numbers of the generic documents that repeat a domain document: those to exclude from training. */
  readonly leaked: readonly number[];
}

/**
 * Finds generic documents that repeat a domain, exactly or nearly (default: Jaccard similarity 0.7 of 10-word shingles).
 *
 * @param domains texts of each domain by name, its validation and test sets included
 * @param generic texts in the order of their numbers
 * @throws CorpusError when the domains alone do not fit the index
 */
export async function measureLeakage(
  domains: Readonly<Record<string, readonly string[]>>,
  generic: AsyncIterable<string> | Iterable<string>,
  options: LeakageOptions = {},
): Promise<Leakage> {
  const { chunkDocuments = 200_000, ...rest } = options;
  const start = () => indexOf(domains, { near: {}, ...rest });
  let { index, repeats } = start();
  let [genericDocuments, sinceStart] = [0, 0];
  const found = Object.fromEntries(Object.keys(domains).map((name) => [name, { exact: 0, near: 0 }]));
  const leaked: number[] = [];
  for await (const text of generic) {
    if (sinceStart === chunkDocuments) {
      ({ index } = start());
      sinceStart = 0;
    }
    let repeat: ReturnType<DuplicateIndex["add"]>;
    try {
      repeat = index.add(text);
    } catch (error) {
      if (!(error instanceof CorpusError) || sinceStart === 0) throw error;
      ({ index } = start());
      sinceStart = 0;
      repeat = index.add(text);
    }
    if (repeat !== undefined && repeat.set !== GENERIC) {
      leaked.push(genericDocuments);
      found[repeat.set.slice(DOMAIN.length)][repeat.kind] += 1;
    }
    genericDocuments += 1;
    sinceStart += 1;
  }
  const summary = Object.entries(domains).map(([name, texts], i): [string, DomainLeakage] => [
    name,
    { documents: texts.length, repeats: repeats[i], ...found[name] },
  ]);
  return { domains: Object.fromEntries(summary), genericDocuments, leaked };
}

const GENERIC = "generic";
const DOMAIN = "domain ";

function indexOf(domains: Readonly<Record<string, readonly string[]>>, options: DuplicateOptions) {
  const index = new DuplicateIndex(options);
  const repeats = Object.entries(domains).map(([name, texts]) => {
    index.beginSet(DOMAIN + name);
    return texts.filter((text) => index.add(text) !== undefined).length;
  });
  index.beginSet(GENERIC);
  return { index, repeats };
}
