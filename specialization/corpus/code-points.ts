/**
 * The order of file names: by code point, the same on every machine and in every locale. (JavaScript's own
 * comparison of strings is by UTF-16 unit, which differs above U+FFFF.)
 */

/** Negative, zero or positive as `left` comes before, equals or comes after `right`. */
export function compareCodePoints(left: string, right: string): number {
  const length = Math.min(left.length, right.length);
  for (let index = 0; index < length; index++) {
    const a = left.charCodeAt(index);
    const b = right.charCodeAt(index);
    if (a === b) continue;
    // A surrogate stands for a code point above every other UTF-16 unit.
    const isHigh = (unit: number) => unit >= 0xd800 && unit <= 0xdfff;
    if (isHigh(a) !== isHigh(b)) return isHigh(a) ? 1 : -1;
    return a - b;
  }
  return left.length - right.length;
}
