/**
 * Strict UTF-8: text is decoded only when every byte of it is valid, because a decoder that puts U+FFFD in
 * place of bad bytes would train the model on damage without telling anyone.
 */

import { isUtf8 } from "node:buffer";
import { SKIP_BAD_RECORDS } from "./errors.js";

/** Index of the first byte that is not part of valid UTF-8 (RFC 3629), or -1. */
export function firstInvalidByte(bytes: Uint8Array): number {
  if (isUtf8(bytes)) return -1;
  let index = 0;
  while (index < bytes.length) {
    const length = sequenceLength(bytes, index);
    if (length === 0) return index;
    index += length;
  }
  return -1;
}

/** Bytes in the well-formed sequence at `index` (Unicode standard, table 3-7), or 0 if there is none. */
function sequenceLength(bytes: Uint8Array, index: number): number {
  const lead = bytes[index];
  if (lead < 0x80) return 1;
  const continues = (at: number, low = 0x80, high = 0xbf) =>
    at < bytes.length && bytes[at] >= low && bytes[at] <= high;
  if (lead >= 0xc2 && lead <= 0xdf) return continues(index + 1) ? 2 : 0;
  if (lead >= 0xe0 && lead <= 0xef) {
    const low = lead === 0xe0 ? 0xa0 : 0x80;
    const high = lead === 0xed ? 0x9f : 0xbf;
    return continues(index + 1, low, high) && continues(index + 2) ? 3 : 0;
  }
  if (lead >= 0xf0 && lead <= 0xf4) {
    const low = lead === 0xf0 ? 0x90 : 0x80;
    const high = lead === 0xf4 ? 0x8f : 0xbf;
    return continues(index + 1, low, high) && continues(index + 2) && continues(index + 3) ? 4 : 0;
  }
  return 0;
}

/** What is wrong with the bytes at `index`, and how to mend the file. */
export function invalidUtf8(bytes: Uint8Array, index: number): { reason: string; remedy: string } {
  const shown = Buffer.from(bytes.subarray(index, index + 4))
    .toString("hex")
    .replace(/(..)(?=.)/g, "$1 ");
  const utf16 = (bytes[0] === 0xff && bytes[1] === 0xfe) || (bytes[0] === 0xfe && bytes[1] === 0xff);
  if (utf16) {
    return { reason: "the text is UTF-16, not UTF-8", remedy: "Convert it: iconv -f UTF-16 -t UTF-8" };
  }
  return {
    reason: `invalid UTF-8 (bytes ${shown})`,
    remedy: `Convert the file to UTF-8 (iconv -f <encoding> -t UTF-8), or ${SKIP_BAD_RECORDS}`,
  };
}

/** The bytes after a UTF-8 byte order mark, if there is one. */
export function withoutByteOrderMark(bytes: Buffer): Buffer {
  return bytes.length >= 3 && bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf
    ? bytes.subarray(3)
    : bytes;
}

/** Index of the first surrogate that has no partner, or -1: such a string has no UTF-8 form. */
export function firstLoneSurrogate(text: string): number {
  // ES2024, in every supported Node, not yet in the compiler's ES2023 library.
  if ((text as string & { isWellFormed(): boolean }).isWellFormed()) return -1;
  return text.search(/\p{Surrogate}/u);
}
