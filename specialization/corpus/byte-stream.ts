/**
 * The bytes of a shard, decompressed, as a stream of chunks in bounded memory. Compression is told by the
 * file's first bytes; a name that promises otherwise is an error, because it means a broken download.
 */
import { createReadStream, type Stats } from "node:fs";
import { open, stat } from "node:fs/promises";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { createGunzip } from "node:zlib";
import { CorpusError, ForeignBytesError, ResumeError, SKIP_BAD_RECORDS, shortReason } from "./errors.js";
import { decompressZstd } from "./zstd.js";

const CHUNK_BYTES = 256 * 1024;
/** What tells compression, and what only looks like data. */
const HEAD_BYTES = 64;

/** How a shard is compressed. */
export type Compression = "none" | "gzip" | "zstd";

/** Decompressed bytes from a given offset on. */
export interface ByteStream {
  readonly chunks: AsyncIterable<Buffer>;
  /** Newlines before the first chunk: known when the stream had to be read from its beginning. */
  readonly linesBefore: () => number | undefined;
}

/** The file's attributes; throws CorpusError unless `path` is a regular file that exists. */
export async function statFile(path: string): Promise<Stats> {
  let attributes: Stats;
  try {
    attributes = await stat(path);
  } catch (error) {
    throw fileError(path, error);
  }
  if (attributes.isDirectory()) {
    throw new CorpusError({
      file: path,
      reason: "is a directory, but a file is expected",
      remedy: `Give a file or a glob such as "${path.replace(/\/+$/, "")}/*.jsonl", or leave the format open to read the folder as documents`,
    });
  }
  if (!attributes.isFile()) {
    throw new CorpusError({
      file: path,
      reason: "is not a regular file (a pipe, socket or device)",
      remedy: "Write its content to a file first: a corpus is read more than once",
    });
  }
  return attributes;
}

/** A CorpusError for a failed call of the file system. */
export function fileError(path: string, error: unknown): CorpusError {
  const code = (error as NodeJS.ErrnoException).code;
  const [reason, remedy] = FILE_FAULTS[code ?? ""] ?? [
    `cannot be read: ${shortReason(error)}`,
    "Check the path and the disk",
  ];
  return new CorpusError({ file: path, reason, remedy, cause: error });
}

const FILE_FAULTS: Record<string, readonly [reason: string, remedy: string]> = {
  ENOENT: ["does not exist", `Check the path; relative paths start from ${process.cwd()}`],
  ENOTDIR: ["does not exist: a part of the path is a file, not a directory", "Check the path"],
  EACCES: ["may not be read by this user", "Change its permissions (chmod u+r) or copy it"],
  EPERM: ["may not be read by this user", "Change its permissions (chmod u+r) or copy it"],
  ELOOP: ["is a symbolic link that leads back to itself", "Remove the link or give the file it stands for"],
  EISDIR: ["is a directory, but a file is expected", "Give a file or a glob"],
  ENAMETOOLONG: ["is longer than a path may be", "Check the path"],
  EMFILE: ["cannot be opened: too many files are open", "Raise the limit (ulimit -n)"],
};

/**
 * Opens a shard at `from`, an offset in the decompressed stream.
 *
 * An uncompressed file is opened at that byte; an archive is decompressed from its beginning and the bytes
 * before `from` are dropped. Throws CorpusError if `from` lies beyond the end, or if `boundary` is given and
 * the bytes before `from` are not that record separator: the file has changed since the position was noted.
 */
export async function openBytes(path: string, from = 0, boundary?: Buffer): Promise<ByteStream> {
  const { size } = await statFile(path);
  /* a small file is read at once: of a folder of sources, opening each file a second time would take the most time */
  const head = await readRange(path, 0, size <= CHUNK_BYTES ? size : HEAD_BYTES);
  const compression = detectCompression(path, head);
  if (compression === "none") {
    if (from > size) throw beyondEnd(path, from, size);
    if (from === 0 && head.length === size) return { chunks: once(head), linesBefore: () => 0 };
    if (from > 0 && boundary !== undefined && !(await endsWith(path, from, boundary))) {
      throw notABoundary(path, from);
    }
    const chunks = translated(path, createReadStream(path, { start: from, highWaterMark: CHUNK_BYTES }));
    return { chunks, linesBefore: () => (from === 0 ? 0 : undefined) };
  }
  const decompressed = translated(path, decompress(path, compression));
  if (from === 0) return { chunks: decompressed, linesBefore: () => 0 };
  const dropped = new DroppedPrefix(path, decompressed, from, boundary);
  return { chunks: dropped.rest(), linesBefore: () => dropped.lines };
}

/** Tells gzip and Zstandard by their magic numbers, and refuses what only looks like data. */
function detectCompression(path: string, head: Buffer): Compression {
  if (head.length >= 2 && head[0] === 0x1f && head[1] === 0x8b) return "gzip";
  if (head.length >= 4) {
    const magic = head.readUInt32LE(0);
    if (magic === 0xfd2fb528 || (magic & 0xfffffff0) >>> 0 === 0x184d2a50) return "zstd";
  }
  if (head.toString("latin1", 0, HEAD_BYTES).startsWith("version https://git-lfs.github.com/spec/")) {
    throw new ForeignBytesError({
      file: path,
      reason: "is a Git LFS pointer, not the data",
      remedy: "Fetch the data: git lfs pull",
    });
  }
  const foreign = FOREIGN_MAGIC.find(([magic]) => head.subarray(0, magic.length).equals(magic));
  if (foreign !== undefined) {
    throw new ForeignBytesError({
      file: path,
      byte: 0,
      reason: `is a ${foreign[1]} archive, which is not supported`,
      remedy: "Unpack it, or compress it with gzip or zstd instead",
    });
  }
  const promised = /\.(gz|zst)$/i.exec(path);
  if (promised !== null) {
    const shown = head.length === 0 ? "the file is empty" : `it begins with ${head.toString("hex", 0, 4)}`;
    throw new ForeignBytesError({
      file: path,
      byte: 0,
      reason: `is named ${promised[0]} but is not ${promised[1].toLowerCase() === "gz" ? "gzip" : "Zstandard"}: ${shown}`,
      remedy: "Fetch or write the file again; if it is plain text, take the ending off its name",
    });
  }
  return "none";
}

