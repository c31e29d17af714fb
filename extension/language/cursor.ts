/**
 * What stands at a position of a YAML file that may be half written. The word at the position is replaced by a marker
 * and the whole is given to the parser, which recovers from most faults: so block style, flow style, lists and quotes
 * need no grammar of our own.
 */
import { isMap, isPair, isScalar, isSeq, type Node, type Pair, parseDocument, visit } from "yaml";
import type { KeyPath } from "./schema.js";

/** A place where a key or a value is being written. */
export interface Cursor {
  readonly part: "key" | "value";
  /** Of the group in which the key stands, or of the value itself. */
  readonly path: KeyPath;
  /** The word there, which a completion replaces. */
  readonly from: number;
  readonly to: number;
  readonly word: string;
  /** Other keys of the same group. */
  readonly siblings: readonly string[];
  /** Whether the surroundings are written in braces or brackets. */
  readonly isFlow: boolean;
  /** Whether a colon follows a key already. */
  readonly hasColon: boolean;
  /** Column of the key, or of the key that the value belongs to. */
  readonly indent: number;
}

const MARKER = "qzCursorqz";
/** Parsing must not stop at a repeated key, which every half-written file has. */
const LENIENT = { prettyErrors: false, uniqueKeys: false, stringKeys: true, logLevel: "silent" } as const;

/** The place at an offset; undefined in comments, block texts and wherever neither key nor value can stand. */
export function cursorAt(text: string, offset: number): Cursor | undefined {
  const start = text.lastIndexOf("\n", offset - 1) + 1;
  const end = text.indexOf("\n", offset) < 0 ? text.length : text.indexOf("\n", offset);
  const before = text.slice(start, offset);
  if (isInComment(before)) return undefined;
  const from = offset - (/[\w.\-/*~+]*$/.exec(before) as RegExpExecArray)[0].length;
  const rest = text.slice(offset, end).replace(/\r$/, "");
  const to = offset + (/^[\w.\-/*~+]*/.exec(rest) as RegExpExecArray)[0].length;
  const word = text.slice(from, to);
  const hasColon = /^["']?[ \t]*:(?=\s|$)/.test(text.slice(to, end));
  const lead = text.slice(start, from);
  const atLineStart = /^[ \t]*(?:-[ \t]+)*$/.test(lead);
  const tries = atLineStart && !hasColon ? [`${MARKER}: `, MARKER] : [MARKER];
  /* "- " may hold a plain value as well as a group: the plain value first, whose path ends in a number all the same */
  if (lead.includes("- ")) tries.reverse();
  for (const marker of tries) {
    const marked = text.slice(0, from) + marker + text.slice(to);
    const found = locate(withColons(marked)) ?? locate(marked);
    if (found !== undefined) return { ...found, from, to, word, hasColon };
  }
  return undefined;
}

function locate(text: string): Omit<Cursor, "from" | "to" | "word" | "hasColon"> | undefined {
  const document = parseDocument(text, LENIENT);
  let result: ReturnType<typeof locate>;
  visit(document, {
    Scalar(key, node, ancestors) {
      if (typeof node.value !== "string" || node.value !== MARKER) return undefined;
      const path = pathOf(node, ancestors as readonly Node[]);
      const holder = ancestors.findLast((each) => isMap(each));
      const isFlow = ancestors.some((each) => (isMap(each) || isSeq(each)) && each.flow === true);
      const siblings =
        holder?.items.flatMap((pair) =>
          isScalar(pair.key) && pair.key !== node ? [String(pair.key.value)] : [],
        ) ?? [];
      if (key === "key") {
        result = {
          part: "key",
          path: path.slice(0, -1),
          siblings,
          isFlow,
          indent: columnOf(text, node.range?.[0] ?? 0),
        };
      } else {
        const pair = ancestors.findLast((each) => isPair(each)) as Pair<Node> | undefined;
        result = {
          part: "value",
          path,
          siblings: [],
          isFlow,
          indent: columnOf(text, pair?.key.range?.[0] ?? 0),
        };
      }
      return visit.BREAK;
    },
  });
  return result;
}

/** Keys elsewhere that have no colon yet get one; the parser would take them for the beginning of the next line. */
function withColons(text: string): string {
  return text.replace(/^[ \t]*[A-Za-z]\w*(?=[ \t]*$)/gm, (line) =>
    line.includes(MARKER) ? line : `${line}:`,
  );
}

/** The path of a node in a document, its own key included. */
export function pathOf(node: unknown, ancestors: readonly unknown[]): KeyPath {
  const chain = [...ancestors, node];
  return chain.flatMap((each, i): (string | number)[] => {
    if (isPair(each)) return [isScalar(each.key) ? String(each.key.value) : ""];
    const parent = chain[i - 1];
    return isSeq(parent) ? [parent.items.indexOf(each)] : [];
  });
}

function columnOf(text: string, offset: number): number {
  return offset - (text.lastIndexOf("\n", offset - 1) + 1);
}

/** Whether a line's beginning reaches into a comment: "#" at its start or after a blank, outside quotes. */
function isInComment(line: string): boolean {
  let quote = "";
  for (let i = 0; i < line.length; i++) {
    const character = line[i];
    if (quote !== "") {
      if (character === quote) quote = "";
    } else if ((character === '"' || character === "'") && /[\s[{,:]|^$/.test(line[i - 1] ?? "")) {
      quote = character;
    } else if (character === "#" && /^$|\s/.test(line[i - 1] ?? "")) return true;
  }
  return false;
}
