/**
 * Divides one corpus into training and validation documents: each goes by a hash of its content, so the
 * division is the same in every run, on every machine and in any order of reading, and needs no memory.
 */
import type { Document } from "./document.js";
import { fingerprint, normalizeText } from "./fingerprint.js";

/** The two sides of a split. */
export type SplitSide = "train" | "validation";

/** How documents are divided. */
export interface SplitRule {
  /** Share of the documents held out for validation, above 0 and below 1. */
  readonly validationFraction: number;
  /** Another seed holds out other documents; default 0. */
  readonly seed?: number;
  /**
   * What decides: documents with equal keys land on the same side. Default `documentKey`, the content; give
   * `unitKey` where one article, book or thread is cut into several documents.
   */
  readonly key?: (document: Document) => string;
}

/** The content as key: repeats of a text never end up on both sides. */
export function documentKey(document: Document): string {
  return normalizeText(document.text);
}

/** The identifier without its part number ("…#3") as key, so that parts of a unit stay together. */
export function unitKey(document: Document): string {
  return document.id === undefined ? documentKey(document) : document.id.replace(/#\d+$/, "");
}

/** What decides on a document: a number from 0 up to 1, below the fraction for validation. */
export function splitHash(document: Document, { seed = 0, key = documentKey }: SplitRule): number {
  const [high] = fingerprint(key(document), `split ${seed}`);
  return high / 2 ** 32;
}

/** The side a document belongs to. Throws RangeError unless the fraction lies between 0 and 1. */
export function splitSide(document: Document, rule: SplitRule): SplitSide {
  const { validationFraction } = rule;
  if (!(validationFraction > 0 && validationFraction < 1)) {
    throw new RangeError(`the validation fraction must lie between 0 and 1, not ${validationFraction}`);
  }
  return splitHash(document, rule) < validationFraction ? "validation" : "train";
}

/** The documents of one side, in order. */
export async function* takeSide(
  documents: AsyncIterable<Document>,
  side: SplitSide,
  rule: SplitRule,
): AsyncGenerator<Document> {
  for await (const document of documents) {
    if (splitSide(document, rule) === side) yield document;
  }
}
