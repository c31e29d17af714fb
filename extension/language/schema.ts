/** The JSON Schema that `slm config schema` prints, as editors walk it: by the path of a key in a file. */

/** A node of the schema; what a zod schema of a configuration comes to, and no more. */
export interface SchemaNode {
  readonly title?: string;
  readonly type?: string;
  readonly description?: string;
  readonly default?: unknown;
  readonly properties?: Readonly<Record<string, SchemaNode>>;
  readonly additionalProperties?: SchemaNode | boolean;
  readonly propertyNames?: SchemaNode;
  readonly items?: SchemaNode;
  readonly anyOf?: readonly SchemaNode[];
  readonly enum?: readonly unknown[];
  readonly const?: unknown;
  readonly required?: readonly string[];
  readonly pattern?: string;
  readonly format?: string;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly exclusiveMinimum?: number;
  readonly exclusiveMaximum?: number;
}

export type KeyPath = readonly (string | number)[];

/** "domains.law.train"; elements of lists in brackets. */
export function dotted(path: KeyPath): string {
  return path.reduce<string>(
    (text, key) => (typeof key === "number" ? `${text}[${key}]` : text === "" ? key : `${text}.${key}`),
    "",
  );
}

/** The node of a key; elements of lists and names that the user chooses included. Undefined where there is none. */
export function nodeAt(root: SchemaNode, path: KeyPath): SchemaNode | undefined {
  let node: SchemaNode | undefined = root;
  for (const key of path) {
    if (typeof key === "number") node = listOf(node)?.items;
    else node = groupOf(node)?.properties?.[key] ?? namesOf(node)?.names;
    if (node === undefined) return undefined;
  }
  return node;
}

/** The alternative that holds fixed keys; a group that may also be null is one too. */
export function groupOf(node: SchemaNode): SchemaNode | undefined {
  return alternatives(node).find((each) => each.properties !== undefined);
}

/** The alternative whose keys the user names, and what stands behind each name. */
export function namesOf(
  node: SchemaNode,
): { readonly names: SchemaNode; readonly keys?: SchemaNode } | undefined {
  const found = alternatives(node).find(
    (each) => each.properties === undefined && typeof each.additionalProperties === "object",
  );
  return found && { names: found.additionalProperties as SchemaNode, keys: found.propertyNames };
}

/** The alternative that is a list. */
export function listOf(node: SchemaNode): SchemaNode | undefined {
  return alternatives(node).find((each) => each.type === "array");
}

/** Plain values that are allowed by name: of a choice, true and false, null. */
export function allowedValues(node: SchemaNode): readonly unknown[] {
  return alternatives(node).flatMap((each): readonly unknown[] => {
    if (each.enum !== undefined) return each.enum;
    if (each.const !== undefined) return [each.const];
    if (each.type === "boolean") return [true, false];
    return each.type === "null" ? [null] : [];
  });
}

/** What a value may be, in words: "a whole number, at least 1". */
export function expectationOf(node: SchemaNode): string {
  const all = alternatives(node).map((each) => {
    if (each.enum !== undefined) return `one of ${each.enum.join(", ")}`;
    switch (each.type) {
      case "integer":
        return `a whole number${rangeOf(each)}`;
      case "number":
        return `a number${rangeOf(each)}`;
      case "boolean":
        return "true or false";
      case "string":
        return each.pattern === undefined ? "a text" : 'a name of letters, digits, ".", "_" and "-"';
      case "null":
        return "null";
      case "array": {
        const items = each.items && allowedValues(each.items);
        if (items !== undefined && items.length > 0) return `a list of ${items.join(", ")}`;
        return each.items === undefined ? "a list" : `a list, each ${expectationOf(each.items)}`;
      }
      default:
        return each.properties === undefined ? "names of your own, each with its value" : "a group of keys";
    }
  });
  return [...new Set(all)].join(", or ");
}

function rangeOf({ minimum, maximum, exclusiveMinimum, exclusiveMaximum }: SchemaNode): string {
  const limits = [
    minimum === undefined ? [] : [`at least ${minimum}`],
    exclusiveMinimum === undefined ? [] : [`above ${exclusiveMinimum}`],
    maximum === undefined ? [] : [`at most ${maximum}`],
    exclusiveMaximum === undefined ? [] : [`below ${exclusiveMaximum}`],
  ].flat();
  return limits.length === 0 ? "" : `, ${limits.join(" and ")}`;
}

function alternatives(node: SchemaNode): readonly SchemaNode[] {
  return node.anyOf?.flatMap(alternatives) ?? [node];
}
