/**
 * The set that a domain is specialised on: all of its training text, or documents drawn from it until a number of tokens
 * is reached. Of one seed, a larger set holds the smaller ones, so that sizes differ in nothing else.
 */
import { Random } from "../../engine/index.js";
import { buildTokenShards, type Tokenizer, type TokenShards } from "../tokenizer/index.js";
import type { Job } from "./job.js";
import { hashOf } from "./stage-cache.js";
import type { DomainText, JobText } from "./text.js";

export interface DomainSet {
  readonly domain: DomainText;
  /** Tokens asked for; null takes all. */
  readonly size: number | null;
  readonly seed: number;
  readonly train: TokenShards;
  close(): void;
}

/** Draws the set; made once. The document that would exceed the size is cut. */
export async function drawDomainSet(
  job: Job,
  { tokenizer }: JobText,
  domain: DomainText,
  size: number | null,
  seed: number,
): Promise<DomainSet> {
  const { train } = domain;
  if (size === null || size >= train.tokenCount) {
    return { domain, size, seed, train, close: () => undefined };
  }
  const drawn = await buildTokenShards({
    root: job.stages.folder,
    tokenizer,
    corpusFingerprint: hashOf({ drawn: train.manifest.identity, name: domain.name, size, seed }),
    documents: () => draw(tokenizer, domain, size, seed),
    signal: job.signal,
    workers: 1,
  });
  return { domain, size, seed, train: drawn, close: () => drawn.close() };
}

function* draw(tokenizer: Tokenizer, { name, train }: DomainText, size: number, seed: number) {
  const order = Uint32Array.from({ length: train.documentCount }, (_, i) => i);
  const random = new Random(seed, Number.parseInt(hashOf(name).slice(0, 8), 16));
  for (let i = order.length - 1; i > 0; i--) {
    const j = random.integer(i + 1);
    [order[i], order[j]] = [order[j], order[i]];
  }
  let room = size;
  for (const number of order) {
    const document = train.document(number);
    const { start, length, shard, offset } = document;
    const ids = train.readTokens(start, Math.min(length, room));
    /* a cut may fall inside a character */
    const text = tokenizer.decode(ids).replace(/\uFFFD+$/, "");
    if (text !== "") yield { shard, offset, text };
    room -= length;
    if (room <= 1) return;
  }
}
