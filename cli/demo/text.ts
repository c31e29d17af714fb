/**
 * The demo's corpus: text that is on the machine once the packages are installed. The same packages give the same text in
 * the same order: of every kind a fixed amount, taken from the packages in turn, so that none of them outweighs the rest.
 */
import { join } from "node:path";
import { type Document, DuplicateIndex, openCorpus, splitSide } from "../../specialization/corpus/index.js";
import { makeFolders, writeFileAtomically } from "../../specialization/training/atomic-file.js";
import type { InstalledPackage } from "./packages.js";

export type TextKind = "documentation" | "changelogs" | "licences" | "type declarations" | "sources";

/** Bytes taken of each kind at most. */
const AMOUNTS: Readonly<Record<TextKind, number>> = {
  documentation: 1_300_000,
  changelogs: 250_000,
  licences: 200_000,
  "type declarations": 1_250_000,
  sources: 1_250_000,
};

/** Larger files are mostly generated. */
const LARGEST_FILE = 256 * 1024;
/** A text file with a longer line is minified or data. */
const LONGEST_LINE = 1000;
const HELD_OUT_SHARE = 0.08;
/** A longer document would be most of the held-out text, or of the domain. */
const LARGEST_HELD_OUT = 32 * 1024;
/** The kind that a model is specialised for, the share of its documents that is the domain, and of these to test on. */
const DOMAIN: TextKind = "type declarations";
const DOMAIN_SHARE = 0.3;
const DOMAIN_HELD_OUT_SHARE = 0.5;
/** A domain set is small: that is the point. */
const DOMAIN_BYTES = 60_000;

const INCLUDED = [
  ...["*.md", "*.ts", "*.js", "*.mjs"],
  ...["LICEN[CS]E*", "license*", "COPYING*", "NOTICE*", "CHANGELOG*", "HISTORY*"],
];
/** Translations of a README, and code that is there in a readable form too. */
const EXCLUDED = ["README.*.md", "*.min.js", "*.umd.js"];

/** A file of JSON Lines of `text`, `source` (the kind) and `id` (package and path). */
export interface DemoSet {
  readonly file: string;
  readonly documents: number;
  readonly bytes: number;
}

export interface DemoText {
  readonly generic: { readonly training: DemoSet; readonly heldOut: DemoSet };
  /** Type declarations that are not in the generic text; it has others. */
  readonly domain: { readonly training: DemoSet; readonly heldOut: DemoSet };
  readonly packages: number;
  /** Of all sets together. */
  readonly kinds: readonly { kind: TextKind; documents: number; bytes: number }[];
  /** Documents that repeat another one, exactly or nearly, and were left out. */
  readonly repeats: number;
}

/**
 * Gathers the text of packages and writes it to four files in a folder.
 *
 * @throws CorpusError when a package cannot be read, RunError when the files cannot be written
 */
export async function writeDemoText(
  packages: readonly InstalledPackage[],
  folder: string,
): Promise<DemoText> {
  const { documents, repeats } = await gather(packages);
  const chosen = choose(documents);
  const side = (document: Piece, share: number, seed: number) =>
    splitSide(document, { validationFraction: share, seed }) === "validation";
  const isDomain = (document: Piece) =>
    document.kind === DOMAIN && document.bytes <= LARGEST_HELD_OUT && side(document, DOMAIN_SHARE, 1);
  const isHeldOut = (document: Piece) =>
    /* licences repeat each other but for a name, so that a held-out one would have been seen */
    document.kind !== "licences" && document.bytes <= LARGEST_HELD_OUT && side(document, HELD_OUT_SHARE, 2);
  const generic = chosen.filter((document) => !isDomain(document));
  const domain = chosen.filter(isDomain);
  const isTested = (document: Piece) => side(document, DOMAIN_HELD_OUT_SHARE, 3);
  makeFolders(folder);
  const write = (name: string, documents: readonly Piece[]): DemoSet => {
    const file = join(folder, `${name}.jsonl`);
    writeDocuments(file, documents);
    return { file, documents: documents.length, bytes: sumOfBytes(documents) };
  };
  const kinds = (Object.keys(AMOUNTS) as TextKind[]).map((kind) => {
    const ofKind = chosen.filter((document) => document.kind === kind);
    return { kind, documents: ofKind.length, bytes: sumOfBytes(ofKind) };
  });
  return {
    generic: {
      training: write(
        "generic",
        generic.filter((document) => !isHeldOut(document)),
      ),
      heldOut: write("generic-held-out", generic.filter(isHeldOut)),
    },
    domain: {
      training: write(
        "declarations",
        upTo(
          DOMAIN_BYTES,
          domain.filter((document) => !isTested(document)),
        ),
      ),
      heldOut: write("declarations-held-out", domain.filter(isTested)),
    },
    packages: packages.length,
    kinds,
    repeats,
  };
}

