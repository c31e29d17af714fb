/**
 * Changes single keys of a YAML file and leaves every other character as it is: comments, blank lines, quotes, order.
 * Each change is first tried on the text itself. The outcome is parsed and compared with what it should be; where it
 * differs, as with aliases or odd layouts, the whole document is written anew, which still keeps the comments.
 */
import { isDeepStrictEqual } from "node:util";
import {
  type Document,
  isAlias,
  isMap,
  isScalar,
  type Node,
  type Pair,
  parseDocument,
  stringify,
  type YAMLMap,
} from "yaml";
import type { KeyPath } from "./schema.js";

export type YamlChange =
  | { readonly set: KeyPath; readonly value: unknown }
  | { readonly remove: KeyPath }
  | { readonly move: KeyPath; readonly to: KeyPath };

export interface TextEdit {
  readonly from: number;
  readonly to: number;
  readonly text: string;
}

/** The text after the changes; undefined when it is no YAML that could be changed. */
export function editedText(text: string, changes: readonly YamlChange[]): string | undefined {
  let result: string | undefined = text;
  for (const change of changes) {
    if (result === undefined) return undefined;
    if ("move" in change) {
      const value: unknown = parse(result)?.getIn(change.move);
      result = changed(result, change.move, undefined);
      if (result !== undefined)
        result = changed(result, change.to, isScalar(value) ? value.value : plain(value));
    } else if ("remove" in change) result = changed(result, change.remove, undefined);
    else result = changed(result, change.set, change.value);
  }
  return result;
}

/** The smallest edit that turns one text into another. */
export function minimalEdit(before: string, after: string): TextEdit {
  const most = Math.min(before.length, after.length);
  let start = 0;
  while (start < most && before[start] === after[start]) start++;
  let end = 0;
  while (end < most - start && before[before.length - 1 - end] === after[after.length - 1 - end]) end++;
  return { from: start, to: before.length - end, text: after.slice(start, after.length - end) };
}

/** One key set, or removed where the value is undefined; groups that become empty go with it. */
function changed(text: string, path: KeyPath, value: unknown): string | undefined {
  const document = parse(text);
  if (document === undefined) return undefined;
  if (value === undefined && !document.hasIn(path)) return text;
  const target = value === undefined ? outermostEmptied(document, path) : path;
  const tried =
    value === undefined ? withoutKey(text, document, target) : withKey(text, document, path, value);
  if (value === undefined) document.deleteIn(target);
  else setIn(document, path, value);
  const wanted: unknown = document.toJS() ?? {};
  if (tried !== undefined) {
    const outcome = parse(tried);
    if (outcome !== undefined && isDeepStrictEqual(outcome.toJS() ?? {}, wanted)) return tried;
  }
  return isMap(document.contents) && document.contents.items.length === 0
    ? ""
    : document.toString({ lineWidth: 0, flowCollectionPadding: true });
}

function parse(text: string): Document.Parsed | undefined {
  const document = parseDocument(text, { prettyErrors: false });
  const isUsable = document.contents === null || isMap(document.contents);
  return document.errors.length === 0 && isUsable ? document : undefined;
}

function plain(value: unknown): unknown {
  return typeof value === "object" && value !== null && "toJSON" in value
    ? (value as { toJSON(): unknown }).toJSON()
    : value;
}

function setIn(document: Document, path: KeyPath, value: unknown): void {
  for (let length = 1; length < path.length; length++) {
    const at = path.slice(0, length);
    const group = document.getIn(at, true);
    /* an alias becomes a group of its own, with all that it stood for: what it names stays as it is */
    if (isAlias(group)) {
      const named = group.resolve(document);
      document.setIn(at, document.createNode(group.toJS(document), { flow: isMap(named) && named.flow }));
    }
    if (!isMap(document.getIn(at, true))) document.setIn(at, document.createNode({}));
  }
  document.setIn(path, document.createNode(value, { flow: typeof value === "object" && value !== null }));
}

/** The key itself, or the group that would be left empty without it. */
function outermostEmptied(document: Document, path: KeyPath): KeyPath {
  for (let length = path.length - 1; length > 0; length--) {
    const group = document.getIn(path.slice(0, length), true);
    if (!isMap(group) || group.items.length > 1) return path.slice(0, length + 1);
  }
  return path.slice(0, 1);
}

