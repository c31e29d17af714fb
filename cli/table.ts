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

/** 1234567 → "1.23 M". */
export function formatCount(value: number): string {
  const units = ["", " k", " M", " G", " T", " P"];
  let unit = 0;
  let scaled = value;
  while (Math.abs(scaled) >= 1000 && unit < units.length - 1) {
    scaled /= 1000;
    unit++;
  }
  const digits = unit === 0 ? (Number.isInteger(scaled) ? 0 : 2) : scaled < 10 ? 2 : scaled < 100 ? 1 : 0;
  return `${scaled.toFixed(digits)}${units[unit]}`;
}
