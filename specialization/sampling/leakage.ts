/**
 * Near-duplicate leakage between a domain and the generic set: web crawls contain copies of many domains' texts, and a
 * model trained on its own test set looks better than it is (PAPER.md §4, [D]). Memory is that of the domains' texts:
 * generic ones are compared with them alone, not with each other.
 */
import { DuplicateIndex, type DuplicateOptions } from "../corpus/index.js";

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
  options: DuplicateOptions = {},
): Promise<Leakage> {
  const index = new DuplicateIndex({ near: {}, ...options });
  const repeats = Object.entries(domains).map(([name, texts]) => {
    index.beginSet(name);
    return texts.filter((text) => index.add(text) !== undefined).length;
  });
  const found = Object.fromEntries(Object.keys(domains).map((name) => [name, { exact: 0, near: 0 }]));
  let genericDocuments = 0;
  const leaked: number[] = [];
  for await (const text of generic) {
    const repeat = index.find(text);
    if (repeat !== undefined) {
      leaked.push(genericDocuments);
      found[repeat.set][repeat.kind] += 1;
    }
    genericDocuments += 1;
  }
  const summary = Object.entries(domains).map(([name, texts], i): [string, DomainLeakage] => [
    name,
    { documents: texts.length, repeats: repeats[i], ...found[name] },
  ]);
  return { domains: Object.fromEntries(summary), genericDocuments, leaked };
}
