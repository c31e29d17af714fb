// Reads token shards: any run of tokens and any document by number, through positional reads, so that memory does not grow with
// the corpus. Files that are cut off or altered are refused by name when the folder is opened.

import { closeSync, openSync, readSync } from "node:fs";
import { open, readFile } from "node:fs/promises";
import { join } from "node:path";
import { TokenShardsError } from "./errors.js";
import {
  DOCUMENT_BYTES,
  documentsAt,
  HEADER_BYTES,
  NO_SOURCE,
  readHeader,
  readNames,
  type SegmentHeader,
  type SegmentNames,
  verifyBody,
} from "./segment.js";

export const MANIFEST = "tokens.json";
const DOCUMENTS_READ_AT_ONCE = 2048;

/** `tokens.json`: what the folder holds. Written last, so a folder with it is complete. */
export interface TokenManifest {
  format: "slm-forge tokens";
  version: number;
  /** SHA-256 of what the tokens were made from and how; its beginning is the folder's name. */
  identity: string;
  /** Fingerprint of the corpus and hash of the tokenizer. */
  corpus: string;
  tokenizer: string;
  vocabularySize: number;
  endOfText: number;
  tokenBytes: 2 | 4;
  tokens: number;
  documents: number;
  /** The checksum is the one in the segment's header. */
  segments: { file: string; tokens: number; documents: number; sha256: string }[];
}

/** One document among the tokens, and where it came from. */
export interface TokenDocument {
  /** Number of its first token. */
  start: number;
  /** Its tokens, the one that ends it included. */
  length: number;
  /** File of the corpus and byte offset in it. */
  shard: string;
  offset: number;
  source?: string;
}

interface Segment {
  path: string;
  descriptor: number;
  header: SegmentHeader;
  names: SegmentNames;
}

export class TokenShards {
  readonly folder: string;
  readonly manifest: TokenManifest;
  /** Number of tokens and of documents in all. */
  readonly tokenCount: number;
  readonly documentCount: number;
  readonly vocabularySize: number;
  readonly #segments: Segment[];

  private constructor(folder: string, manifest: TokenManifest, segments: Segment[]) {
    this.folder = folder;
    this.manifest = manifest;
    this.tokenCount = manifest.tokens;
    this.documentCount = manifest.documents;
    this.vocabularySize = manifest.vocabularySize;
    this.#segments = segments;
  }

  /**
   * Opens a complete folder. `verify: "all"` (the default) reads every file once and compares checksums, `"sizes"` only headers
   * and sizes. Throws TokenShardsError naming the file that is missing, truncated or altered.
   */
  static async open(
    folder: string,
    { verify = "all" }: { verify?: "all" | "sizes" } = {},
  ): Promise<TokenShards> {
    const manifest = await readManifest(join(folder, MANIFEST));
    const segments: Segment[] = [];
    let tokens = 0;
    let documents = 0;
    try {
      for (const listed of manifest.segments) {
        const path = join(folder, listed.file);
        const handle = await open(path, "r").catch((cause: Error) => {
          throw new TokenShardsError(
            {
              file: path,
              problem: `cannot be read: ${cause.message}`,
              remedy: "Delete the folder; the tokens are made again.",
            },
            { cause },
          );
        });
        try {
          const header = await readHeader(handle, path);
          if (
            header.checksum.toString("hex") !== listed.sha256 ||
            header.tokenCount !== listed.tokens ||
            header.documentCount !== listed.documents ||
            header.firstToken !== tokens ||
            header.firstDocument !== documents
          )
            throw new TokenShardsError({
              file: path,
              problem: `altered: not the file that ${MANIFEST} lists`,
              remedy: "Delete the folder; the tokens are made again.",
            });
          if (verify === "all") await verifyBody(handle, header, path);
          const names = await readNames(handle, header);
          segments.push({ path, descriptor: openSync(path, "r"), header, names });
          tokens += header.tokenCount;
          documents += header.documentCount;
        } finally {
          await handle.close();
        }
      }
    } catch (error) {
      for (const { descriptor } of segments) closeSync(descriptor);
      throw error;
    }
    return new TokenShards(folder, manifest, segments);
  }

  /** Tokens `start` to `start + length`, across documents and files. Throws TokenShardsError when they are not all there. */
  readTokens(start: number, length: number): Uint16Array | Uint32Array {
    this.#checkRange("tokens", start, length, this.tokenCount);
    const { tokenBytes } = this.manifest;
    const tokens = tokenBytes === 2 ? new Uint16Array(length) : new Uint32Array(length);
    const bytes = Buffer.from(tokens.buffer);
    for (let done = 0; done < length; ) {
      const segment = this.#segmentOf(start + done, "firstToken");
      const { firstToken, tokenCount } = segment.header;
      const first = start + done - firstToken;
      const count = Math.min(length - done, tokenCount - first);
      readWhole(
        segment,
        bytes.subarray(done * tokenBytes, (done + count) * tokenBytes),
        HEADER_BYTES + first * tokenBytes,
      );
      done += count;
    }
    return tokens;
  }

