/** Plain text tables for the terminal. */

export interface Column<T> {
  readonly title: string;
  readonly align?: "left" | "right";
  text(row: T): string;
}

/** Lines of a table: a header, then one line a row, columns padded to their widest cell. */
export function formatTable<T>(columns: readonly Column<T>[], rows: readonly T[]): string {
  const cells = [columns.map((c) => c.title), ...rows.map((row) => columns.map((c) => c.text(row)))];
  const widths = columns.map((_, i) => Math.max(...cells.map((line) => line[i].length)));
  return cells
    .map((line) =>
      line
        .map((cell, i) => (columns[i].align === "right" ? cell.padStart(widths[i]) : cell.padEnd(widths[i])))
        .join("  ")
        .trimEnd(),
    )
    .join("\n");
}

/** 1234567 → "1.23 M"; with a unit, which the letter belongs to, "1.23 MFLOP", and 12 → "12 FLOP". */
export function formatCount(value: number, unit = ""): string {
  const letters = ["", "k", "M", "G", "T", "P"];
  let power = 0;
  let scaled = value;
  while (Math.abs(scaled) >= 1000 && power < letters.length - 1) {
    scaled /= 1000;
    power++;
  }
  const digits = power === 0 ? (Number.isInteger(scaled) ? 0 : 2) : scaled < 10 ? 2 : scaled < 100 ? 1 : 0;
  const suffix = `${letters[power]}${unit}`;
  return `${scaled.toFixed(digits)}${suffix === "" ? "" : ` ${suffix}`}`;
}
