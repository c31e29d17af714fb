/** Indices of at most so many of `count` things, evenly spaced from the first to the last; of only one, the last. */
export function evenly(count: number, most: number): number[] {
  const length = Math.min(count, most);
  if (length <= 1) return length === 1 ? [count - 1] : [];
  return Array.from({ length }, (_, at) => Math.round((at * (count - 1)) / (length - 1)));
}
