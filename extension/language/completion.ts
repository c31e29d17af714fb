/** What can be written at a place of a configuration: keys with their descriptions, values with their meaning. */
import { type Cursor, cursorAt } from "./cursor.js";
import { documentationOf } from "./documentation.js";
import { allowedValues, groupOf, listOf, namesOf, nodeAt, type SchemaNode } from "./schema.js";

/** One proposal. */
export interface Completion {
  readonly label: string;
  readonly kind: "key" | "group" | "value" | "snippet";
  /** Beside the label: the default of a key, "default" of a value. */
  readonly detail: string;
  /** Markdown. */
  readonly documentation: string;
  /** In the snippet syntax of VS Code and the language server protocol. */
  readonly snippet: string;
  /** Order among the proposals. */
  readonly rank: number;
  /** Whether to propose values once this is inserted. */
  readonly asksAgain: boolean;
}

export interface Completions {
  readonly from: number;
  readonly to: number;
  readonly items: readonly Completion[];
}

/** The proposals at an offset; undefined where nothing of ours can stand. */
export function completionsAt(text: string, offset: number, schema: SchemaNode): Completions | undefined {
  const cursor = cursorAt(text, offset);
  if (cursor === undefined) return undefined;
  const node = nodeAt(schema, cursor.path);
  if (node === undefined) return undefined;
  const items = cursor.part === "key" ? keys(node, cursor) : values(node, cursor);
  return { from: cursor.from, to: cursor.to, items };
}

function keys(node: SchemaNode, cursor: Cursor): Completion[] {
  const group = groupOf(node);
  const taken = new Set(cursor.siblings);
  const fixed = Object.entries(group?.properties ?? {})
    .filter(([name]) => !taken.has(name))
    .map(([name, child], i): Completion => {
      const isRequired = group?.required?.includes(name) ?? false;
      const isGroup = groupOf(child) !== undefined || namesOf(child) !== undefined;
      return {
        label: name,
        kind: isGroup ? "group" : "key",
        detail: isRequired
          ? "required"
          : child.default === undefined
            ? ""
            : `default ${JSON.stringify(child.default)}`,
        documentation: documentationOf([...cursor.path, name], child),
        snippet: cursor.hasColon ? name : withStart(name, startOf(child, cursor)),
        rank: isRequired ? i : 1000 + i,
        asksAgain: !cursor.hasColon && !isGroup && allowedValues(child).length > 0,
      };
    });
  const names = namesOf(node);
  if (names === undefined || cursor.hasColon) return fixed;
  const choices = names.keys === undefined ? [] : allowedValues(names.keys).map(String);
  const proposals = choices.length > 0 ? choices.filter((name) => !taken.has(name)) : ["name"];
  return [
    ...fixed,
    ...proposals.map(
      (name, i): Completion => ({
        label: name,
        kind: choices.length > 0 ? "key" : "snippet",
        detail: choices.length > 0 ? "" : "a name of your own",
        documentation: documentationOf([...cursor.path, choices.length > 0 ? name : "<name>"], names.names),
        snippet: withStart(choices.length > 0 ? name : `\${1:${name}}`, startOf(names.names, cursor, 2)),
        rank: 2000 + i,
        asksAgain: false,
      }),
    ),
  ];
}

function withStart(name: string, start: string): string {
  return start.startsWith("\n") ? `${name}:${start}` : `${name}: ${start}`;
}

/** How a value begins once its key is written. */
function startOf(node: SchemaNode, cursor: Cursor, stop = 1): string {
  const group = groupOf(node);
  if (group !== undefined || namesOf(node) !== undefined) {
    const required = group?.required ?? [];
    if (cursor.isFlow) {
      return `{ ${required.map((name, i) => `${name}: \${${stop + i}}`).join(", ") || `\${${stop}}`} }`;
    }
    /* the editor indents the lines of a snippet as deep as its first one */
    const lines = required.map((name, i) => `  ${name}: \${${stop + i}}`);
    return `\n${lines.length > 0 ? lines.join("\n") : `  \${${stop}}`}`;
  }
  const { anyOf } = node;
  return listOf(node) !== undefined && anyOf === undefined ? `[\${${stop}}]` : "";
}

function values(node: SchemaNode, cursor: Cursor): Completion[] {
  const allowed = allowedValues(node);
  const standard = node.default;
  const proposed = allowed.map((value, i): Completion => {
    const isDefault = value === standard;
    return {
      label: String(value),
      kind: "value",
      detail: isDefault ? "default" : "",
      documentation: documentationOf(cursor.path, node),
      snippet: String(value),
      rank: isDefault ? -1 : i,
      asksAgain: false,
    };
  });
  if (standard !== undefined && typeof standard !== "object" && !allowed.includes(standard)) {
    proposed.push({
      label: String(standard),
      kind: "value",
      detail: "default",
      documentation: documentationOf(cursor.path, node),
      snippet: escapeSnippet(String(standard)),
      rank: 1000,
      asksAgain: false,
    });
  }
  /* a list begun without its brackets */
  const items = listOf(node)?.items;
  if (items !== undefined && cursor.word === "") {
    const first = allowedValues(items)[0];
    proposed.push({
      label: "[ ]",
      kind: "snippet",
      detail: "a list",
      documentation: documentationOf(cursor.path, node),
      snippet: first === undefined ? "[$1]" : `[\${1:${first}}]`,
      rank: 2000,
      asksAgain: first !== undefined,
    });
  }
  return proposed;
}

function escapeSnippet(text: string): string {
  return text.replace(/[\\$}]/g, "\\$&");
}
