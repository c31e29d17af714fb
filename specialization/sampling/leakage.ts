/**
 * Near-duplicate leakage between a domain and the generic set: web crawls contain copies of many domains' texts, and a
 * model trained on its own test set looks better than it is (PAPER.md §4, [D]). Memory is bounded: the domain's texts
 * stay in the duplicate index, generic ones are forgotten when it is full.
 */
import { CorpusError, DuplicateIndex, type DuplicateOptions } from "../corpus/index.js";

export interface LeakageOptions extends DuplicateOptions {
  /** Generic documents compared before the index starts afresh with the domain alone; default 200,000. */
  readonly chunkDocuments?: number;
}

export interface Leakage {
  readonly domainDocuments: number;
  /** Domain documents that repeat another one of the domain. */
  readonly domainRepeats: number;
  readonly genericDocuments: number;
  readonly exact: number;
  readonly near: number;
  /** Numbers of the generic documents that repeat a domain document: those to exclude from training. */
  readonly leaked: readonly number[];
}

/**
 * Finds generic documents that repeat the domain, exactly or nearly (default: Jaccard similarity 0.7 of 10-word shingles).
 *
 * @param domain texts of the domain, its validation and test sets included
 * @param generic texts in the order of their numbers
 * @throws CorpusError when the domain alone does not fit the index
 */
export async function measureLeakage(
  domain: Iterable<string>,
  generic: AsyncIterable<string> | Iterable<string>,
  options: LeakageOptions = {},
): Promise<Leakage> {
  const { chunkDocuments = 200_000, ...rest } = options;
  const texts = [...domain];
  const start = () => indexOf(texts, { near: {}, ...rest });
  let { index, repeats: domainRepeats } = start();
  let [genericDocuments, sinceStart, exact, near] = [0, 0, 0, 0];
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
    if (repeat?.set === DOMAIN) {
      leaked.push(genericDocuments);
      if (repeat.kind === "exact") exact += 1;
      else near += 1;
    }
    genericDocuments += 1;
    sinceStart += 1;
  }
  return { domainDocuments: texts.length, domainRepeats, genericDocuments, exact, near, leaked };
}

const DOMAIN = "domain";

function indexOf(texts: readonly string[], options: DuplicateOptions) {
  const index = new DuplicateIndex(options);
  index.beginSet(DOMAIN);
  const repeats = texts.filter((text) => index.add(text) !== undefined).length;
  index.beginSet("generic");
  return { index, repeats };
}
