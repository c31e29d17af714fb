/** A first forge.yaml for someone's files: looks at them, and writes what fits them with a word about every choice. */
import { stringify } from "yaml";
import { CorpusError, type Document, openCorpus } from "../corpus/index.js";
import { PRESETS, parameterCount } from "../models/architecture.js";
import { formatQuantity } from "../planner/index.js";

/** What was seen of a set of files. */
export interface FilesFound {
  readonly paths: readonly string[];
  readonly documents: number;
  /** UTF-8 bytes of the text. */
  readonly bytes: number;
  /** Whether reading stopped before the end: there is more. */
  readonly more: boolean;
  /** Field of the records that holds the text. */
  readonly textField: string;
}

/** Names that text goes by, in records of others. */
const TEXT_FIELDS = ["text", "content", "body", "document", "article", "code", "abstract", "message"];
/** No more is read: enough to choose by. */
const MOST_DOCUMENTS = 50_000;
const MOST_BYTES = 256e6;

/** Files of one set of text, and what to call them in messages. */
export interface FileSet {
  readonly name: string;
  readonly paths: readonly string[];
}

/**
 * The field under which the records of all sets have their text, since a job reads all of it under one; files of plain
 * text have none and fit any.
 * @throws CorpusError for a set that has none of the usual names, Error where the sets differ
 */
export async function commonTextField(sets: readonly FileSet[]): Promise<string> {
  const found: { readonly name: string; readonly fields: readonly string[] }[] = [];
  for (const set of sets) found.push({ name: set.name, fields: await fieldsOf(set) });
  const common = TEXT_FIELDS.find((field) => found.every(({ fields }) => fields.includes(field)));
  if (common !== undefined) return common;
  const seen = found.map(({ name, fields }) => `${name} has ${fields.map((f) => `"${f}"`).join(" and ")}`);
  throw new Error(
    `The text lies in fields of other names: ${seen.join(", ")}. A job reads all of it under one name; rename the field in some.`,
  );
}

/** The usual names under which the first record of a set has text. */
async function fieldsOf({ name, paths }: FileSet): Promise<string[]> {
  const fields: string[] = [];
  let first: CorpusError | undefined;
  for (const textField of TEXT_FIELDS) {
    try {
      for await (const _ of openCorpus({ name, paths, textField }).documents()) break;
      fields.push(textField);
    } catch (error) {
      if (!(error instanceof CorpusError)) throw error;
      first ??= error;
    }
  }
  if (fields.length === 0) throw first;
  return fields;
}

/** Reads files, or the beginning of many. @throws CorpusError when they cannot be read */
export async function lookAt({ name, paths }: FileSet, textField: string): Promise<FilesFound> {
  return { paths, textField, ...(await count(openCorpus({ name, paths, textField }).documents())) };
}

async function count(
  documents: AsyncIterable<Document>,
): Promise<Pick<FilesFound, "documents" | "bytes" | "more">> {
  let [number, bytes] = [0, 0];
  for await (const { text } of documents) {
    number += 1;
    bytes += Buffer.byteLength(text);
    if (number >= MOST_DOCUMENTS || bytes >= MOST_BYTES) return { documents: number, bytes, more: true };
  }
  return { documents: number, bytes, more: false };
}

/** Every set has been read under the same field. */
export interface InitRequest {
  readonly name: string;
  /** Undefined where there is none yet. */
  readonly corpus: FilesFound | undefined;
  readonly domains: Readonly<
    Record<string, { readonly train: FilesFound; readonly validation?: FilesFound }>
  >;
}

/** Documents of generic text to evaluate on, at least. */
const WANTED_HELD_OUT = 30;

/** Stands for a corpus that is still to be found. */
export const MISSING_CORPUS = "path/to/much/text";

