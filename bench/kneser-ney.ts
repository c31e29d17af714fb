// Interpolated modified Kneser-Ney n-gram model over token ids (Chen & Goodman 1998, eq. 26-28), the yardstick that a trained model
// must beat. A closed vocabulary; lower orders count distinct left neighbours; three discounts an order from counts of counts.
//
// Documents end with `boundary`, which is predicted like any token and begins the next document's history: no history reaches
// across it. An n-gram that begins with it has no left neighbour, so it keeps its raw count in every order (as <s> does in KenLM).
//
// Memory: an n-gram is a node of a trie, found by hashing (node of its history, token) into typed arrays.

/** Discounts of KenLM's --discount_fallback, for counts too small for the estimate (no n-gram seen once, twice, …). */
const FALLBACK: Discounts = [0.5, 1, 1.5];
const NONE = -1;
const ROOT = 0;

/** Subtracted from counts of one, of two, and of three and more. */
export type Discounts = readonly [number, number, number];

/** All distinct n-grams of one length: node numbers by (node of the history, last token). */
class GramTable {
  #slots: Int32Array = new Int32Array(1 << 12).fill(NONE);
  histories: Uint32Array = new Uint32Array(1 << 11);
  tokens: Uint32Array = new Uint32Array(1 << 11);
  /** Raw counts while the text is read; then those that the estimate uses. */
  counts: Uint32Array = new Uint32Array(1 << 11);
  size = 0;

  #slotOf(history: number, token: number): number {
    let hash = Math.imul(history, 0x9e3779b1) ^ Math.imul(token + 1, 0x85ebca6b);
    hash = Math.imul(hash ^ (hash >>> 15), 0x2c1b3c6d);
    const mask = this.#slots.length - 1;
    let slot = (hash ^ (hash >>> 13)) & mask;
    for (;;) {
      const node = this.#slots[slot];
      if (node === NONE || (this.histories[node] === history && this.tokens[node] === token)) return slot;
      slot = (slot + 1) & mask;
    }
  }

  /** The node of an n-gram, or -1. */
  find(history: number, token: number): number {
    return this.#slots[this.#slotOf(history, token)];
  }

  /** The node of an n-gram, which is added when it is new. */
  add(history: number, token: number): number {
    const slot = this.#slotOf(history, token);
    if (this.#slots[slot] !== NONE) return this.#slots[slot];
    const node = this.size++;
    if (node === this.tokens.length) {
      this.histories = doubled(this.histories);
      this.tokens = doubled(this.tokens);
      this.counts = doubled(this.counts);
    }
    this.histories[node] = history;
    this.tokens[node] = token;
    this.#slots[slot] = node;
    if (this.size * 3 > this.#slots.length * 2) {
      this.#slots = new Int32Array(this.#slots.length * 2).fill(NONE);
      for (let n = 0; n < this.size; n++) this.#slots[this.#slotOf(this.histories[n], this.tokens[n])] = n;
    }
    return node;
  }

  get bytes(): number {
    return this.#slots.byteLength + 3 * this.tokens.byteLength;
  }
}

function doubled(array: Uint32Array): Uint32Array {
  const larger = new Uint32Array(array.length * 2);
  larger.set(array);
  return larger;
}

/** What is known of the histories that an order's n-grams continue, by the history's node. */
interface Continuations {
  /** Sum of the counts that follow the history. */
  readonly totals: Float64Array;
  /** Part of that sum which the discounts leave to the lower order. */
  readonly left: Float64Array;
}

export interface KneserNeyOptions {
  readonly order: number;
  readonly vocabularySize: number;
  /** The token that ends every document. */
  readonly boundary: number;
}

export class KneserNey {
  /** By order, from 0 for single tokens. */
  readonly discounts: readonly Discounts[];
  readonly #tables: readonly GramTable[];
  readonly #continuations: readonly Continuations[];

