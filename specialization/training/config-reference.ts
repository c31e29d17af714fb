/** Everything that is generated from the schema: the editors' JSON Schema, the list of keys, help texts, the reference page. */
import { z } from "zod";
import { PRESETS, parameterCount } from "../models/architecture.js";
import { runConfigSchema } from "./config-schema.js";
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
  /** Dotted: "training.batch"; the names of validation sets are written <name>. */
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

let cachedSchema: SchemaNode | undefined;
let cachedKeys: readonly ConfigKey[] | undefined;

function rawSchema(): SchemaNode {
  cachedSchema ??= z.toJSONSchema(runConfigSchema, {
    io: "input",
    target: "draft-7",
    override: ({ jsonSchema }) => {
      /* the limits of JavaScript's integers are no limits of ours; a group's default is that of its keys */
      if (jsonSchema.maximum === Number.MAX_SAFE_INTEGER) delete jsonSchema.maximum;
      if (jsonSchema.properties !== undefined && typeof jsonSchema.default === "object")
        delete jsonSchema.default;
    },
  }) as SchemaNode;
  return cachedSchema;
}

/** JSON Schema (draft 7) of a configuration file, for editors. */
export function configJsonSchema(): object {
  const tidy = (node: unknown): unknown => {
    if (Array.isArray(node)) return node.map(tidy);
    if (typeof node !== "object" || node === null) return node;
    const { computedDefault, ...rest } = node as Record<string, unknown>;
    const entries = Object.entries(rest).map(([key, value]) => [key, tidy(value)] as const);
    const result: Record<string, unknown> = Object.fromEntries(entries);
    if (typeof computedDefault === "string")
      result.description = `${result.description} Default: ${computedDefault}.`;
    return result;
  };
  return { title: "slm-forge training configuration", ...(tidy(rawSchema()) as object) };
}

/** Every key, groups before their keys, in the order of the schema. */
export function configKeys(): readonly ConfigKey[] {
  cachedKeys ??= [...walk(rawSchema(), "")];
  return cachedKeys;
}

function* walk(node: SchemaNode, prefix: string): Generator<ConfigKey> {
  const group = groupOf(node);
  for (const [name, child] of Object.entries(group?.properties ?? {})) {
    const path = prefix === "" ? name : `${prefix}.${name}`;
    yield describeKey(path, child, group?.required?.includes(name) ?? false);
    yield* walk(child, path);
  }
}

function describeKey(path: string, node: SchemaNode, isRequired: boolean): ConfigKey {
  const isGroup = groupOf(node) !== undefined;
  const simple = node.default !== undefined && !(isGroup && node.default !== null);
  return {
    path,
    description: node.description ?? "",
    isGroup,
    isRequired,
    default: node.computedDefault ?? (simple ? JSON.stringify(node.default) : undefined),
    expected: expectedOf(node),
    allowed: node.enum,
    isNumber: node.type === "number" || node.type === "integer",
  };
}

/** The node that holds a group's keys; undefined for a plain value. A nullable group is one too. */
function groupOf(node: SchemaNode): SchemaNode | undefined {
  if (node.properties !== undefined) return node;
  return node.anyOf?.find((option) => option.properties !== undefined);
}

/** The key at a path, elements of lists and named sets included; undefined where there is none. */
export function keyAt(path: KeyPath): ConfigKey | undefined {
  let node: SchemaNode | undefined = rawSchema();
  for (const key of path) {
    const group: SchemaNode | undefined = groupOf(node);
    if (group !== undefined) node = group.properties?.[key];
    else if (typeof node.additionalProperties === "object") node = node.additionalProperties;
    else node = node.items;
    if (node === undefined) return undefined;
  }
  return describeKey(path.join("."), node, false);
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
      return node.items?.type === "string" ? "a list of texts" : "a list";
    case "null":
      return "null";
    default:
      return node.properties === undefined ? "names with paths" : "a group of keys";
  }
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

/** The keys as text below a command's options: `--set key=value` with description and default. */
export function configHelp(width = 100): string {
  const lines = ["Configuration keys, for the file and for --set key=value (slm config reference has more):"];
  for (const key of configKeys()) {
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

/** docs/configuration.md. */
export function configReference(): string {
  const lines = [
    "# Configuration",
    "",
    "<!-- Generated from specialization/training/config-schema.ts: slm config reference > docs/configuration.md -->",
    "",
    "`slm train config.yaml` reads a YAML file; `--set key=value` (repeatable, values are YAML) overrides single keys.",
    "Only `data.train` is required:",
    "",
    "```yaml",
    "data:",
    "  train: corpus/*.jsonl",
    "model:",
    "  preset: mini",
    "training:",
    "  budget: { tokens: 50e6 }",
    "```",
    "",
    "Relative paths start from the folder of the configuration file; those given with `--set`, from the current folder.",
    "A name that does not exist, a wrong type and keys that exclude each other are refused before anything is read.",
    "`slm config check config.yaml` only checks; `slm config schema` prints a JSON Schema, so that an editor completes",
    "keys and marks mistakes:",
    "",
    "```yaml",
    "# yaml-language-server: $schema=slm.schema.json",
    "```",
    "",
  ];
  const top = configKeys().filter((key) => !key.path.includes(".") && !key.isGroup);
  const section = (title: string, text: string, keys: readonly ConfigKey[]) => {
    const rows = keys.map((key) => [
      `\`${key.path}\``,
      key.expected,
      key.isRequired ? "_required_" : (key.default ?? "none"),
      key.description,
    ]);
    lines.push(`## ${title}`, "", text, "", ...markdownTable([["key", "value", "default", ""], ...rows]), "");
  };
  section("Run", "Keys of the run as a whole.", top);
  for (const group of configKeys().filter((key) => !key.path.includes(".") && key.isGroup)) {
    section(
      group.path,
      group.description,
      configKeys().filter((key) => key.path.startsWith(`${group.path}.`)),
    );
  }
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
  lines.push("## Presets", "", "Parameters are counted at the vocabulary given here.", "");
  lines.push(...markdownTable([titles, ...presets], [2, 3, 4, 5, 6, 7, 8]));
  return `${lines.join("\n")}\n`;
}
