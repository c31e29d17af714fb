/**
 * Everything that is generated from the schema of a kind of configuration file: the editors' JSON Schema, the list of
 * keys, help texts, the tables of the reference page.
 */
import { z } from "zod";
import { PRESETS, parameterCount } from "../models/architecture.js";
import type { KeyPath } from "./config-source.js";

interface SchemaNode {
  readonly type?: string;
  readonly description?: string;
  readonly default?: unknown;
  readonly computedDefault?: string;
  readonly properties?: Readonly<Record<string, SchemaNode>>;
  readonly additionalProperties?: SchemaNode | false;
  readonly items?: SchemaNode;
  readonly anyOf?: readonly SchemaNode[];
  readonly enum?: readonly string[];
  readonly required?: readonly string[];
  readonly pattern?: string;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly exclusiveMinimum?: number;
  readonly exclusiveMaximum?: number;
}

/** One key of the configuration, worded for people. */
export interface ConfigKey {
  /** Dotted: "training.batch"; names that the user chooses are written <name> where keys lie below them. */
  readonly path: string;
  readonly description: string;
  /** Whether other keys lie below it. */
  readonly isGroup: boolean;
  readonly isRequired: boolean;
  /** Default in words; undefined when there is none. */
  readonly default: string | undefined;
  /** What a value may be: "a whole number, at least 1". */
  readonly expected: string;
  /** The values of a choice. */
  readonly allowed: readonly string[] | undefined;
  readonly isNumber: boolean;
}

/** The keys of one kind of configuration file. */
export class ConfigReference {
  #root: SchemaNode | undefined;
  #keys: readonly ConfigKey[] | undefined;

  /** @param title of the JSON Schema */
  constructor(
    readonly title: string,
    readonly schema: z.ZodType,
  ) {}