/** The text of a forge.yaml. */
export function forgeTemplate({ name, corpus, domains }: InitRequest): string {
  const k = clustersFor(corpus?.documents ?? 10_000);
  /* of a small corpus the usual hundredth would be nothing */
  const share = Math.ceil((100 * WANTED_HELD_OUT) / (corpus?.documents ?? Number.POSITIVE_INFINITY)) / 100;
  const holdOut = share > 0.01 ? Math.min(0.3, share) : undefined;
  const experts = Math.max(4, Math.min(16, k / 4));
  const { textField } = corpus ?? Object.values(domains)[0].train;
  const lines = [
    "# A job of slm-forge: from text to small models that know your domain.",
    "#   slm config check FILE    every key with its default, and what is wrong",
    "#   slm run FILE --dry-run   what the text is like and what training would cost; trains nothing",
    "#   slm run FILE             everything; Ctrl-C stops, the same command goes on",
    "# All keys: docs/forge.md, or slm config reference forge",
    "",
    `name: ${inline([name])}`,
    "seed: 1",
    "",
    "# slm: one small model on all of the generic text, fine-tuned for each domain.",
    "# slm-is: a small model for each domain on generic text that is resampled to look like it.",
    "# slm-pn: one network for all domains that gives a small model for each cluster of the generic text.",
    "# Others: slm-nopt, slm-mix, slm-d, llm, llm-lora (the last three need largeModel).",
    "methods: [slm, slm-is, slm-pn]",
    "",
    `# Much general text${corpus ? `: ${describe(corpus)}` : ", in which something like your domain occurs. TO BE FILLED IN"}.`,
    "corpus:",
    `  train: ${inline(corpus?.paths ?? [MISSING_CORPUS])}`,
    ...(textField === "text" ? [] : [`  textField: ${textField}`]),
    ...(holdOut === undefined ? [] : [`  holdOut: ${holdOut} # share of its documents to evaluate on`]),
    "",
    "# Little text of your own; a part of it is held out to stop and to test by, unless validation names other files.",
    "domains:",
    ...Object.entries(domains).flatMap(([domain, { train, validation }]) => [
      `  ${inline([domain])}: # ${describe(train)}`,
      `    train: ${inline(train.paths)}`,
      ...(validation ? [`    validation: ${inline(validation.paths)} # ${describe(validation)}`] : []),
      ...(isScarce(train)
        ? ["    # This is very little: more documents would help more than any setting."]
        : []),
    ]),
    "",
    "# Alike documents are found by their words. A sentence encoder (embeddings: { kind: encoder }) or vectors of your own",
    "# (embeddings: { kind: given }, and vectors: FILE.npy beside every train) can do it as well.",
    "",
    "# Alike documents of the corpus together; more clusters aim better, but need more domain text to aim by.",
    "clusters:",
    `  k: ${k}`,
    "",
    ...(Object.values(domains).some(({ train }) => isScarce(train))
      ? [
          "# Very little text says little of where it lies; smoothing moves its histogram towards the generic one.",
          "sampling:",
          "  smoothing: dirichlet",
          "",
        ]
      : []),
    `# tiny (${millions("tiny")} M parameters) trains on a CPU, mini (${millions("mini")} M) on any GPU in minutes, slm-126m is the paper's.`,
    "model:",
    "  preset: tiny",
    "",
    "projection:",
    `  experts: ${experts}`,
    "",
    "# The longer, the better; slm run FILE --dry-run tells how long that takes here.",
    "pretraining:",
    "  budget: { steps: 2000 }",
    "",
    `output: { folder: ${inline([name])} }`,
  ];
  return `${lines.join("\n")}\n`;
}

/** A cluster should hold tens of documents. */
function clustersFor(documents: number): number {
  return Math.max(4, Math.min(256, 2 ** Math.round(Math.log2(documents / 100))));
}

function millions(preset: keyof typeof PRESETS): string {
  const { architecture, vocabulary } = PRESETS[preset];
  return (parameterCount({ ...architecture, vocabulary }) / 1e6).toPrecision(2);
}

/** Whether a histogram and a held-out part can hardly be made of it. */
function isScarce({ documents }: FilesFound): boolean {
  return documents < 20;
}

function describe({ documents, bytes, more }: FilesFound): string {
  const count = `${documents} ${documents === 1 ? "document" : "documents"}`;
  return `${more ? "more than " : ""}${count}, ${formatQuantity(bytes, "bytes")}`;
}

/** Texts as YAML has them within a line, quoted where they would be taken for a number or the like. */
function inline(texts: readonly string[]): string {
  return stringify(texts.length === 1 ? texts[0] : texts, { collectionStyle: "flow", lineWidth: 0 }).trim();
}
