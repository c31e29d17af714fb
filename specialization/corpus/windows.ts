/**
 * Cuts a document's tokens into non-overlapping windows of at most `context` tokens, the remainder included:
 * every token is in exactly one window, in order.
 */

/** Token identifiers, in memory or mapped from a shard. */
export type TokenArray = Uint16Array | Uint32Array;

/**
 * Windows over `tokens`, as views on the same memory.
 *
 * @param context most tokens in a window, a positive integer; throws RangeError otherwise
 * @returns ceil(tokens.length / context) windows; all but the last hold exactly `context` tokens
 */
export function tokenWindows<Tokens extends TokenArray>(tokens: Tokens, context: number): Tokens[] {
  const windows: Tokens[] = [];
  for (const [start, end] of windowBounds(tokens.length, context)) {
    windows.push(tokens.subarray(start, end) as Tokens);
  }
  return windows;
}

/** Bounds [start, end) of the windows of a document with `length` tokens; `context` as in `tokenWindows`. */
export function* windowBounds(length: number, context: number): Generator<[start: number, end: number]> {
  if (!Number.isSafeInteger(context) || context < 1) {
    throw new RangeError(`the context must be a positive whole number of tokens, not ${context}`);
  }
  for (let start = 0; start < length; start += context) {
    yield [start, Math.min(start + context, length)];
  }
}
