// Random texts for property tests: words, blanks of every kind, control characters, emoji, combining marks, scripts of several
// byte lengths and, on request, lone surrogates.

/** A generator of numbers in [0, 1) with a fixed sequence for a seed (mulberry32). */
export function randomNumbers(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

const FRAGMENTS = [
  ..."the, of. and' 's 't don't I'll WE'RE 123 3.14 0x7F # ## ()[]{} -- _ a b z".split(" "),
  ..." |  |   |\n|\n\n|\t|\r\n|\u00a0|\u0085|\ufeff|\u2003|\u3000|\u200b|\u2028".split("|"),
  ...[
    "👋",
    "👋🏽",
    "👨‍👩‍👧",
    "🇫🇷",
    "é",
    "e\u0301",
    "ß",
    "日本語",
    "Ελλάδα",
    "русский",
    "עברית",
    "हिन्दी",
    "ﬁ",
    "①",
    "½",
    "٣",
  ],
  ...["\0", "\x01", "\x1b[0m", "\x7f", "\u0600", "\uffff", "\u{10ffff}", "<|endoftext|>", "<s>", "▁", "Ġ"],
];

/** `count` texts; the same for the same seed. */
export function randomText(seed: number, count: number, { loneSurrogates = false } = {}): string[] {
  const next = randomNumbers(seed);
  const integer = (below: number) => Math.floor(next() * below);
  const fragment = (): string => {
    const kind = next();
    if (kind < 0.5) return FRAGMENTS[integer(FRAGMENTS.length)]!;
    if (kind < 0.6) return " ";
    if (kind < 0.8) return String.fromCharCode(97 + integer(26)).repeat(1 + integer(3));
    if (kind < 0.9) return String.fromCharCode(integer(0x800));
    if (loneSurrogates && kind < 0.95) return String.fromCharCode(0xd800 + integer(0x800));
    // assigned long ago: Unicode versions differ on younger characters
    return String.fromCodePoint(
      [0x4e00 + integer(0x5000), 0x1f600 + integer(64), 0xac00 + integer(0x2ba0)][integer(3)]!,
    );
  };
  return Array.from({ length: count }, () => Array.from({ length: integer(40) }, fragment).join(""));
}
