/** A configuration as a form: sections and fields out of the schema, with what the file says in them. */
import {
  allowedValues,
  dotted,
  expectationOf,
  groupOf,
  type KeyPath,
  listOf,
  namesOf,
  nodeAt,
  type SchemaNode,
} from "./schema.js";

/** How a field is edited. Texts that stand for values go through `parsedValue`. */
export type Control =
  | { readonly kind: "choice"; readonly options: readonly string[] }
  | { readonly kind: "several"; readonly options: readonly string[] }
  | { readonly kind: "line"; readonly suggestions: readonly string[] }
  /** One entry a line. */
  | { readonly kind: "lines" };

export interface FormField {
  readonly path: KeyPath;
  /** Dotted; names the field in messages and in the page. */
  readonly id: string;
  readonly name: string;
  readonly description: string;
  readonly expectation: string;
  readonly control: Control;
  readonly isRequired: boolean;
  /** Undefined when the file does not say. */
  readonly value: unknown;
  /** Undefined when there is none, or it depends on other keys, which the description tells. */
  readonly standard: unknown;
  /** Whether the file says something else than the default. */
  readonly differs: boolean;
}

export interface FormSection {
  readonly path: KeyPath;
  readonly id: string;
  readonly title: string;
  readonly description: string;
  /** 0 for keys and groups of the file, 1 and more for groups inside. */
  readonly level: number;
  readonly fields: readonly FormField[];
  /** Whether names of one's own are added here, and what stands behind a new one. */
  readonly addition: { readonly pattern: string | undefined; readonly value: unknown } | undefined;
  /** Whether the section as a whole is a name of one's own, to be removed. */
  readonly isRemovable: boolean;
}

/** The form of a file: its single keys first, then a section for each group. */
export function formOf(schema: SchemaNode, values: unknown): FormSection[] {
  const top = sectionOf([], schema, values, 0, false);
  return [
    { ...top, title: "General", description: schema.description ?? "" },
    ...nested([], schema, values, 0),
  ];
}

function nested(path: KeyPath, node: SchemaNode, values: unknown, level: number): FormSection[] {
  return Object.entries(groupOf(node)?.properties ?? {}).flatMap(([name, child]) => {
    const at = [...path, name];
    if (groupOf(child) !== undefined)
      return [sectionOf(at, child, values, level, false), ...nested(at, child, values, level + 1)];
    const names = namesOf(child);
    if (names === undefined) return [];
    const section = sectionOf(at, child, values, level, false);
    if (groupOf(names.names) === undefined) return [section];
    const own = namesIn(values, at).flatMap((each) => {
      const inside = [...at, each];
      return [
        sectionOf(inside, names.names, values, level + 1, true),
        ...nested(inside, names.names, values, level + 2),
      ];
    });
    return [section, ...own];
  });
}

function sectionOf(
  path: KeyPath,
  node: SchemaNode,
  values: unknown,
  level: number,
  isRemovable: boolean,
): FormSection {
  const group = groupOf(node);
  const names = namesOf(node);
  const plain = Object.entries(group?.properties ?? {}).filter(
    ([, child]) => groupOf(child) === undefined && namesOf(child) === undefined,
  );
  const isList = names !== undefined && groupOf(names.names) === undefined;
  const own = isList ? namesIn(values, path).map((name) => [name, names.names] as const) : [];
  return {
    path,
    id: dotted(path),
    title: dotted(path),
    description: node.description ?? "",
    level,
    fields: [...plain, ...own].map(([name, child]) =>
      fieldOf([...path, name], child, values, group?.required?.includes(name) ?? false),
    ),
    addition: names && { pattern: names.keys?.pattern, value: firstValue(names.names) },
    isRemovable,
  };
}

function fieldOf(path: KeyPath, node: SchemaNode, values: unknown, isRequired: boolean): FormField {
  const value = valueAt(values, path);
  return {
    path,
    id: dotted(path),
    name: String(path[path.length - 1]),
    description: node.description ?? "",
    expectation: expectationOf(node),
    control: controlOf(node),
    isRequired,
    value,
    standard: node.default,
    differs: value !== undefined && JSON.stringify(value) !== JSON.stringify(node.default),
  };
}

function controlOf(node: SchemaNode): Control {
  const list = listOf(node);
  const choices = allowedValues(node).map(String);
  if (list !== undefined) {
    const options = list.items === undefined ? [] : allowedValues(list.items).map(String);
    return options.length > 0 ? { kind: "several", options } : { kind: "lines" };
  }
  const isOpen = (node.anyOf ?? [node]).some(
    (each) => each.enum === undefined && ["string", "number", "integer"].includes(each.type ?? ""),
  );
  return choices.length > 0 && !isOpen
    ? { kind: "choice", options: choices }
    : { kind: "line", suggestions: choices };
}

/** What a name begins with: its required keys. */
function firstValue(node: SchemaNode): unknown {
  const group = groupOf(node);
  if (group === undefined) return node.type === "number" || node.type === "integer" ? 1 : "";
  return Object.fromEntries(
    (group.required ?? []).map((name) => {
      const child = nodeAt(group, [name]);
      return [name, (child && allowedValues(child)[0]) ?? ""];
    }),
  );
}

/** The text of a value in a field of one line. */
export function textOf(value: unknown): string {
  if (value === undefined) return "";
  return typeof value === "string" ? value : JSON.stringify(value);
}

/** The value that a text in a field stands for; undefined, which removes the key, where it is empty. */
export function parsedValue(text: string, node: SchemaNode): unknown {
  const trimmed = text.trim();
  if (trimmed === "") return undefined;
  const kinds = (node.anyOf ?? [node]).flatMap(({ type, enum: options }) =>
    options === undefined ? [type] : [type ?? typeof options[0]],
  );
  const named = allowedValues(node).find((each) => String(each) === trimmed);
  if (named !== undefined) return named;
  const number = Number(trimmed.replace(/(?<=\d)[_ ](?=\d)/g, ""));
  if ((kinds.includes("number") || kinds.includes("integer")) && Number.isFinite(number)) return number;
  /* what is no number stays a text, and the checker says what is expected */
  return trimmed;
}

/** The value of a field with one entry a line: a single path is written without a list. */
export function linesValue(text: string, node: SchemaNode): unknown {
  const items = listOf(node)?.items ?? {};
  const entries = text
    .split("\n")
    .map((line) => parsedValue(line, items))
    .filter((entry) => entry !== undefined);
  if (entries.length === 0) return undefined;
  const takesOne = node.anyOf?.some(({ type }) => type === "string") ?? false;
  return takesOne && entries.length === 1 ? entries[0] : entries;
}

function namesIn(values: unknown, path: KeyPath): string[] {
  const value = valueAt(values, path);
  return typeof value === "object" && value !== null && !Array.isArray(value) ? Object.keys(value) : [];
}

function valueAt(values: unknown, path: KeyPath): unknown {
  let value = values;
  for (const key of path) {
    if (typeof value !== "object" || value === null || !Object.hasOwn(value, key)) return undefined;
    value = (value as Record<string | number, unknown>)[key];
  }
  return value;
}
