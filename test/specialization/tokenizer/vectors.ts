// Reads the stored vectors: files of other implementations and the ids those implementations give.

import { mkdir, readFile, writeFile } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { gunzipSync } from "node:zlib";

// compiled tests run from dist/, the vectors stay beside the sources
const root = fileURLToPath(new URL("../../../../test/specialization/tokenizer/vectors/", import.meta.url));

/** One text and what another implementation makes of it. */
export interface Vector {
  text: string;
  ids: number[];
  decoded?: string;
}

/** The content of a stored file, such as `gpt2/vocab.bpe`. */
export async function stored(name: string): Promise<Buffer> {
  return gunzipSync(await readFile(join(root, `${name}.gz`)));
}

/** The lines of a stored vectors file. */
export async function vectors(name: string): Promise<Vector[]> {
  const lines = (await stored(name)).toString("utf8").split("\n");
  return lines.filter((line) => line !== "").map((line) => JSON.parse(line) as Vector);
}

/** Writes stored files, under their own names, into `folder`. */
export async function unpack(folder: string, ...names: string[]): Promise<void> {
  for (const name of names) {
    const path = join(folder, basename(name));
    await mkdir(dirname(path), { recursive: true });
    await writeFile(path, await stored(name));
  }
}
