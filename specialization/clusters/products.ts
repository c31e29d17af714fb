/**
 * Products of sparse rows B with a dense basis Q, block by block: Z = B Q, and the sum Σ Bᵀ B Q over blocks.
 * `DenseProducts` spreads a block out and uses the engine's matmul: right for a GPU. `SparseProducts` touches only
 * what is not zero: 100 times fewer operations, right where the adapter is the processor itself.
 */
import { type Gpu, type GpuBuffer, Plan, whole } from "../../engine/gpu/index.js";
import { type MatmulShape, matmulCalls, matmulWorkspace } from "../../engine/kernels/matmul.js";
import { type Target, targetOf } from "../../engine/kernels/target.js";
import type { SparseRows } from "./tfidf.js";

export interface Products {
  readonly name: "sparse" | "matmul";
  /** Floating-point operations done so far. */
  readonly flops: number;
  /** columns × width; starts a new sum. */
  setBasis(basis: Float32Array): void;
  /** Z = B Q: rows × width. */
  project(block: SparseRows): Promise<Float32Array>;
  /** Adds Bᵀ B Q to the sum. */
  accumulate(block: SparseRows): Promise<void>;
  /** The sum: columns × width. */
  sum(): Promise<Float32Array>;
  dispose(): void;
}

/**
 * The kind that is faster on this adapter: a rule and no measurement at run time, because the two round differently
 * and one seed has to give the same embeddings. Measured on lavapipe: see `ProductKind`.
 */
export type ProductKind = "auto" | Products["name"];

export async function makeProducts(
  gpu: Gpu,
  kind: ProductKind,
  columns: number,
  width: number,
): Promise<Products> {
  const chosen = kind === "auto" ? (gpu.adapter.kind === "gpu" ? "matmul" : "sparse") : kind;
  return chosen === "matmul" ? DenseProducts.create(gpu, columns, width) : new SparseProducts(columns, width);
}

/** Inner loops are unrolled by four: V8 checks bounds for every element, and takes half the time so. */
class SparseProducts implements Products {
  readonly name = "sparse";
  flops = 0;
  #basis: Float32Array = new Float32Array(0);
  readonly #sum: Float64Array;
  readonly #row: Float64Array;

  constructor(columns: number, width: number) {
    this.#sum = new Float64Array(columns * width);
    this.#row = new Float64Array(width);
  }

  setBasis(basis: Float32Array): void {
    this.#basis = basis;
    this.#sum.fill(0);
  }

  async project(block: SparseRows): Promise<Float32Array> {
    const width = this.#row.length;
    const out = new Float32Array(block.rows * width);
    for (let r = 0; r < block.rows; r++) {
      this.#projectRow(block, r);
      out.set(this.#row, r * width);
    }
    this.flops += 2 * block.values.length * width;
    return out;
  }

  async accumulate(block: SparseRows): Promise<void> {
    const width = this.#row.length;
    const row = this.#row;
    const sum = this.#sum;
    for (let r = 0; r < block.rows; r++) {
      this.#projectRow(block, r);
      for (let e = block.offsets[r]; e < block.offsets[r + 1]; e++) {
        const at = block.columns[e] * width;
        const value = block.values[e];
        let c = 0;
        for (; c + 3 < width; c += 4) {
          sum[at + c] += value * row[c];
          sum[at + c + 1] += value * row[c + 1];
          sum[at + c + 2] += value * row[c + 2];
          sum[at + c + 3] += value * row[c + 3];
        }
        for (; c < width; c++) sum[at + c] += value * row[c];
      }
    }
    this.flops += 4 * block.values.length * width;
  }

  #projectRow({ offsets, columns, values }: SparseRows, r: number): void {
    const row = this.#row;
    const width = row.length;
    const basis = this.#basis;
    row.fill(0);
    for (let e = offsets[r]; e < offsets[r + 1]; e++) {
      const at = columns[e] * width;
      const value = values[e];
      let c = 0;
      for (; c + 3 < width; c += 4) {
        row[c] += value * basis[at + c];
        row[c + 1] += value * basis[at + c + 1];
        row[c + 2] += value * basis[at + c + 2];
        row[c + 3] += value * basis[at + c + 3];
      }
      for (; c < width; c++) row[c] += value * basis[at + c];
    }
  }

  async sum(): Promise<Float32Array> {
    return Float32Array.from(this.#sum);
  }

  dispose(): void {}
}

/** Bytes of a block spread out. */
const BLOCK_BYTES = 64 * 2 ** 20;

class DenseProducts implements Products {
  readonly name = "matmul";
  flops = 0;
  #buffers: GpuBuffer[] = [];
  #plans: Plan[] = [];
  #block!: GpuBuffer;
  #basis!: GpuBuffer;
  #projected!: GpuBuffer;
  #sum!: GpuBuffer;
  #project!: Plan;
  #accumulate!: Plan;
  readonly #host: Float32Array;

  private constructor(
    readonly gpu: Gpu,
    readonly columns: number,
    readonly width: number,
    /** Rows of one product; shorter blocks are filled up with zeros. */
    readonly rows: number,
  ) {
    this.#host = new Float32Array(rows * columns);
  }

