/**
 * Zstandard (RFC 8878) as a stream, over fzstd's block decoder. This file walks frames and blocks itself and
 * hands the decoder one block at a time, so that memory is bounded by one window and one block whatever the
 * file claims, skippable and concatenated frames work, and a truncated file is told from a finished one.
 * Content checksums are not verified: damage that still decodes shows as malformed records.
 */
import { Decompress } from "fzstd";

/** Largest window accepted: what `zstd --long=27` writes, and the most that `zstd -d` accepts unasked. */
export const MAX_WINDOW_BYTES = 128 * 2 ** 20;

const FRAME_MAGIC = 0xfd2fb528;
const SKIPPABLE_MAGIC = 0x184d2a50;
const MAX_BLOCK_BYTES = 128 * 1024;

/**
 * Decompresses a stream of one or more frames.
 *
 * @param chunks compressed bytes, in order, cut anywhere
 * @yields decompressed blocks of at most 128 KiB, each in memory of its own
 * @throws Error naming the compressed byte where the stream breaks off or is not Zstandard
 */
export async function* decompressZstd(chunks: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  const input = new ByteQueue(chunks);
  try {
    while (await input.has(1)) {
      const magic = (await input.peek(4, "a frame header")).readUInt32LE(0);
      if ((magic & 0xfffffff0) >>> 0 === SKIPPABLE_MAGIC) {
        const header = await input.take(8, "a skippable frame");
        await input.skip(header.readUInt32LE(4), "a skippable frame");
      } else if (magic === FRAME_MAGIC) {
        yield* decompressFrame(input);
      } else {
        throw new Error(`not Zstandard at compressed byte ${input.consumed}`);
      }
    }
  } finally {
    await input.close();
  }
}

async function* decompressFrame(input: ByteQueue): AsyncGenerator<Buffer> {
  const { header, hasChecksum } = await readFrameHeader(input);
  // The checksum follows the last block and is taken here, so the decoder is told that there is none.
  header[4] &= ~4;
  const decoded: Buffer[] = [];
  const decoder = new Decompress((block) => {
    if (block.length > 0) decoded.push(Buffer.from(block.buffer, block.byteOffset, block.byteLength));
  });
  // The decoder wants a header and the first block in one piece.
  let prefix: Buffer | undefined = header;
  for (;;) {
    const start = input.consumed;
    const blockHeader = (await input.peek(3, "a block")).readUIntLE(0, 3);
    const isLast = (blockHeader & 1) === 1;
    const type = (blockHeader >> 1) & 3;
    const size = blockHeader >> 3;
    if (size > MAX_BLOCK_BYTES || type === 3) {
      throw new Error(`damaged Zstandard block at compressed byte ${start}`);
    }
    const block = await input.take(3 + (type === 1 ? 1 : size), "a block");
    try {
      decoder.push(prefix === undefined ? block : Buffer.concat([prefix, block]), isLast);
    } catch (error) {
      throw new Error(`damaged Zstandard block at compressed byte ${start}`, { cause: error });
    }
    prefix = undefined;
    yield* decoded;
    decoded.length = 0;
    if (isLast) break;
  }
  if (hasChecksum) await input.take(4, "a frame checksum");
}

/** Reads a frame header whole and refuses windows that are too large and dictionaries. */
async function readFrameHeader(input: ByteQueue): Promise<{ header: Buffer; hasChecksum: boolean }> {
  const start = input.consumed;
  const descriptor = (await input.peek(5, "a frame header"))[4];
  const singleSegment = (descriptor >> 5) & 1;
  const contentSizeFlag = descriptor >> 6;
  const dictionaryBytes = [0, 1, 2, 4][descriptor & 3];
  const contentSizeBytes = contentSizeFlag === 0 ? singleSegment : 1 << contentSizeFlag;
  if ((descriptor & 8) !== 0) throw new Error(`damaged Zstandard frame header at compressed byte ${start}`);
  const header = await input.take(6 - singleSegment + dictionaryBytes + contentSizeBytes, "a frame header");
  const dictionary = dictionaryBytes === 0 ? 0 : header.readUIntLE(6 - singleSegment, dictionaryBytes);
  if (dictionary !== 0) {
    throw new Error(`the frame needs dictionary ${dictionary}; compress again without a dictionary`);
  }
  const windowBytes = singleSegment === 1 ? contentSize(header, contentSizeBytes) : windowSize(header[5]);
  if (windowBytes > MAX_WINDOW_BYTES) {
    throw new Error(
      `the frame needs a window of ${windowBytes} bytes, more than ${MAX_WINDOW_BYTES}; compress again with --long=27 or less`,
    );
  }
  return { header: Buffer.from(header), hasChecksum: (descriptor & 4) !== 0 };
}

function windowSize(descriptor: number): number {
  const base = 2 ** (10 + (descriptor >> 3));
  return base + (base / 8) * (descriptor & 7);
}

function contentSize(header: Buffer, bytes: number): number {
  const at = header.length - bytes;
  if (bytes === 8) return Number(header.readBigUInt64LE(at));
  return header.readUIntLE(at, bytes) + (bytes === 2 ? 256 : 0);
}

/** Bytes in order out of chunks of any size. */
class ByteQueue {
  /** Bytes taken so far. */
  consumed = 0;
  private readonly chunks: AsyncIterator<Buffer>;
  private readonly pieces: Buffer[] = [];
  private available = 0;

  constructor(chunks: AsyncIterable<Buffer>) {
    this.chunks = chunks[Symbol.asyncIterator]();
  }

  /** Whether `count` more bytes exist. */
  async has(count: number): Promise<boolean> {
    while (this.available < count) {
      const next = await this.chunks.next();
      if (next.done === true) return false;
      this.pieces.push(next.value);
      this.available += next.value.length;
    }
    return true;
  }

  /** The next `count` bytes, left in place; throws if the stream ends inside `what`. */
  async peek(count: number, what: string): Promise<Buffer> {
    if (!(await this.has(count))) {
      throw new Error(`truncated inside ${what} at compressed byte ${this.consumed + this.available}`);
    }
    if (this.pieces[0].length < count) {
      this.pieces.splice(0, this.pieces.length, Buffer.concat(this.pieces));
    }
    return this.pieces[0].subarray(0, count);
  }

  /** The next `count` bytes, removed; throws like `peek`. */
  async take(count: number, what: string): Promise<Buffer> {
    if (count === 0) return Buffer.alloc(0);
    const bytes = await this.peek(count, what);
    this.drop(count);
    return bytes;
  }

  /** Removes `count` bytes without holding them; throws like `peek`. */
  async skip(count: number, what: string): Promise<void> {
    let left = count;
    while (left > 0) {
      await this.peek(1, what);
      const step = Math.min(left, this.pieces[0].length);
      this.drop(step);
      left -= step;
    }
  }

  /** Releases the source of the chunks. */
  async close(): Promise<void> {
    await this.chunks.return?.();
  }

  private drop(count: number): void {
    const rest = this.pieces[0].subarray(count);
    if (rest.length === 0) this.pieces.shift();
    else this.pieces[0] = rest;
    this.available -= count;
    this.consumed += count;
  }
}