/** As many of the documents as fit. */
function upTo(bytes: number, documents: readonly Piece[]): Piece[] {
  let room = bytes;
  return documents.filter((document) => {
    if (document.bytes > room) return false;
    room -= document.bytes;
    return true;
  });
}

/** A document of a package. */
interface Piece extends Document {
  readonly kind: TextKind;
  readonly package: string;
  readonly bytes: number;
}

async function gather(
  packages: readonly InstalledPackage[],
): Promise<{ documents: Piece[]; repeats: number }> {
  const corpus = openCorpus({
    name: "installed packages",
    paths: packages.map(({ folder }) => folder),
    format: "tree",
    include: INCLUDED,
    exclude: EXCLUDED,
    maxRecordBytes: LARGEST_FILE,
    onBadRecord: "skip",
  });
  const near = new DuplicateIndex({ near: {} });
  const exact = new DuplicateIndex();
  const owners = packages.map(({ name, folder }) => ({ name, prefix: `${folder.replaceAll("\\", "/")}/` }));
  const documents: Piece[] = [];
  let repeats = 0;
  for await (const document of corpus.documents()) {
    if (document.text.split("\n").some((line) => line.length > LONGEST_LINE)) continue;
    const kind = kindOf(document.id!);
    /* as near duplicates one licence of each sort would remain: too few to learn them from */
    if ((kind === "licences" ? exact : near).add(document.text) !== undefined) {
      repeats++;
      continue;
    }
    const owner = owners.find(({ prefix }) => document.shard.startsWith(prefix))!.name;
    documents.push({ ...document, kind, package: owner, bytes: Buffer.byteLength(document.text) });
  }
  return { documents, repeats };
}

function kindOf(path: string): TextKind {
  const name = path.slice(path.lastIndexOf("/") + 1);
  if (/^(licen[cs]e|copying|notice)/i.test(name)) return "licences";
  if (/^(changelog|history)/i.test(name)) return "changelogs";
  if (/\.md$/i.test(name)) return "documentation";
  return /\.d\.[cm]?ts$/.test(name) ? "type declarations" : "sources";
}

/** Of each kind, one document of every package in turn, until there is enough. */
function choose(documents: readonly Piece[]): Piece[] {
  return (Object.keys(AMOUNTS) as TextKind[]).flatMap((kind) => {
    const queues = new Map<string, Piece[]>();
    for (const document of documents) {
      if (document.kind !== kind) continue;
      const queue = queues.get(document.package);
      if (queue === undefined) queues.set(document.package, [document]);
      else queue.push(document);
    }
    const chosen: Piece[] = [];
    const longest = Math.max(0, ...[...queues.values()].map((queue) => queue.length));
    let bytes = 0;
    for (let turn = 0; turn < longest; turn++) {
      for (const queue of queues.values()) {
        if (turn >= queue.length || bytes + queue[turn].bytes > AMOUNTS[kind]) continue;
        chosen.push(queue[turn]);
        bytes += queue[turn].bytes;
      }
    }
    return chosen;
  });
}

function writeDocuments(path: string, documents: readonly Piece[]): void {
  const lines = documents.map(
    ({ text, kind, id, package: name }) => `${JSON.stringify({ id: `${name}/${id}`, source: kind, text })}\n`,
  );
  writeFileAtomically(path, lines.join(""));
}

function sumOfBytes(documents: readonly Piece[]): number {
  return documents.reduce((sum, { bytes }) => sum + bytes, 0);
}