  static async create(gpu: Gpu, columns: number, width: number): Promise<DenseProducts> {
    const target = targetOf(gpu);
    const bytes = Math.min(BLOCK_BYTES, target.maxBindingBytes);
    const rows = Math.max(16, Math.min(4096, Math.floor(bytes / (columns * 4 * 16)) * 16));
    const products = new DenseProducts(gpu, columns, width, rows);
    try {
      await products.#record(target);
    } catch (error) {
      products.dispose();
      throw error;
    }
    return products;
  }

  async #record(target: Target): Promise<void> {
    const { gpu, rows, columns, width } = this;
    const buffer = async (label: string, elements: number) => {
      const made = await gpu.createBuffer(`embedding ${label}`, "f32", elements);
      this.#buffers.push(made);
      return made;
    };
    this.#block = await buffer("rows", rows * columns);
    this.#basis = await buffer("basis", columns * width);
    this.#projected = await buffer("projection", rows * width);
    this.#sum = await buffer("sum", columns * width);
    const plan = async (label: string, shape: MatmulShape, a: GpuBuffer, b: GpuBuffer, c: GpuBuffer) => {
      const values = matmulWorkspace(target, shape);
      const workspace = values > 0 ? whole(await buffer("workspace", values)) : undefined;
      const calls = matmulCalls(target, shape, { a: whole(a), b: whole(b), c: whole(c) }, workspace);
      const recorded = await Plan.record(gpu, label, calls);
      this.#plans.push(recorded);
      return recorded;
    };
    const reals = { a: "f32", b: "f32", c: "f32" } as const;
    this.#project = await plan(
      "project rows",
      { m: rows, n: width, k: columns, ...reals },
      this.#block,
      this.#basis,
      this.#projected,
    );
    this.#accumulate = await plan(
      "add rows up",
      { m: columns, n: width, k: rows, transposeA: true, accumulate: true, ...reals },
      this.#block,
      this.#projected,
      this.#sum,
    );
  }

  setBasis(basis: Float32Array): void {
    this.#basis.write(basis);
    this.#sum.write(new Float32Array(this.columns * this.width));
  }

  async project(block: SparseRows): Promise<Float32Array> {
    const out = new Float32Array(block.rows * this.width);
    for (let first = 0; first < block.rows; first += this.rows) {
      const count = Math.min(this.rows, block.rows - first);
      this.#load(block, first, count);
      this.#project.run();
      this.flops += this.#project.flops;
      out.set((await this.#projected.read(0, count * this.width)) as Float32Array, first * this.width);
    }
    return out;
  }

  async accumulate(block: SparseRows): Promise<void> {
    for (let first = 0; first < block.rows; first += this.rows) {
      this.#load(block, first, Math.min(this.rows, block.rows - first));
      this.#project.run();
      this.#accumulate.run();
      this.flops += this.#project.flops + this.#accumulate.flops;
      /* keeps uploads from piling up in memory */
      await this.gpu.synchronize();
    }
  }

  /** Spreads rows out, uploads them, and clears what was set. */
  #load({ offsets, columns, values }: SparseRows, first: number, count: number): void {
    const host = this.#host;
    const each = (body: (at: number, e: number) => void) => {
      for (let r = 0; r < count; r++) {
        for (let e = offsets[first + r]; e < offsets[first + r + 1]; e++)
          body(r * this.columns + columns[e], e);
      }
    };
    each((at, e) => {
      host[at] = values[e];
    });
    this.#block.write(host);
    each((at) => {
      host[at] = 0;
    });
  }

  async sum(): Promise<Float32Array> {
    return (await this.#sum.read()) as Float32Array;
  }

  dispose(): void {
    for (const plan of this.#plans) plan.dispose();
    for (const buffer of this.#buffers) buffer.destroy();
  }
}

/** One product of matrices held by the host: c = op(a) op(b), m × n. */
export async function multiply(
  gpu: Gpu,
  a: Float32Array,
  b: Float32Array,
  shape: Pick<MatmulShape, "m" | "n" | "k" | "transposeA" | "transposeB">,
): Promise<Float32Array> {
  const target = targetOf(gpu);
  const full: MatmulShape = { ...shape, a: "f32", b: "f32", c: "f32" };
  const buffers: GpuBuffer[] = [];
  const make = async (label: string, elements: number, data?: Float32Array) => {
    const buffer = await gpu.createBuffer(`product ${label}`, "f32", elements);
    buffers.push(buffer);
    if (data) buffer.write(data);
    return buffer;
  };
  try {
    const c = await make("c", shape.m * shape.n);
    const values = matmulWorkspace(target, full);
    const plan = await Plan.record(
      gpu,
      "product",
      matmulCalls(
        target,
        full,
        { a: whole(await make("a", a.length, a)), b: whole(await make("b", b.length, b)), c: whole(c) },
        values > 0 ? whole(await make("workspace", values)) : undefined,
      ),
    );
    plan.run();
    const result = (await c.read()) as Float32Array;
    plan.dispose();
    return result;
  } finally {
    for (const buffer of buffers) buffer.destroy();
  }
}