const FOREIGN_MAGIC: readonly (readonly [Buffer, string])[] = [
  [Buffer.from("BZh", "latin1"), "bzip2"],
  [Buffer.from([0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00]), "xz"],
  [Buffer.from("PK\x03\x04", "latin1"), "zip"],
  [Buffer.from("7z\xbc\xaf\x27\x1c", "latin1"), "7z"],
];

async function* once(bytes: Buffer): AsyncGenerator<Buffer> {
  if (bytes.length > 0) yield bytes;
}

/** Reads bytes [start, start + length) of a file; shorter at its end. */
export async function readRange(path: string, start: number, length: number): Promise<Buffer> {
  try {
    const file = await open(path, "r");
    try {
      const buffer = Buffer.alloc(length);
      let filled = 0;
      while (filled < length) {
        const { bytesRead } = await file.read(buffer, filled, length - filled, start + filled);
        if (bytesRead === 0) break;
        filled += bytesRead;
      }
      return buffer.subarray(0, filled);
    } finally {
      await file.close();
    }
  } catch (error) {
    throw fileError(path, error);
  }
}

async function endsWith(path: string, end: number, boundary: Buffer): Promise<boolean> {
  const start = end - boundary.length;
  return start >= 0 && (await readRange(path, start, boundary.length)).equals(boundary);
}

function decompress(path: string, compression: "gzip" | "zstd"): AsyncIterable<Buffer> {
  const source = createReadStream(path, { highWaterMark: CHUNK_BYTES });
  if (compression === "zstd") return decompressZstd(source);
  const gunzip = createGunzip({ chunkSize: CHUNK_BYTES });
  // The failure is seen by whoever reads `gunzip`, which the pipeline destroys with the same error.
  pipeline(source, gunzip).catch(() => undefined);
  return gunzip;
}

/** Turns failures of the stream into CorpusErrors that name the decompressed byte reached. */
async function* translated(path: string, chunks: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  let position = 0;
  try {
    for await (const chunk of chunks) {
      yield chunk;
      position += chunk.length;
    }
  } catch (error) {
    if (error instanceof CorpusError) throw error;
    const code = (error as NodeJS.ErrnoException).code ?? "";
    if (/^E[A-Z]+$/.test(code) && code !== "EOF") throw fileError(path, error);
    const message = shortReason(error);
    const isTruncated = code === "Z_BUF_ERROR" || message.startsWith("truncated");
    const detail = code === "Z_BUF_ERROR" ? "it ends before its last block" : message;
    throw new CorpusError({
      file: path,
      byte: position,
      reason: isTruncated ? `the archive is truncated: ${detail}` : `the archive is damaged: ${detail}`,
      remedy: `Fetch or write the file again, or ${SKIP_BAD_RECORDS} to keep what comes before`,
      cause: error,
    });
  } finally {
    if (chunks instanceof Readable) chunks.destroy();
  }
}

/** Drops the first `count` bytes of a stream, counting their newlines and checking the record boundary. */
class DroppedPrefix {
  lines = 0;

  constructor(
    private readonly path: string,
    private readonly chunks: AsyncIterable<Buffer>,
    private readonly count: number,
    private readonly boundary: Buffer | undefined,
  ) {}

  async *rest(): AsyncGenerator<Buffer> {
    let position = 0;
    let tail = Buffer.alloc(0);
    for await (const chunk of this.chunks) {
      const left = this.count - position;
      position += chunk.length;
      if (left <= 0) {
        yield chunk;
        continue;
      }
      const dropped = chunk.subarray(0, Math.min(left, chunk.length));
      this.lines += countNewlines(dropped);
      if (this.boundary !== undefined) {
        const joined = Buffer.concat([tail, dropped]);
        tail = joined.subarray(Math.max(0, joined.length - this.boundary.length));
        if (position >= this.count && !tail.equals(this.boundary)) throw notABoundary(this.path, this.count);
      }
      if (dropped.length < chunk.length) yield chunk.subarray(dropped.length);
    }
    if (position < this.count) throw beyondEnd(this.path, this.count, position);
  }
}

function countNewlines(bytes: Buffer): number {
  let count = 0;
  for (let at = bytes.indexOf(10); at !== -1; at = bytes.indexOf(10, at + 1)) count += 1;
  return count;
}

function beyondEnd(path: string, from: number, size: number): ResumeError {
  return new ResumeError({
    file: path,
    byte: from,
    reason: `cannot be resumed here: the file ends at byte ${size}, so it has changed since`,
  });
}

function notABoundary(path: string, from: number): ResumeError {
  return new ResumeError({
    file: path,
    byte: from,
    reason: "cannot be resumed here: no record begins at this byte, so the file has changed since",
  });
}
