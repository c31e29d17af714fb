// Doubling of typed arrays: tables of unknown size kept outside JavaScript's heap, so that its limit does not bind them.

/** A copy of `array` with room for at least `length` elements (at least twice as many as before); `array` itself if it has them. */
export function grown<T extends Uint8Array | Int32Array | Uint32Array | Float64Array>(
  array: T,
  length: number,
): T {
  if (length <= array.length) return array;
  const Kind = array.constructor as new (length: number) => T;
  const larger = new Kind(Math.max(length, array.length * 2));
  larger.set(array);
  return larger;
}
