/**
 * Writes Zstandard frames of raw and run-length blocks (RFC 8878), which any decoder must read: Node 20 has
 * no compressor, and hostile files need exact bytes anyway.
 */

export interface ZstdFrameOptions {
  /** Window descriptor byte; default 2 MiB. */
  readonly windowDescriptor?: number;
  readonly blockBytes?: number;
  /** Appends four bytes as a checksum, which readers may or may not verify. */
  readonly checksum?: boolean;
}

const MAGIC = Buffer.from([0x28, 0xb5, 0x2f, 0xfd]);

/** One frame that holds `content` in raw blocks. */
export function zstdRawFrame(content: Buffer, options: ZstdFrameOptions = {}): Buffer {
  const { windowDescriptor = 0x58, blockBytes = 65536, checksum = false } = options;
  const parts: Buffer[] = [MAGIC, Buffer.from([checksum ? 4 : 0, windowDescriptor])];
  for (let at = 0; at === 0 || at < content.length; at += blockBytes) {
    const block = content.subarray(at, at + blockBytes);
    parts.push(blockHeader(at + blockBytes >= content.length, 0, block.length), block);
  }
  return Buffer.concat(checksum ? [...parts, Buffer.alloc(4)] : parts);
}

/** One frame of `blocks` run-length blocks of 128 KiB of one byte: 4 bytes each. */
export function zstdRunFrame(byte: number, blocks: number): Buffer {
  const parts: Buffer[] = [MAGIC, Buffer.from([0, 0x58])];
  for (let block = 0; block < blocks; block++) {
    parts.push(blockHeader(block === blocks - 1, 1, 128 * 1024), Buffer.from([byte]));
  }
  return Buffer.concat(parts);
}

/** A frame that decoders pass over. */
export function zstdSkippableFrame(content: Buffer): Buffer {
  const header = Buffer.alloc(8);
  header.writeUInt32LE(0x184d2a53, 0);
  header.writeUInt32LE(content.length, 4);
  return Buffer.concat([header, content]);
}

function blockHeader(isLast: boolean, type: number, size: number): Buffer {
  const header = Buffer.alloc(3);
  header.writeUIntLE((size << 3) | (type << 1) | (isLast ? 1 : 0), 0, 3);
  return header;
}
