// One file of token shards, a "segment": whole documents, encoded, and where each came from. All numbers are little-endian.
//   128 bytes    header (below), ending in the SHA-256 of the body and of the header itself
//   tokens       u16 or u32 ids, padded with zeros to a multiple of 8 bytes
//   documents    32 bytes each: f64 first token, f64 byte offset in its corpus file, u32 tokens, u32 corpus file, u32 source, u32 0
//   names        JSON: the corpus files and sources that the documents refer to, and where the next segment begins

import { createHash } from "node:crypto";
import { type FileHandle, open } from "node:fs/promises";
import { TokenShardsError } from "./errors.js";

export const SEGMENT_VERSION = 1;
export const HEADER_BYTES = 128;
export const DOCUMENT_BYTES = 32;
/** Stands for "no source" in the document records. */
export const NO_SOURCE = 0xffffffff;

const MAGIC = "SLMTOKEN";
const CHECKED_HEADER_BYTES = 96;
const REBUILD = "Delete the folder; the tokens are made again from the corpus.";

/** A place in a corpus: a document of a file, by the byte offset where it begins. */
export interface DocumentPosition {
  readonly shard: string;
  readonly offset: number;
  readonly line?: number;
}

/** Counts and places of one segment. */
export interface SegmentHeader {
  tokenBytes: 2 | 4;
  /** Number of the first token, and of the first document, among those of all segments. */
  firstToken: number;
  tokenCount: number;
  firstDocument: number;
  documentCount: number;
  namesBytes: number;
  vocabularySize: number;
  /** SHA-256 of everything after the header. */
  checksum: Buffer;
}

/** The JSON at the end of a segment. */
export interface SegmentNames {
  /** What the tokens were made from: corpus, tokenizer and layout. */
  identity: string;
  shards: string[];
  sources: string[];
  /** The document the next segment begins with; null in the last one. */
  next: DocumentPosition | null;
}

/** Bytes from the beginning of the file to the document records. */
export function documentsAt(header: Pick<SegmentHeader, "tokenBytes" | "tokenCount">): number {
  return HEADER_BYTES + Math.ceil((header.tokenCount * header.tokenBytes) / 8) * 8;
}

/** Bytes from the beginning of the file to the names. */
export function namesAt(header: SegmentHeader): number {
  return documentsAt(header) + header.documentCount * DOCUMENT_BYTES;
}

export function writeHeader(header: SegmentHeader): Buffer {
  const bytes = Buffer.alloc(HEADER_BYTES);
  bytes.write(MAGIC, 0, "latin1");
  bytes.writeUInt32LE(SEGMENT_VERSION, 8);
  bytes.writeUInt32LE(header.tokenBytes, 12);
  bytes.writeBigUInt64LE(BigInt(header.firstToken), 16);
  bytes.writeBigUInt64LE(BigInt(header.tokenCount), 24);
  bytes.writeBigUInt64LE(BigInt(header.firstDocument), 32);
  bytes.writeBigUInt64LE(BigInt(header.documentCount), 40);
  bytes.writeBigUInt64LE(BigInt(header.namesBytes), 48);
  bytes.writeUInt32LE(header.vocabularySize, 56);
  header.checksum.copy(bytes, 64);
  createHash("sha256")
    .update(bytes.subarray(0, CHECKED_HEADER_BYTES))
    .digest()
    .copy(bytes, CHECKED_HEADER_BYTES);
  return bytes;
}

/** Reads the header of `file` and checks it against its own checksum and the file's size. Throws TokenShardsError. */
export async function readHeader(handle: FileHandle, file: string): Promise<SegmentHeader> {
  const bytes = Buffer.alloc(HEADER_BYTES);
  const { bytesRead } = await handle.read(bytes, 0, HEADER_BYTES, 0);
  const refuse = (problem: string, value?: unknown) =>
    new TokenShardsError({ file, ...(value === undefined ? {} : { value }), problem, remedy: REBUILD });
  if (bytesRead < HEADER_BYTES) throw refuse("truncated: shorter than its header", `${bytesRead} bytes`);
  const magic = bytes.toString("latin1", 0, 8);
  if (magic !== MAGIC) throw refuse("not a file of tokens", magic);
  const version = bytes.readUInt32LE(8);
  if (version !== SEGMENT_VERSION)
    throw refuse(`written in another version of the format (this is ${SEGMENT_VERSION})`, version);
  const checksum = createHash("sha256").update(bytes.subarray(0, CHECKED_HEADER_BYTES)).digest();
  if (!checksum.equals(bytes.subarray(CHECKED_HEADER_BYTES)))
    throw refuse("altered: the header does not match its checksum");
  const header: SegmentHeader = {
    tokenBytes: bytes.readUInt32LE(12) as 2 | 4,
    firstToken: Number(bytes.readBigUInt64LE(16)),
    tokenCount: Number(bytes.readBigUInt64LE(24)),
    firstDocument: Number(bytes.readBigUInt64LE(32)),
    documentCount: Number(bytes.readBigUInt64LE(40)),
    namesBytes: Number(bytes.readBigUInt64LE(48)),
    vocabularySize: bytes.readUInt32LE(56),
    checksum: Buffer.from(bytes.subarray(64, 96)),
  };
  const { size } = await handle.stat();
  const expected = namesAt(header) + header.namesBytes;
  if (size !== expected)
    throw refuse(
      `${size < expected ? "truncated" : "altered"}: ${expected} bytes are expected`,
      `${size} bytes`,
    );
  return header;
}

/** Reads the names at the end of a segment. */
export async function readNames(handle: FileHandle, header: SegmentHeader): Promise<SegmentNames> {
  const bytes = Buffer.alloc(header.namesBytes);
  await handle.read(bytes, 0, bytes.length, namesAt(header));
  return JSON.parse(bytes.toString("utf8")) as SegmentNames;
}

/** Reads all of a segment and compares its checksum. Throws TokenShardsError. */
export async function verifyBody(handle: FileHandle, header: SegmentHeader, file: string): Promise<void> {
  const hash = createHash("sha256");
  const chunk = Buffer.alloc(1 << 20);
  for (let at = HEADER_BYTES; ; ) {
    const { bytesRead } = await handle.read(chunk, 0, chunk.length, at);
    if (bytesRead === 0) break;
    hash.update(chunk.subarray(0, bytesRead));
    at += bytesRead;
  }
  if (!hash.digest().equals(header.checksum))
    throw new TokenShardsError({
      file,
      problem: "altered: the content does not match its checksum",
      remedy: REBUILD,
    });
}

/** Opens a segment, checks all of it and returns its header and names. Throws TokenShardsError. */
export async function inspectSegment(file: string): Promise<{ header: SegmentHeader; names: SegmentNames }> {
  const handle = await open(file, "r");
  try {
    const header = await readHeader(handle, file);
    await verifyBody(handle, header, file);
    return { header, names: await readNames(handle, header) };
  } finally {
    await handle.close();
  }
}
