// GPT-2's printable alphabet: one visible character for each of the 256 bytes, so that byte-level tokens can be
// written as strings in tokenizer.json. Bytes that are printable in Latin-1 stand for themselves, the others follow U+0100.
// Source: Radford et al. 2019, "Language Models are Unsupervised Multitask Learners" (bytes_to_unicode).

function isPrintable(byte: number): boolean {
  return (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || (byte >= 0xae && byte <= 0xff);
}

/** The character that stands for each byte. */
export const byteCharacters: readonly string[] = (() => {
  let next = 0x100;
  return Array.from({ length: 256 }, (_, byte) => String.fromCharCode(isPrintable(byte) ? byte : next++));
})();

/** The byte that each character stands for. */
export const characterBytes: ReadonlyMap<string, number> = new Map(
  byteCharacters.map((character, byte) => [character, byte]),
);

/** The bytes in the order of their characters' code points: the order in which trained vocabularies list them. */
export const alphabetOrder: readonly number[] = Array.from({ length: 256 }, (_, byte) => byte).sort(
  (a, b) => byteCharacters[a]!.charCodeAt(0) - byteCharacters[b]!.charCodeAt(0),
);

/** The bytes a byte-level token stands for; the UTF-8 bytes of the token itself when it is not in the alphabet. */
export function tokenBytes(token: string): Uint8Array {
  const bytes = new Uint8Array(token.length);
  for (let i = 0; i < token.length; i++) {
    const byte = characterBytes.get(token[i]!);
    if (byte === undefined) return new TextEncoder().encode(token);
    bytes[i] = byte;
  }
  return bytes;
}
