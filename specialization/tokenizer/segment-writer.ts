// Writes one segment under a temporary name and gives it its own name when it is whole and on disk.

import { createHash } from "node:crypto";
import { type FileHandle, open, rename } from "node:fs/promises";
import {
  DOCUMENT_BYTES,
  type DocumentPosition,
  documentsAt,
  HEADER_BYTES,
  NO_SOURCE,
  type SegmentHeader,
  writeHeader,
} from "./segment.js";

const STAGED_BYTES = 1 << 20;

export class SegmentWriter {
  readonly #handle: FileHandle;
  readonly #temporary: string;
  readonly #header: Omit<SegmentHeader, "namesBytes" | "checksum">;
  readonly #hash = createHash("sha256");
  /** Tokens on their way to the file. */
  readonly #staged: Uint16Array | Uint32Array;
  #stagedLength = 0;
  #closed = false;
  #position = HEADER_BYTES;
  #documents = Buffer.alloc(1 << 16);
  readonly #shards = new Map<string, number>();
  readonly #sources = new Map<string, number>();

  private constructor(
    handle: FileHandle,
    temporary: string,
    header: Omit<SegmentHeader, "namesBytes" | "checksum">,
  ) {
    this.#handle = handle;
    this.#temporary = temporary;
    this.#header = header;
    this.#staged =
      header.tokenBytes === 2 ? new Uint16Array(STAGED_BYTES / 2) : new Uint32Array(STAGED_BYTES / 4);
  }

  /** Begins a segment that follows `firstToken` tokens and `firstDocument` documents. */
  static async create(
    temporary: string,
    place: { tokenBytes: 2 | 4; vocabularySize: number; firstToken: number; firstDocument: number },
  ): Promise<SegmentWriter> {
    const handle = await open(temporary, "w");
    return new SegmentWriter(handle, temporary, { ...place, tokenCount: 0, documentCount: 0 });
  }

  get tokenCount(): number {
    return this.#header.tokenCount;
  }
  get documentCount(): number {
    return this.#header.documentCount;
  }
  /** Number of the token that follows this segment. */
  get nextToken(): number {
    return this.#header.firstToken + this.#header.tokenCount;
  }
  get nextDocument(): number {
    return this.#header.firstDocument + this.#header.documentCount;
  }

  /** Adds a document: its tokens and the token that ends it. */
  async append(
    tokens: Uint32Array,
    end: number,
    from: DocumentPosition & { source?: string },
  ): Promise<void> {
    const at = this.#header.documentCount * DOCUMENT_BYTES;
    if (at === this.#documents.length) this.#documents = Buffer.concat([this.#documents, Buffer.alloc(at)]);
    const record = this.#documents;
    record.writeDoubleLE(this.nextToken, at);
    record.writeDoubleLE(from.offset, at + 8);
    record.writeUInt32LE(tokens.length + 1, at + 16);
    record.writeUInt32LE(numbered(this.#shards, from.shard), at + 20);
    record.writeUInt32LE(
      from.source === undefined ? NO_SOURCE : numbered(this.#sources, from.source),
      at + 24,
    );
    this.#header.documentCount++;
    this.#header.tokenCount += tokens.length + 1;
    for (let done = 0; done < tokens.length; ) {
      if (this.#stagedLength === this.#staged.length) await this.#flush();
      const part = tokens.subarray(done, done + this.#staged.length - this.#stagedLength);
      this.#staged.set(part, this.#stagedLength);
      this.#stagedLength += part.length;
      done += part.length;
    }
    if (this.#stagedLength === this.#staged.length) await this.#flush();
    this.#staged[this.#stagedLength++] = end;
  }

  /** Completes the file and moves it to `path`; returns its header. */
  async finish(path: string, identity: string, next: DocumentPosition | null): Promise<SegmentHeader> {
    await this.#flush();
    await this.#write(Buffer.alloc(documentsAt(this.#header) - this.#position));
    await this.#write(this.#documents.subarray(0, this.#header.documentCount * DOCUMENT_BYTES));
    const names = { identity, shards: [...this.#shards.keys()], sources: [...this.#sources.keys()], next };
    const json = Buffer.from(JSON.stringify(names));
    await this.#write(json);
    const header = { ...this.#header, namesBytes: json.length, checksum: this.#hash.digest() };
    await this.#handle.write(writeHeader(header), 0, HEADER_BYTES, 0);
    await this.#handle.sync();
    await this.close();
    await rename(this.#temporary, path);
    return header;
  }

  /** Closes the file. Unfinished, it stays under its temporary name and is written over by the next attempt. */
  async close(): Promise<void> {
    if (!this.#closed) await this.#handle.close();
    this.#closed = true;
  }

  async #flush(): Promise<void> {
    const { buffer, byteOffset, BYTES_PER_ELEMENT } = this.#staged;
    const length = this.#stagedLength * BYTES_PER_ELEMENT;
    this.#stagedLength = 0;
    await this.#write(Buffer.from(buffer, byteOffset, length));
  }

  async #write(bytes: Buffer): Promise<void> {
    this.#hash.update(bytes);
    for (let done = 0; done < bytes.length; ) {
      const { bytesWritten } = await this.#handle.write(bytes, done, bytes.length - done, this.#position);
      done += bytesWritten;
      this.#position += bytesWritten;
    }
  }
}

function numbered(names: Map<string, number>, name: string): number {
  let number = names.get(name);
  if (number === undefined) {
    number = names.size;
    names.set(name, number);
  }
  return number;
}
