/** The line of a file at which a document of a corpus stands, or the part of it that is meant. */
import { readFile, stat } from "node:fs/promises";
import { basename } from "node:path";
import type { SourcePlace } from "../shared/protocol.js";

/** VS Code does not open larger text files for extensions. */
const MOST_BYTES = 50 * 2 ** 20;
const NEWLINE = 10;

/** From 1. @throws Error naming a file that is gone, or that no editor shows */
export async function sourceLine({ path, offset, lines = 0 }: SourcePlace): Promise<number> {
  if (/\.(gz|zst|parquet|bin)$/.test(path))
    throw new Error(`${path}: is compressed or a table, which no text editor shows. Its text is shown here.`);
  const { size } = await stat(path).catch(() => {
    throw new Error(`${path}: is not there any more. Bring it back, or make the clusters again.`);
  });
  if (size > MOST_BYTES)
    throw new Error(`${path}: is too large for the editor. The text of ${basename(path)} is shown here.`);
  const bytes = await readFile(path);
  let line = 1;
  for (let at = bytes.indexOf(NEWLINE); at >= 0 && at < offset; at = bytes.indexOf(NEWLINE, at + 1)) line++;
  const [blank, first] = begin(bytes.toString("utf8", offset, recordEnd(bytes, offset)));
  /* separated documents lose the blank lines around them; a whole file keeps them */
  if (offset > 0) line += blank;
  /* a record of JSON lines stands on one line, whatever line breaks its text has */
  return isObject(first) ? line : line + lines;
}

/** Behind the first line with text at or after an offset. */
function recordEnd(bytes: Buffer, offset: number): number {
  for (let at = offset; at < bytes.length; ) {
    const found = bytes.indexOf(NEWLINE, at);
    const end = found < 0 ? bytes.length : found;
    if (bytes.toString("utf8", at, end).trim() !== "") return end;
    at = end + 1;
  }
  return bytes.length;
}

/** Blank lines at the beginning of a text, and the first that is not. */
function begin(text: string): [number, string] {
  const lines = text.split("\n");
  const at = lines.findIndex((line) => line.trim() !== "");
  return at < 0 ? [0, ""] : [at, lines[at]];
}

function isObject(text: string): boolean {
  if (!text.trimStart().startsWith("{")) return false;
  try {
    return typeof JSON.parse(text) === "object";
  } catch {
    return false;
  }
}
