/**
 * Which documents of the training text are held out: a share by their hashes; in a corpus so small that the share comes
 * to none, the one of the least hash; of a single document, its end. The same in every run and in any order of reading.
 */
import {
  type Corpus,
  type Document,
  documentKey,
  type SplitRule,
  type SplitSide,
  splitHash,
  splitSide,
} from "../corpus/index.js";
import { stoppable } from "./text-set.js";

/** What is held out of a single document: a tenth of a small one, and of a large one so many characters. */
const TAIL_SHARE = 0.1;
const TAIL_CHARACTERS = 2000;
/** Shorter documents are not cut. */
const LEAST_CHARACTERS = 200;

export interface HoldOut {
  /** What sets depend on beyond the rule itself; null where the rule alone decides. */
  readonly identity: string | null;
  /** What a person should know; undefined where it is as asked for. */
  readonly remark: string | undefined;
  /** The side of a document of `corpus`, in its reading of that side. */
  belongs(document: Document, side: SplitSide): boolean;
  /** The corpus as that side reads it. */
  corpus(whole: Corpus, side: SplitSide): Corpus;
}

/** Looks at a corpus until both sides have a document; all of it where one would have none. */
export async function holdOutOf(corpus: Corpus, rule: SplitRule, signal?: AbortSignal): Promise<HoldOut> {
  const sides = new Set<SplitSide>();
  let least: { key: string; hash: number } | undefined;
  let most: { key: string; hash: number } | undefined;
  let only: Document | undefined;
  let documents = 0;
  let areSame = true;
  for await (const document of stoppable(corpus.documents(), signal)) {
    documents++;
    only ??= document;
    areSame &&= document.text === only.text;
    sides.add(splitSide(document, rule));
    if (sides.size === 2) return byRule(rule);
    const each = { key: documentKey(document), hash: splitHash(document, rule) };
    if (least === undefined || isBefore(each, least)) least = each;
    if (most === undefined || isBefore(most, each)) most = each;
  }
  if (least === undefined || most === undefined || only === undefined) return byRule(rule);
  const whole: HoldOut = byRule(rule);
  if (least.key !== most.key) {
    const [alone, side] = sides.has("train") ? [least.key, "validation"] : [most.key, "train"];
    return {
      ...whole,
      identity: `one document is alone in ${side}`,
      remark: `of ${documents} documents, one is ${side === "validation" ? "held out" : "trained on"}; give more text, or data.validation`,
      belongs: (document, asked) => (documentKey(document) === alone) === (asked === side),
    };
  }
  /* repeats that differ in white space would be cut at different places, and share text */
  const cut = areSame ? cutOf(only.text, rule.validationFraction) : undefined;
  if (cut === undefined) return whole;
  const share = (100 * (only.text.length - cut)) / only.text.length;
  return {
    identity: `the end from ${cut} on`,
    remark: `the last ${share.toPrecision(2)} % of the only document are held out; give more text, or data.validation`,
    belongs: () => true,
    corpus: (each, side) => partOf(each, (text) => (side === "train" ? text.slice(0, cut) : text.slice(cut))),
  };
}

function byRule(rule: SplitRule): HoldOut {
  return {
    identity: null,
    remark: undefined,
    belongs: (document, side) => splitSide(document, rule) === side,
    corpus: (whole) => whole,
  };
}

function isBefore(a: { key: string; hash: number }, b: { key: string; hash: number }): boolean {
  return a.hash < b.hash || (a.hash === b.hash && a.key < b.key);
}

/** Where the end of a document begins: after a line or a word, if one ends near; undefined where it is too short. */
function cutOf(text: string, share: number): number | undefined {
  if (text.trim().length < LEAST_CHARACTERS) return undefined;
  const tail = Math.max(text.length * share, Math.min(text.length * TAIL_SHARE, TAIL_CHARACTERS));
  const from = Math.floor(text.length - tail);
  const latest = from + tail / 2;
  for (const mark of ["\n", " "]) {
    const found = text.indexOf(mark, from);
    if (found >= 0 && found < latest && isDivided(text, found + 1)) return found + 1;
  }
  /* never between the halves of a character */
  const cut = /[\udc00-\udfff]/.test(text[from]) ? from + 1 : from;
  return isDivided(text, cut) ? cut : undefined;
}

function isDivided(text: string, cut: number): boolean {
  return text.slice(0, cut).trim() !== "" && text.slice(cut).trim() !== "";
}

/** A corpus whose documents are parts of another's. */
function partOf(corpus: Corpus, part: (text: string) => string): Corpus {
  return {
    name: corpus.name,
    shards: () => corpus.shards(),
    get report() {
      return corpus.report;
    },
    documents(options) {
      const stream = corpus.documents(options);
      return {
        report: stream.report,
        async *[Symbol.asyncIterator]() {
          for await (const document of stream) yield { ...document, text: part(document.text) };
        },
      };
    },
  };
}
