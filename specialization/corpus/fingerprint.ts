/**
 * Fingerprints of texts: equal texts, up to Unicode form and white space, have equal fingerprints on every
 * machine, and different ones differ but for a chance of 2^-64.
 */
import { createHash } from "node:crypto";

/** The text in Unicode normal form C, with every run of white space as one space and none at the ends. */
export function normalizeText(text: string): string {
  // Equal to replacing /\s+/g, and much faster, since most runs are one space already.
  return text
    .normalize("NFC")
    .replace(/[^\S ]\s*| \s+/g, " ")
    .trim();
}

/** The first 64 bits of SHA-256 of `salt` and the text, as two unsigned 32-bit integers. */
export function fingerprint(text: string, salt = ""): readonly [high: number, low: number] {
  const hash = createHash("sha256");
  // The length first, so that no salt and text can be taken for another salt and text.
  if (salt !== "") hash.update(`${Buffer.byteLength(salt)}:${salt}`);
  const digest = hash.update(text).digest();
  return [digest.readUInt32BE(0), digest.readUInt32BE(4)];
}