  private constructor(
    readonly options: KneserNeyOptions,
    tables: readonly GramTable[],
  ) {
    this.#tables = tables;
    this.discounts = tables.map((table) => discountsOf(table.counts.subarray(0, table.size)));
    this.#continuations = tables.map((table, k) =>
      continuationsOf(table, this.discounts[k], k === 0 ? 1 : tables[k - 1].size),
    );
  }

  /**
   * Counts the n-grams of `text`, whose first token begins a document.
   * @throws RangeError for an order or a token out of range
   */
  static train(text: ArrayLike<number>, options: KneserNeyOptions): KneserNey {
    const { order, vocabularySize, boundary } = options;
    if (!Number.isInteger(order) || order < 1) {
      throw new RangeError(`The order is ${order}; give a whole number of at least 1.`);
    }
    const tables = Array.from({ length: order }, () => new GramTable());
    const boundaryNode = tables[0].add(ROOT, boundary);
    /** nodes[k]: the (k+1)-gram that ends at the token read last, as a history; NONE beyond its document. */
    let nodes = new Int32Array(order).fill(NONE);
    let next = new Int32Array(order);
    nodes[0] = boundaryNode;
    for (let i = 0; i < text.length; i++) {
      const token = text[i];
      if (!(token < vocabularySize)) {
        throw new RangeError(`Token ${i} is ${token}; the vocabulary has ${vocabularySize}.`);
      }
      let lower = NONE;
      for (let k = 0; k < order; k++) {
        const history = k === 0 ? ROOT : nodes[k - 1];
        if (history === NONE) {
          next.fill(NONE, k);
          break;
        }
        const table = tables[k];
        const known = table.size;
        const node = table.add(history, token);
        const isNew = table.size > known;
        // The longest n-gram of its document (or of the model) has no left neighbour to count: it counts itself.
        const isLongest = k === order - 1 || nodes[k] === NONE;
        if (isLongest) table.counts[node]++;
        // Every other one counts the distinct n-grams one longer that end in it.
        if (isNew && k > 0) tables[k - 1].counts[lower]++;
        next[k] = node;
        lower = node;
      }
      [nodes, next] = [next, nodes];
      if (token === boundary) {
        nodes.fill(NONE);
        nodes[0] = boundaryNode;
      }
    }
    return new KneserNey(options, tables);
  }

  /** Distinct n-grams by order, from 1. */
  get sizes(): number[] {
    return this.#tables.map((table) => table.size);
  }

  get bytes(): number {
    const tables = this.#tables.reduce((sum, table) => sum + table.bytes, 0);
    return this.#continuations.reduce((sum, each) => sum + each.totals.byteLength * 2, tables);
  }

  /** A reader at the beginning of a document. */
  start(): KneserNeyReader {
    return new KneserNeyReader(this.#tables, this.#continuations, this.discounts, this.options);
  }
}

/** Walks along a text and gives each token's probability after those before it. */
export class KneserNeyReader {
  /** The node of the last k+1 tokens, NONE from the first length on that was never seen. */
  readonly #nodes: Int32Array;

  constructor(
    readonly tables: readonly GramTable[],
    readonly continuations: readonly Continuations[],
    readonly discounts: readonly Discounts[],
    readonly options: KneserNeyOptions,
  ) {
    this.#nodes = new Int32Array(tables.length);
    this.#restart();
  }

  #restart(): void {
    this.#nodes.fill(NONE);
    this.#nodes[0] = this.tables[0].find(ROOT, this.options.boundary);
  }

  /** Probability of `token` after what was read; interpolated from the uniform distribution up. */
  probability(token: number): number {
    let probability = 1 / this.options.vocabularySize;
    for (let k = 0; k < this.tables.length; k++) {
      const history = k === 0 ? ROOT : this.#nodes[k - 1];
      if (history === NONE) break;
      const { totals, left } = this.continuations[k];
      // a history that nothing followed says nothing
      if (totals[history] === 0) continue;
      const node = this.tables[k].find(history, token);
      const count = node === NONE ? 0 : this.tables[k].counts[node];
      const kept = count - discount(this.discounts[k], count);
      probability = (kept + left[history] * probability) / totals[history];
    }
    return probability;
  }

  /** Goes on by one token. */
  read(token: number): void {
    if (token === this.options.boundary) {
      this.#restart();
      return;
    }
    for (let k = this.tables.length - 1; k > 0; k--) {
      const history = this.#nodes[k - 1];
      this.#nodes[k] = history === NONE ? NONE : this.tables[k].find(history, token);
    }
    this.#nodes[0] = this.tables[0].find(ROOT, token);
  }
}

function discount(discounts: Discounts, count: number): number {
  return count === 0 ? 0 : discounts[Math.min(count, 3) - 1];
}

/** Chen & Goodman's D1, D2, D3+ from how many n-grams have the counts 1 to 4. */
export function discountsOf(counts: ArrayLike<number>): Discounts {
  const having = [0, 0, 0, 0, 0];
  for (let i = 0; i < counts.length; i++) if (counts[i] <= 4) having[counts[i]]++;
  const [, n1, n2, n3, n4] = having;
  const y = n1 / (n1 + 2 * n2);
  const found: Discounts = [1 - (2 * y * n2) / n1, 2 - (3 * y * n3) / n2, 3 - (4 * y * n4) / n3];
  return found.every((d, i) => d >= 0 && d <= i + 1) ? found : FALLBACK;
}

function continuationsOf(table: GramTable, discounts: Discounts, histories: number): Continuations {
  const totals = new Float64Array(histories);
  const left = new Float64Array(histories);
  for (let node = 0; node < table.size; node++) {
    const count = table.counts[node];
    totals[table.histories[node]] += count;
    left[table.histories[node]] += discount(discounts, count);
  }
  return { totals, left };
}
