/** What editors show about a key: hover texts and the documentation of completions, in Markdown. */
import { parseDocument, visit } from "yaml";
import { pathOf } from "./cursor.js";
import { dotted, expectationOf, type KeyPath, nodeAt, type SchemaNode } from "./schema.js";

/** A text about what stands at a range of the file. */
export interface Hover {
  readonly from: number;
  readonly to: number;
  /** Markdown. */
  readonly text: string;
}

/** The description of a key: what it means, what it may be, its default. */
export function documentationOf(path: KeyPath, node: SchemaNode): string {
  const lines = [`**${dotted(path)}**`, "", node.description ?? "", "", `Expects ${expectationOf(node)}.`];
  if (node.default !== undefined) lines.push("", `Default: \`${JSON.stringify(node.default)}\`.`);
  return lines.join("\n").replace(/\n{3,}/g, "\n\n");
}

/** The text about the key or the value at an offset; undefined where there is no key of ours. */
export function hoverAt(text: string, offset: number, schema: SchemaNode): Hover | undefined {
  const document = parseDocument(text, { prettyErrors: false, uniqueKeys: false, stringKeys: true });
  let result: Hover | undefined;
  visit(document, {
    Scalar(_, node, ancestors) {
      const [from, to] = node.range ?? [0, -1];
      if (offset < from || offset > to) return undefined;
      const path = pathOf(node, ancestors);
      const found = nodeAt(schema, path);
      if (found !== undefined) result = { from, to, text: documentationOf(path, found) };
      return visit.BREAK;
    },
  });
  return result;
}