  /** The document of a number, from 0. */
  document(index: number): TokenDocument {
    return this.documents(index, 1).next().value as TokenDocument;
  }

  /** Documents in order, `count` of them from number `first`; all by default. */
  *documents(first = 0, count = this.documentCount - first): Generator<TokenDocument, undefined> {
    this.#checkRange("documents", first, count, this.documentCount);
    const end = first + count;
    for (let at = first; at < end; ) {
      const segment = this.#segmentOf(at, "firstDocument");
      const { firstDocument, documentCount } = segment.header;
      const read = Math.min(end - at, firstDocument + documentCount - at, DOCUMENTS_READ_AT_ONCE);
      const records = Buffer.alloc(read * DOCUMENT_BYTES);
      readWhole(segment, records, documentsAt(segment.header) + (at - firstDocument) * DOCUMENT_BYTES);
      for (let i = 0; i < records.length; i += DOCUMENT_BYTES) yield documentIn(records, i, segment.names);
      at += read;
    }
    return undefined;
  }

  /** Number of the document that a token belongs to. */
  documentOf(token: number): number {
    this.#checkRange("tokens", token, 1, this.tokenCount);
    const { firstDocument, documentCount } = this.#segmentOf(token, "firstToken").header;
    let low = firstDocument;
    let high = firstDocument + documentCount - 1;
    while (low < high) {
      const middle = Math.ceil((low + high) / 2);
      if (this.document(middle).start <= token) low = middle;
      else high = middle - 1;
    }
    return low;
  }

  /** Closes the files. */
  close(): void {
    for (const { descriptor } of this.#segments.splice(0)) closeSync(descriptor);
  }

  /** The segment that holds a token or a document. */
  #segmentOf(number: number, first: "firstToken" | "firstDocument"): Segment {
    let low = 0;
    let high = this.#segments.length - 1;
    while (low < high) {
      const middle = Math.ceil((low + high) / 2);
      if (this.#segments[middle]!.header[first] <= number) low = middle;
      else high = middle - 1;
    }
    return this.#segments[low]!;
  }

  #checkRange(what: string, start: number, length: number, total: number): void {
    if (
      !(
        Number.isSafeInteger(start) &&
        Number.isSafeInteger(length) &&
        start >= 0 &&
        length >= 0 &&
        start + length <= total
      )
    )
      throw new TokenShardsError({
        file: this.folder,
        key: what,
        value: [start, length],
        problem: `start and length must lie within the ${total} ${what}`,
        remedy: "Read less, or from an earlier place.",
      });
  }
}

function readWhole(segment: Segment, into: Buffer, position: number): void {
  for (let done = 0; done < into.length; ) {
    const read = readSync(segment.descriptor, into, done, into.length - done, position + done);
    if (read === 0)
      throw new TokenShardsError({
        file: segment.path,
        problem: "truncated since it was opened",
        remedy: "Delete the folder; the tokens are made again.",
      });
    done += read;
  }
}

function documentIn(records: Buffer, at: number, names: SegmentNames): TokenDocument {
  const source = records.readUInt32LE(at + 24);
  return {
    start: records.readDoubleLE(at),
    length: records.readUInt32LE(at + 16),
    shard: names.shards[records.readUInt32LE(at + 20)]!,
    offset: records.readDoubleLE(at + 8),
    ...(source === NO_SOURCE ? {} : { source: names.sources[source]! }),
  };
}

async function readManifest(file: string): Promise<TokenManifest> {
  const refuse = (problem: string, cause?: unknown) =>
    new TokenShardsError(
      { file, problem, remedy: "Give the folder of a finished tokenization, or make the tokens again." },
      { cause },
    );
  const text = await readFile(file, "utf8").catch((cause: Error) => {
    throw refuse(`cannot be read: ${cause.message}`, cause);
  });
  let manifest: TokenManifest;
  try {
    manifest = JSON.parse(text) as TokenManifest;
  } catch (cause) {
    throw refuse(`not JSON: ${(cause as Error).message}`, cause);
  }
  if (manifest?.format !== "slm-forge tokens" || !Array.isArray(manifest.segments))
    throw refuse("not a list of token files");
  const sum = (key: "tokens" | "documents") =>
    manifest.segments.reduce((total, each) => total + each[key], 0);
  if (sum("tokens") !== manifest.tokens || sum("documents") !== manifest.documents)
    throw refuse("altered: its counts do not add up");
  return manifest;
}
