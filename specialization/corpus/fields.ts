/**
 * From a record's fields to a document: which field holds the text, what a text must be, and what to say
 * when it is not.
 */
import { SKIP_BAD_RECORDS } from "./errors.js";
import { firstLoneSurrogate } from "./utf8.js";

/** Names of the fields a document is made from. */
export interface FieldNames {
  readonly text: string;
  readonly source: string;
  readonly id: string;
}

/** The fields of one document, or what is wrong with the record. */
export type Fields =
  | { readonly text: string; readonly source?: string; readonly id?: string }
  | { readonly fault: string; readonly remedy: string };

/** Takes the named fields out of a record; `source` and `id` may be absent, `text` may not. */
export function readFields(record: Readonly<Record<string, unknown>>, names: FieldNames): Fields {
  if (!Object.hasOwn(record, names.text)) return missingText(Object.keys(record), names.text);
  const text = record[names.text];
  if (typeof text !== "string") {
    return {
      fault: `the field "${names.text}" is ${typeName(text)}, not a string`,
      remedy: `Write the text as a string, or name another text field than "${names.text}"`,
    };
  }
  const surrogate = firstLoneSurrogate(text);
  if (surrogate !== -1) {
    const code = text.charCodeAt(surrogate).toString(16).toUpperCase();
    return {
      fault: `the text is not valid Unicode: a surrogate U+${code} without its partner at character ${surrogate}`,
      remedy: `Write the character whole, or ${SKIP_BAD_RECORDS}`,
    };
  }
  const source = label(record, names.source);
  const id = label(record, names.id);
  return { text, ...(source === undefined ? {} : { source }), ...(id === undefined ? {} : { id }) };
}

/** The fault of a record, or of a table, that has no text field. */
export function missingText(
  present: readonly string[],
  textField: string,
): { fault: string; remedy: string } {
  const shown = present
    .slice(0, 8)
    .map((name) => JSON.stringify(name.slice(0, 40)))
    .join(", ");
  return {
    fault: `there is no field "${textField}"`,
    remedy:
      present.length === 0
        ? `Every record needs a string "${textField}"`
        : `Name the field that holds the text; the record has ${shown}${present.length > 8 ? ", ..." : ""}`,
  };
}

/** Identifiers may be numbers; anything else that is not a string says nothing about provenance. */
function label(record: Readonly<Record<string, unknown>>, name: string): string | undefined {
  if (!Object.hasOwn(record, name)) return undefined;
  const value = record[name];
  if (typeof value === "string") return value;
  return typeof value === "number" || typeof value === "bigint" ? String(value) : undefined;
}

/** What a JSON or Parquet value is, in words. */
export function typeName(value: unknown): string {
  if (value === null || value === undefined) return "null";
  if (Array.isArray(value)) return "an array";
  if (typeof value === "object") return "an object";
  return `a ${typeof value === "bigint" ? "number" : typeof value}`;
}
