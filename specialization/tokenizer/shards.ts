// Makes token shards from a corpus, once: the folder is named by what the tokens are made from, and an interrupted run (even by
// kill -9) goes on after the last whole segment and ends in the same bytes. Segments end where a count of tokens or documents is
// reached, whatever the number of threads, so nothing depends on timing.

import { createHash } from "node:crypto";
import { mkdir, open, readdir, rename, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { TokenShardsError } from "./errors.js";
import { takeLock } from "./lock.js";
import { type DocumentPosition, inspectSegment, SEGMENT_VERSION, type SegmentHeader } from "./segment.js";
import { SegmentWriter } from "./segment-writer.js";
import { type EncodedTexts, TokenPool } from "./token-pool.js";
import { MANIFEST, type TokenManifest, TokenShards } from "./token-shards.js";
import type { Tokenizer } from "./tokenizer.js";

const DEFAULT_SEGMENT_TOKENS = 1 << 24;
/** Bounds the document records kept in memory: 32 bytes each. */
const SEGMENT_DOCUMENTS = 1 << 18;
const BATCH_CHARACTERS = 1 << 19;
const BATCH_DOCUMENTS = 1 << 12;

/** A document of the corpus; the corpus readers' documents have this shape. */
export interface CorpusDocument extends DocumentPosition {
  readonly text: string;
  readonly source?: string;
  readonly id?: string;
}

export interface TokenShardsOptions {
  /** Folder in which the folder of tokens is made. */
  root: string;
  tokenizer: Tokenizer;
  /** Hash of the corpus: its files and how they are read. */
  corpusFingerprint: string;
  /**
   * The corpus's documents in a fixed order; with `from`, those from that position on. Documents before that position are passed
   * over, so a corpus that cannot seek may ignore it.
   */
  documents(options?: { from?: DocumentPosition }): AsyncIterable<CorpusDocument> | Iterable<CorpusDocument>;
  /** Tokens after which a file is closed: what is lost at most when the run is killed. Default 16,777,216. */
  segmentTokens?: number;
  /** Threads that encode; all cores by default. */
  workers?: number;
  /** Stops between two batches; what is whole is kept. */
  signal?: AbortSignal;
  /** Called when another process is making these tokens, and this one waits for it. */
  onWait?(pid: number): void;
  /** Called after each batch. */
  onProgress?(progress: { tokens: number; documents: number }): void;
}

/** Name of the folder for tokens of this corpus and tokenizer. */
export function tokenShardsFolder(
  options: Pick<TokenShardsOptions, "tokenizer" | "corpusFingerprint" | "segmentTokens">,
): string {
  return `tokens-${identityOf(options).slice(0, 16)}`;
}

/**
 * Encodes a corpus, every document followed by the tokenizer's end of text, or opens the result if it is there. Memory does not
 * grow with the corpus. Throws TokenShardsError when the corpus is empty or changed, files are altered or cannot be written.
 */
export async function buildTokenShards(options: TokenShardsOptions): Promise<TokenShards> {
  const folder = join(options.root, tokenShardsFolder(options));
  const partial = `${folder}.partial`;
  try {
    if (await exists(folder)) return await TokenShards.open(folder);
    await mkdir(options.root, { recursive: true });
    const unlock = await takeLock(`${folder}.lock`, options);
    try {
      // another process may have finished since
      if (!(await exists(folder))) {
        await mkdir(partial, { recursive: true });
        await writeSegments(partial, options);
        await rename(partial, folder);
        await syncFolder(options.root);
      }
    } finally {
      await unlock();
    }
  } catch (cause) {
    // errors of the file system: a full disk, a read-only folder
    if (!(cause instanceof Error && "syscall" in cause)) throw cause;
    throw new TokenShardsError(
      {
        file: partial,
        problem: `cannot be written: ${cause.message}`,
        remedy: "Make room or choose another folder and run it again; finished files are kept.",
      },
      { cause },
    );
  }
  return TokenShards.open(folder, { verify: "sizes" });
}

function identityOf(
  options: Pick<TokenShardsOptions, "tokenizer" | "corpusFingerprint" | "segmentTokens">,
): string {
  const { tokenizer, corpusFingerprint, segmentTokens = DEFAULT_SEGMENT_TOKENS } = options;
  const parts = [
    SEGMENT_VERSION,
    corpusFingerprint,
    tokenizer.hash,
    tokenizer.endOfText,
    segmentTokens,
    SEGMENT_DOCUMENTS,
  ];
  return createHash("sha256").update(JSON.stringify(parts)).digest("hex");
}

type ListedSegment = TokenManifest["segments"][number];

interface Progress {
  segments: ListedSegment[];
  tokens: number;
  documents: number;
  /** Where to go on; null when all is there, undefined at the beginning. */
  next: DocumentPosition | null | undefined;
}

/** Brings a partial folder to completion, its manifest included. */
async function writeSegments(partial: string, options: TokenShardsOptions): Promise<void> {
  const { tokenizer } = options;
  const identity = identityOf(options);
  const progress = await finishedSegments(partial, identity);
  if (progress.next !== null) await encodeRest(partial, options, identity, progress);
  const manifest: TokenManifest = {
    format: "slm-forge tokens",
    version: SEGMENT_VERSION,
    identity,
    corpus: options.corpusFingerprint,
    tokenizer: tokenizer.hash,
    vocabularySize: tokenizer.vocabularySize,
    endOfText: tokenizer.endOfText,
    tokenBytes: tokenBytesOf(tokenizer),
    tokens: progress.tokens,
    documents: progress.documents,
    segments: progress.segments,
  };
  const temporary = join(partial, `${MANIFEST}.tmp`);
  const handle = await open(temporary, "w");
  try {
    await handle.writeFile(`${JSON.stringify(manifest, null, 2)}\n`);
    await handle.sync();
  } finally {
    await handle.close();
  }
  await rename(temporary, join(partial, MANIFEST));
  await syncFolder(partial);
}

/** The whole segments of an interrupted run; whatever follows the first one that is missing or damaged is removed. */
async function finishedSegments(partial: string, identity: string): Promise<Progress> {
  const progress: Progress = { segments: [], tokens: 0, documents: 0, next: undefined };
  const present = new Set(await readdir(partial));
  while (progress.next !== null) {
    const file = segmentName(progress.segments.length);
    if (!present.has(file)) break;
    const found = await inspectSegment(join(partial, file)).catch((error: unknown) => {
      // a damaged file of an unfinished run is made again like a missing one
      if (error instanceof TokenShardsError) return undefined;
      throw error;
    });
    if (
      found === undefined ||
      found.names.identity !== identity ||
      found.header.firstToken !== progress.tokens
    )
      break;
    addSegment(progress, file, found.header);
    progress.next = found.names.next;
  }
  const kept = new Set(progress.segments.map(({ file }) => file));
  for (const file of present)
    if (/^segment-|\.tmp$/.test(file) && !kept.has(file)) await rm(join(partial, file));
  return progress;
}

async function encodeRest(
  partial: string,
  options: TokenShardsOptions,
  identity: string,
  progress: Progress,
): Promise<void> {
  const { tokenizer, segmentTokens = DEFAULT_SEGMENT_TOKENS, signal, onProgress } = options;
  const end = tokenizer.endOfText;
  const pool = new TokenPool(tokenizer, options.workers);
  const create = () =>
    SegmentWriter.create(join(partial, `${segmentName(progress.segments.length)}.tmp`), {
      tokenBytes: tokenBytesOf(tokenizer),
      vocabularySize: tokenizer.vocabularySize,
      firstToken: progress.tokens,
      firstDocument: progress.documents,
    });
  let writer = await create();
  const finish = async (next: DocumentPosition | null) => {
    const file = segmentName(progress.segments.length);
    addSegment(progress, file, await writer.finish(join(partial, file), identity, next));
  };
  const write = async ({ places, encoded }: Batch) => {
    const { tokens, lengths } = await encoded;
    let at = 0;
    for (const [i, place] of places.entries()) {
      if (writer.tokenCount >= segmentTokens || writer.documentCount >= SEGMENT_DOCUMENTS) {
        const { shard, offset, line } = place;
        await finish({ shard, offset, ...(line === undefined ? {} : { line }) });
        writer = await create();
      }
      await writer.append(tokens.subarray(at, at + lengths[i]!), end, place);
      at += lengths[i]!;
    }
    onProgress?.({ tokens: writer.nextToken, documents: writer.nextDocument });
  };

  const underWay: Batch[] = [];
  try {
    for await (const batch of batches(remaining(options, progress.next ?? undefined))) {
      signal?.throwIfAborted();
      const encoded = pool.encode(batch.texts);
      // it is awaited in its turn; this only keeps an earlier failure from reporting it as unhandled meanwhile
      encoded.catch(() => {});
      underWay.push({ places: batch.places, encoded });
      if (underWay.length > pool.width * 2) await write(underWay.shift()!);
    }
    for (let batch = underWay.shift(); batch !== undefined; batch = underWay.shift()) await write(batch);
    if (writer.nextDocument === 0)
      throw new TokenShardsError({
        file: partial,
        problem: "the corpus has no documents",
        remedy: "Check the paths and filters of the corpus.",
      });
    await finish(null);
  } finally {
    await writer.close();
    await pool.close();
  }
}

interface Place extends DocumentPosition {
  readonly source?: string;
}

interface Batch {
  places: Place[];
  encoded: Promise<EncodedTexts>;
}

/** The documents from `from` on. Throws TokenShardsError when the corpus has no document there any more. */
async function* remaining(
  { documents, root }: TokenShardsOptions,
  from: DocumentPosition | undefined,
): AsyncGenerator<CorpusDocument> {
  let passing = from !== undefined;
  for await (const document of documents(from === undefined ? undefined : { from })) {
    if (passing && from !== undefined) {
      if (document.shard !== from.shard || document.offset !== from.offset) continue;
      passing = false;
    }
    yield document;
  }
  if (passing)
    throw new TokenShardsError({
      file: root,
      value: from,
      problem: "the corpus has no document any more where an interrupted run stopped",
      remedy: "The corpus changed without its fingerprint: delete the .partial folder and run it again.",
    });
}

/** Groups documents so that a thread is given enough to do and memory stays bounded. */
async function* batches(
  documents: AsyncIterable<CorpusDocument>,
): AsyncGenerator<{ texts: string[]; places: Place[] }> {
  let texts: string[] = [];
  let places: Place[] = [];
  let characters = 0;
  for await (const { text, shard, offset, line, source } of documents) {
    texts.push(text);
    places.push({
      shard,
      offset,
      ...(line === undefined ? {} : { line }),
      ...(source === undefined ? {} : { source }),
    });
    characters += text.length;
    if (characters >= BATCH_CHARACTERS || texts.length >= BATCH_DOCUMENTS) {
      yield { texts, places };
      texts = [];
      places = [];
      characters = 0;
    }
  }
  if (texts.length > 0) yield { texts, places };
}

function addSegment(progress: Progress, file: string, header: SegmentHeader): void {
  progress.segments.push({
    file,
    tokens: header.tokenCount,
    documents: header.documentCount,
    sha256: header.checksum.toString("hex"),
  });
  progress.tokens += header.tokenCount;
  progress.documents += header.documentCount;
}

function segmentName(index: number): string {
  return `segment-${String(index).padStart(5, "0")}.bin`;
}

function tokenBytesOf(tokenizer: Tokenizer): 2 | 4 {
  return tokenizer.vocabularySize <= 65_536 ? 2 : 4;
}

async function exists(path: string): Promise<boolean> {
  try {
    await stat(path);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return false;
    throw error;
  }
}

/** Makes the names in a folder outlast a loss of power. */
async function syncFolder(folder: string): Promise<void> {
  // a folder cannot be opened for this on Windows, which keeps names in its journal
  if (process.platform === "win32") return;
  const handle = await open(folder, "r");
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
