// Checks a precompiled normalization map (SentencePiece's nmt_nfkc and its kin), because the `tokenizers` package trusts it and
// brings the whole process down when an offset leads outside. Layout: u32 size of the trie in bytes, a double-array trie of
// u32 units, and the zero-terminated UTF-8 replacements that its leaves point to.
// Source: google/sentencepiece normalizer.cc (layout), s-yata/darts-clone (meaning of a unit's bits).

function offsetOf(unit: number): number {
  return (unit >>> 10) << ((unit & 0x200) >>> 6);
}

/** What is wrong with the map, or undefined when every path through it stays inside. */
export function charsMapProblem(map: Uint8Array): string | undefined {
  if (map.length < 4) return "it is shorter than its header";
  const view = new DataView(map.buffer, map.byteOffset, map.byteLength);
  const trieBytes = view.getUint32(0, true);
  if (trieBytes === 0 || trieBytes % 4 !== 0 || trieBytes > map.length - 4)
    return `its trie is said to have ${trieBytes} bytes of ${map.length - 4}`;
  const unitCount = trieBytes / 4;
  const unitAt = (index: number) => view.getUint32(4 + index * 4, true);
  const replacements = map.subarray(4 + trieBytes);
  try {
    new TextDecoder("utf-8", { fatal: true }).decode(replacements);
  } catch {
    return "its replacements are not UTF-8";
  }
  const seen = new Uint8Array(unitCount);
  const open = [0];
  seen[0] = 1;
  for (let node = open.pop(); node !== undefined; node = open.pop()) {
    const unit = unitAt(node);
    const base = (node ^ offsetOf(unit)) >>> 0;
    // any byte may follow in a text, and the unit it leads to is read before its label is compared
    if ((base | 0xff) >>> 0 >= unitCount) return `unit ${node} of its trie leads outside`;
    if (node !== 0 && (unit & 0x100) !== 0) {
      const start = unitAt(base) & 0x7fffffff;
      if (start > replacements.length || (replacements[start]! & 0xc0) === 0x80)
        return `unit ${node} of its trie points to no replacement`;
    }
    for (let label = 1; label < 256; label++) {
      const child = (base ^ label) >>> 0;
      if (seen[child] === 0 && (unitAt(child) & 0x800000ff) >>> 0 === label) {
        seen[child] = 1;
        open.push(child);
      }
    }
  }
  return undefined;
}
