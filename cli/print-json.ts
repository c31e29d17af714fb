/** Prints what `--json` promises: one value on standard output, indented. */
export function printJson(value: unknown): void {
  console.log(JSON.stringify(value, null, 2));
}