  get #raw(): SchemaNode {
    this.#root ??= z.toJSONSchema(this.schema, {
      io: "input",
      target: "draft-7",
      override: ({ jsonSchema }) => {
        /* the limits of JavaScript's integers are no limits of ours; a group's default is that of its keys */
        if (jsonSchema.maximum === Number.MAX_SAFE_INTEGER) delete jsonSchema.maximum;
        if (jsonSchema.properties !== undefined && typeof jsonSchema.default === "object")
          delete jsonSchema.default;
      },
    }) as SchemaNode;
    return this.#root;
  }

  /** JSON Schema (draft 7) of such a file, for editors. */
  jsonSchema(): object {
    return { title: this.title, ...(withComputedDefaults(this.#raw) as object) };
  }

  /** Every key, groups before their keys, in the order of the schema. */
  keys(): readonly ConfigKey[] {
    this.#keys ??= [...walk(this.#raw, "")];
    return this.#keys;
  }

  /** The key at a path, elements of lists and named sets included; undefined where there is none. */
  keyAt(path: KeyPath): ConfigKey | undefined {
    const node = this.#nodeAt(path);
    return node && describeKey(path.join("."), node, false);
  }

  /** Names of the keys of a group; empty where there is none. */
  namesIn(path: KeyPath): string[] {
    const node = this.#nodeAt(path);
    return Object.keys((node && groupOf(node)?.properties) ?? {});
  }

  #nodeAt(path: KeyPath): SchemaNode | undefined {
    let node: SchemaNode | undefined = this.#raw;
    for (const key of path) {
      const group: SchemaNode | undefined = groupOf(node);
      if (group !== undefined) node = group.properties?.[key];
      else if (typeof node.additionalProperties === "object") node = node.additionalProperties;
      else node = node.items;
      if (node === undefined) return undefined;
    }
    return node;
  }

  /** The keys as text below a command's options: `--set key=value` with description and default. */
  help(width = 100): string {
    const lines = [
      "Configuration keys, for the file and for --set key=value (slm config reference has more):",
    ];
    for (const key of this.keys()) {
      if (key.isGroup) {
        lines.push("", `  ${key.path}: ${key.description}`);
        continue;
      }
      const note = key.isRequired
        ? " (required)"
        : key.default === undefined
          ? ""
          : ` (default: ${key.default})`;
      const indent = 36;
      const words = `${key.description}${note}`.split(" ");
      let line = `  ${key.path} `.padEnd(indent);
      for (const word of words) {
        if (line.length + word.length > width && line.trimEnd().length > indent - 1) {
          lines.push(line.trimEnd());
          line = " ".repeat(indent);
        }
        line += `${word} `;
      }
      lines.push(line.trimEnd());
    }
    return lines.join("\n");
  }

  /** Markdown sections: the single keys under `top`, then one section a group. */
  sections(top: { readonly title: string; readonly text: string }): string[] {
    const keys = this.keys();
    const isTop = (key: ConfigKey) => !key.path.includes(".");
    const section = (title: string, text: string, of: readonly ConfigKey[]) => {
      const rows = of.map((key) => [
        `\`${key.path}\``,
        key.expected,
        key.isRequired ? "_required_" : (key.default ?? "none"),
        key.description,
      ]);
      return [`## ${title}`, "", text, "", ...markdownTable([["key", "value", "default", ""], ...rows]), ""];
    };
    return [
      ...section(
        top.title,
        top.text,
        keys.filter((key) => isTop(key) && !key.isGroup),
      ),
      ...keys
        .filter((key) => isTop(key) && key.isGroup)
        .flatMap((group) =>
          section(
            group.path,
            group.description,
            keys.filter((key) => key.path.startsWith(`${group.path}.`)),
          ),
        ),
    ];
  }
}

/** The nodes with their computed defaults told in the description, as JSON Schema has no word for them. */
function withComputedDefaults(node: unknown): unknown {
  if (Array.isArray(node)) return node.map(withComputedDefaults);
  if (typeof node !== "object" || node === null) return node;
  const { computedDefault, ...rest } = node as Record<string, unknown>;
  const entries = Object.entries(rest).map(([key, value]) => [key, withComputedDefaults(value)] as const);
  const result: Record<string, unknown> = Object.fromEntries(entries);
  if (typeof computedDefault === "string")
    result.description = `${result.description} Default: ${computedDefault}.`;
  return result;
}

function* walk(node: SchemaNode, prefix: string): Generator<ConfigKey> {
  const named = namedGroupOf(node);
  if (named !== undefined) {
    yield* walk(named, `${prefix}.<name>`);
    return;
  }
  const group = groupOf(node);
  for (const [name, child] of Object.entries(group?.properties ?? {})) {
    const path = prefix === "" ? name : `${prefix}.${name}`;
    yield describeKey(path, child, group?.required?.includes(name) ?? false);
    yield* walk(child, path);
  }
}

function describeKey(path: string, node: SchemaNode, isRequired: boolean): ConfigKey {
  const isGroup = groupOf(node) !== undefined || namedGroupOf(node) !== undefined;
  const simple = node.default !== undefined && !(isGroup && node.default !== null);
  return {
    path,
    description: node.description ?? "",
    isGroup,
    isRequired,
    default: node.computedDefault ?? (simple ? JSON.stringify(node.default) : undefined),
    expected: expectedOf(node),
    allowed: node.enum,
    isNumber: isNumber(node),
  };
}

/** The node that holds a group's keys; undefined for a plain value. A nullable group is one too. */
function groupOf(node: SchemaNode): SchemaNode | undefined {
  if (node.properties !== undefined) return node;
  return node.anyOf?.find((option) => option.properties !== undefined);
}

/** The group behind names that the user chooses; undefined where names lead to plain values. */
function namedGroupOf({ additionalProperties }: SchemaNode): SchemaNode | undefined {
  return typeof additionalProperties === "object" ? groupOf(additionalProperties) : undefined;
}

function expectedOf(node: SchemaNode): string {
  if (node.anyOf !== undefined) return node.anyOf.map(expectedOf).join(" or ");
  if (node.enum !== undefined) return `one of ${node.enum.join(", ")}`;
  switch (node.type) {
    case "integer":
      return `a whole number${rangeOf(node)}`;
    case "number":
      return `a number${rangeOf(node)}`;
    case "boolean":
      return "true or false";
    case "string":
      return node.pattern === undefined ? "a text" : 'a name of letters, digits, ".", "_" and "-"';
    case "array":
      return listOf(node.items);
    case "null":
      return "null";
    default:
      if (node.properties !== undefined) return "a group of keys";
      if (namedGroupOf(node) !== undefined) return "names, each with a group of keys";
      return isNumber(node.additionalProperties) ? "names with numbers" : "names with paths";
  }
}

function listOf(items: SchemaNode | undefined): string {
  if (items?.enum !== undefined) return `a list of ${items.enum.join(", ")}`;
  if (items?.type === "string") return "a list of texts";
  return isNumber(items) ? "a list of numbers" : "a list";
}

function isNumber(node: SchemaNode | false | undefined): boolean {
  return node !== undefined && node !== false && (node.type === "integer" || node.type === "number");
}

function rangeOf({ minimum, maximum, exclusiveMinimum, exclusiveMaximum }: SchemaNode): string {
  const limits = [
    minimum === undefined ? undefined : `at least ${minimum}`,
    exclusiveMinimum === undefined ? undefined : `above ${exclusiveMinimum}`,
    maximum === undefined ? undefined : `at most ${maximum}`,
    exclusiveMaximum === undefined ? undefined : `below ${exclusiveMaximum}`,
  ].filter((limit) => limit !== undefined);
  return limits.length === 0 ? "" : `, ${limits.join(" and ")}`;
}

/** Lines of a Markdown table with aligned columns; those named in `right` to the right. */
function markdownTable(rows: readonly (readonly string[])[], right: readonly number[] = []): string[] {
  const cells = rows.map((row) => row.map((text) => text.replaceAll("|", "\\|")));
  const widths = cells[0].map((_, column) => Math.max(3, ...cells.map((row) => row[column].length)));
  const rule = widths.map((width, column) =>
    right.includes(column) ? `${"-".repeat(width - 1)}:` : "-".repeat(width),
  );
  const pad = (text: string, column: number) =>
    right.includes(column) ? text.padStart(widths[column]) : text.padEnd(widths[column]);
  return [cells[0].map(pad), rule, ...cells.slice(1).map((row) => row.map(pad))].map(
    (row) => `| ${row.join(" | ")} |`,
  );
}

/** The presets of models, as a Markdown section. */
export function presetSection(): string[] {
  const presets = Object.values(PRESETS).map(({ name, purpose, vocabulary, architecture: a }) => [
    `\`${name}\``,
    purpose,
    `${(parameterCount({ ...a, vocabulary }) / 1e6).toFixed(1)} M`,
    ...[vocabulary, a.context, a.layers, a.width, a.heads, a.hidden].map(String),
  ]);
  const titles = [
    "preset",
    "for",
    "parameters",
    "vocabulary",
    "context",
    "layers",
    "width",
    "heads",
    "hidden",
  ];
  return [
    "## Presets",
    "",
    "Parameters are counted at the vocabulary given here.",
    "",
    ...markdownTable([titles, ...presets], [2, 3, 4, 5, 6, 7, 8]),
  ];
}
