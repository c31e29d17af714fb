/**
 * What the corpus tests share: folders that are removed at the end, and a corpus read to its end.
 */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import type { TestContext } from "node:test";
import { fileURLToPath } from "node:url";
import {
  type Corpus,
  type CorpusError,
  type CorpusOptions,
  type CorpusReport,
  type Document,
  openCorpus,
  type ReadingOptions,
} from "../../../specialization/corpus/index.js";

/** The checkout, seen from dist/test/specialization/corpus. */
export const CHECKOUT = fileURLToPath(new URL("../../../../", import.meta.url));

/** Files kept beside the tests. */
export const TEST_DATA = join(CHECKOUT, "test/specialization/corpus/data");

/** A folder of its own for a test, with these files; removed when the test ends. */
export function scratch(test: TestContext, files: Record<string, string | Uint8Array> = {}): string {
  const folder = mkdtempSync(join(tmpdir(), "slm-corpus-"));
  test.after(() => rmSync(folder, { recursive: true, force: true }));
  for (const [name, content] of Object.entries(files)) {
    const path = join(folder, name);
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, content);
  }
  return folder;
}

export interface Reading {
  readonly documents: Document[];
  readonly texts: string[];
  readonly report: CorpusReport;
}

/** Reads a corpus to its end. */
export async function readAll(corpus: Corpus | CorpusOptions, options?: ReadingOptions): Promise<Reading> {
  const opened = "documents" in corpus ? corpus : openCorpus(corpus);
  const stream = opened.documents(options);
  const documents: Document[] = [];
  for await (const document of stream) documents.push(document);
  return { documents, texts: documents.map(({ text }) => text), report: stream.report };
}

/** The error a reading ends in; throws if it ends in none. */
export async function readingError(options: CorpusOptions, reading?: ReadingOptions): Promise<CorpusError> {
  try {
    await readAll(options, reading);
  } catch (error) {
    return error as CorpusError;
  }
  throw new Error("the corpus was read without an error");
}

/** JSON Lines of these values. */
export function lines(...values: readonly unknown[]): string {
  return values.map((value) => `${JSON.stringify(value)}\n`).join("");
}
