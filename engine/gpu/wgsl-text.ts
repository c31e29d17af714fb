/** WGSL as text that need not compile: its comments, its entry points, and the places in it. */

/** A line and a column, both counted from 1. */
export interface Place {
  readonly line: number;
  readonly column: number;
}

/** Start and end of every comment. */
export function* commentsOf(source: string): Generator<{ readonly start: number; readonly end: number }> {
  let position = 0;
  for (;;) {
    const start = source.slice(position).search(/\/[/*]/) + position;
    if (start < position) return;
    const end = source[start + 1] === "/" ? lineEnd(source, start) : blockEnd(source, start);
    yield { start, end };
    position = end;
  }
}

/** Source with comments replaced by blanks of the same length, so that positions stay. */
export function blankComments(source: string): string {
  let blanked = "";
  let position = 0;
  for (const { start, end } of commentsOf(source)) {
    blanked += source.slice(position, start) + source.slice(start, end).replace(/[^\n]/g, " ");
    position = end;
  }
  return blanked + source.slice(position);
}

function lineEnd(source: string, start: number): number {
  const end = source.indexOf("\n", start);
  return end < 0 ? source.length : end;
}

/** Where the block comment at `start` ends; in WGSL block comments nest. */
function blockEnd(source: string, start: number): number {
  let depth = 0;
  for (const mark of source.slice(start).matchAll(/\/\*|\*\//g)) {
    depth += mark[0] === "/*" ? 1 : -1;
    if (depth === 0) return start + mark.index + 2;
  }
  return source.length;
}

/** The offset of a place. */
export function offsetOf(text: string, { line, column }: Place): number {
  let start = 0;
  for (let n = 1; n < line; n++) {
    const end = text.indexOf("\n", start);
    if (end < 0) break;
    start = end + 1;
  }
  return start + column - 1;
}

/** The place of an offset. */
export function placeAt(text: string, offset: number): Place {
  const start = offset === 0 ? 0 : text.lastIndexOf("\n", offset - 1) + 1;
  return { line: text.slice(0, offset).split("\n").length, column: offset - start + 1 };
}

/** A compute entry point of a text: from its first attribute to the end of its name, as offsets. */
export interface EntryPointRange {
  readonly name: string;
  readonly start: number;
  readonly end: number;
}

/** The module-scope functions that are compute entry points, in the order of the text. */
export function entryPointRanges(source: string): EntryPointRange[] {
  return [...blankComments(source).matchAll(/@compute\b[^;{}]*?\bfn\s+(\w+)/g)].map(
    ({ 0: { length }, 1: name, index: start }) => ({ name, start, end: start + length }),
  );
}

/** Their names. */
export function entryPoints(source: string): string[] {
  return entryPointRanges(source).map(({ name }) => name);
}

/** Where the line of an entry point begins; the first line where there is none of the name. */
export function placeOfEntryPoint(source: string, name: string): Place {
  const { line } = placeAt(source, new RegExp(`\\bfn\\s+${name}\\b`).exec(blankComments(source))?.index ?? 0);
  const shown = source.split("\n")[line - 1];
  return { line, column: shown.length - shown.trimStart().length + 1 };
}

/** Where the name of a module-scope `var` is declared; the first line where there is none of the name. */
export function placeOfBinding(source: string, name: string): Place {
  const pattern = new RegExp(`\\bvar\\s*(?:<[^>]*>)?\\s*(?=${name}\\b)`);
  const match = pattern.exec(blankComments(source));
  return placeAt(source, match ? match.index + match[0].length : 0);
}
