/**
 * Divides a domain's documents: those to train on, those to stop by and those to test on. Documents cut from one
 * article, thread or book (equal identifiers but for "#n") stay together, so that no side has seen a part of what
 * another side measures. Decided by a hash, so the same in every run and in any order of reading.
 */

import { fingerprint } from "../corpus/fingerprint.js";
import { CorpusError, type Document, documentKey, unitKey } from "../corpus/index.js";

export type DomainSide = "train" | "stopping" | "test";

interface Unit {
  readonly hash: number;
  documents: number;
}

/** The side of each document. */
export type DomainSides = (document: Document) => DomainSide;

/**
 * Divides the documents of a domain's validation text into two halves.
 *
 * @throws CorpusError when there are fewer than two documents
 */
export async function halves(
  name: string,
  documents: AsyncIterable<Document>,
  seed: number,
): Promise<DomainSides> {
  const { units, key } = await unitsOf(documents, seed, 2);
  if (units.size < 2) {
    throw new CorpusError({
      file: name,
      reason: `the validation text of the domain has ${units.size} document, and two are needed: one to stop by, one to test on`,
      remedy: "Give more validation text, or cut it into documents",
    });
  }
  const sides = alternate(sorted(units));
  return (document) => sides.get(key(document)) ?? "test";
}

/**
 * Holds out a share of a domain's documents, and divides them into two halves.
 *
 * @throws CorpusError when there are fewer than three documents
 */
export async function heldOut(
  name: string,
  documents: AsyncIterable<Document>,
  share: number,
  seed: number,
): Promise<DomainSides> {
  const { units, key, total } = await unitsOf(documents, seed, 3);
  if (units.size < 3) {
    throw new CorpusError({
      file: name,
      reason: `the domain has ${total} ${total === 1 ? "document" : "documents"}, and three are needed: to train on, to stop by and to test on`,
      remedy: "Give its validation text, or cut its text into documents",
    });
  }
  const wanted = Math.max(2, Math.round(total * share));
  const out: [string, Unit][] = [];
  let count = 0;
  for (const entry of sorted(units)) {
    if (out.length >= 2 && count + entry[1].documents > wanted) continue;
    if (out.length === units.size - 1) break;
    out.push(entry);
    count += entry[1].documents;
  }
  const sides = alternate(out);
  return (document) => sides.get(key(document)) ?? "train";
}

/** Units by key; single documents where there are not enough units. */
async function unitsOf(
  documents: AsyncIterable<Document>,
  seed: number,
  least: number,
): Promise<{ units: Map<string, Unit>; key: (document: Document) => string; total: number }> {
  const kinds = [unitKey, documentKey].map((of) => ({
    key: (document: Document) => fingerprint(of(document), `domain ${seed}`).join("-"),
    units: new Map<string, Unit>(),
  }));
  let total = 0;
  for await (const document of documents) {
    total += 1;
    for (const { key, units } of kinds) {
      const name = key(document);
      const unit = units.get(name);
      if (unit === undefined) units.set(name, { hash: Number(name.split("-")[0]), documents: 1 });
      else unit.documents += 1;
    }
  }
  const chosen = kinds.find(({ units }) => units.size >= least) ?? kinds[1];
  return { ...chosen, total };
}

function sorted(units: ReadonlyMap<string, Unit>): [string, Unit][] {
  return [...units].sort(([a, x], [b, y]) => x.hash - y.hash || (a < b ? -1 : 1));
}

/** One unit after the other to the side that has fewer documents. */
function alternate(units: readonly [string, Unit][]): Map<string, DomainSide> {
  const sides = new Map<string, DomainSide>();
  const counts = { stopping: 0, test: 0 };
  for (const [key, { documents }] of units) {
    const side = counts.test <= counts.stopping ? "test" : "stopping";
    sides.set(key, side);
    counts[side] += documents;
  }
  return sides;
}