function withKey(text: string, document: Document, path: KeyPath, value: unknown): string | undefined {
  const existing = document.getIn(path, true) as Node | undefined;
  if (existing?.range != null) {
    const [from, to] = existing.range;
    const isBlock = text.slice(from, to).includes("\n");
    if (!isBlock && from < to) return text.slice(0, from) + inline(value) + text.slice(to);
    if (!isBlock) return undefined;
  }
  if (document.hasIn(path)) return undefined;
  /* the innermost group that is there takes the rest of the path */
  let depth = path.length - 1;
  while (depth > 0 && !isMap(document.getIn(path.slice(0, depth), true))) depth--;
  if (depth < path.length - 1 && document.hasIn(path.slice(0, depth + 1))) return undefined;
  const group = (
    depth === 0 ? document.contents : document.getIn(path.slice(0, depth), true)
  ) as YAMLMap | null;
  const missing = path.slice(depth);
  if (group?.flow) {
    const [from, to] = group.range ?? [0, 0];
    const entry = missing.reduceRight<string>(
      (inside, key, i) => (i === missing.length - 1 ? `${key}: ${inside}` : `${key}: { ${inside} }`),
      inline(value),
    );
    const close = text.lastIndexOf("}", to - 1);
    const inside = text.slice(from + 1, close).trimEnd();
    if (close < from) return undefined;
    const head = text.slice(0, from + 1) + inside;
    return `${head}${inside.trim() === "" || inside.endsWith(",") ? " " : ", "}${entry} ${text.slice(close)}`;
  }
  const indent =
    group === null || group.items.length === 0 ? 0 : columnOf(text, startOf(group.items[0] as Pair));
  const step = stepOf(document, text);
  const lines = missing.map(
    (key, i) =>
      `${" ".repeat(indent + i * step)}${key}:${i === missing.length - 1 ? ` ${inline(value)}` : ""}\n`,
  );
  const at = group === null || group.items.length === 0 ? text.length : lineEnd(text, lastOffset(group));
  const before = text.slice(0, at);
  return `${before}${before === "" || before.endsWith("\n") ? "" : "\n"}${lines.join("")}${text.slice(at)}`;
}

function withoutKey(text: string, document: Document, path: KeyPath): string | undefined {
  const group = path.length === 1 ? document.contents : document.getIn(path.slice(0, -1), true);
  if (!isMap(group)) return undefined;
  const at = group.items.findIndex((pair) => isScalar(pair.key) && pair.key.value === path[path.length - 1]);
  const pair = group.items[at] as Pair | undefined;
  if (pair === undefined) return undefined;
  if (group.flow) {
    const next = group.items[at + 1] as Pair | undefined;
    const last = group.items[at - 1] as Pair | undefined;
    if (next !== undefined) return text.slice(0, startOf(pair)) + text.slice(startOf(next));
    return last && text.slice(0, endOf(last)) + text.slice(endOf(pair));
  }
  const from = text.lastIndexOf("\n", startOf(pair) - 1) + 1;
  return text.slice(0, from) + text.slice(lineEnd(text, endOf(pair)));
}

/** Offset behind the line break of the line that holds the last character before an offset. */
function lineEnd(text: string, offset: number): number {
  const at = text.indexOf("\n", Math.max(0, offset - 1));
  return at < 0 ? text.length : at + 1;
}

function startOf({ key }: Pair): number {
  return (key as Node).range?.[0] ?? 0;
}

/** Behind the last character of a pair's value. */
function endOf({ key, value }: Pair): number {
  const node = value as Node | null;
  if (isMap(node) && !node.flow && node.items.length > 0) return lastOffset(node);
  return node?.range?.[1] ?? (key as Node).range?.[1] ?? 0;
}

function lastOffset(group: YAMLMap): number {
  return endOf(group.items[group.items.length - 1] as Pair);
}

function columnOf(text: string, offset: number): number {
  return offset - (text.lastIndexOf("\n", offset - 1) + 1);
}

/** Blanks that a group's keys are indented by, as the file does it. */
function stepOf(document: Document, text: string): number {
  const groups = isMap(document.contents) ? document.contents.items : [];
  for (const { value } of groups) {
    if (isMap(value) && !value.flow && value.items.length > 0)
      return columnOf(text, startOf(value.items[0] as Pair));
  }
  return 2;
}

/** A value on one line. */
function inline(value: unknown): string {
  return stringify(value, { collectionStyle: "flow", lineWidth: 0 }).trimEnd();
}
