/**
 * From graph to program: chooses storage for every tensor, lowers nodes to kernel calls, and plans memory by liveness.
 * A `Program` is still only a description: its memory is known before anything is allocated.
 */
import type { DType, KernelCall, PlanCall, UNUSED } from "../gpu/index.js";
import { GpuBuffer, Plan } from "../gpu/index.js";
import type { Target } from "../kernels/index.js";
import { assignBuffers, type Lifetime } from "./liveness.js";
import { addInto, copyInto } from "./operations/elementwise.js";
import type { Graph, Node, Storage, Tensor } from "./tensor.js";

/** Memory that outlives the program, by name: inputs, parameters, gradients, results. */
export interface Persistent {
  readonly kind: "input" | "parameter" | "gradient" | "result";
  readonly name: string;
  readonly dtype: DType;
  readonly elements: number;
}

export interface CompileRequest {
  /** Tensors the host reads after a run, by name. */
  readonly results: Readonly<Record<string, Tensor>>;
  /** Tensors written into the gradient arena, by parameter name. */
  readonly gradients?: ReadonlyMap<string, Tensor>;
  /** Add gradients to what the arena holds (several micro-batches a step). */
  readonly accumulate?: boolean;
}

export interface Program {
  readonly graph: Graph;
  readonly calls: readonly PlanCall<Storage>[];
  readonly persistent: ReadonlyMap<number, Persistent>;
  /** Buffer number of every other value, and the bytes of each buffer. */
  readonly bufferOf: ReadonlyMap<number, number>;
  readonly bufferBytes: readonly number[];
  /** Bytes of activations and scratch, and of the uniform arena for a given offset alignment. */
  readonly activationBytes: number;
  uniformBytes(alignment: number): number;
}

/** Compiles the part of a graph that the request needs. @throws GpuError, ShapeError */
export async function compile(graph: Graph, target: Target, request: CompileRequest): Promise<Program> {
  const gradients = [...(request.gradients?.values() ?? [])];
  const backward = new Set(neededNodes(graph, new Set(gradients)));
  const results = Object.fromEntries(
    Object.entries(request.results).map(([name, tensor]) => {
      const better = graph.superseded.get(tensor);
      return [name, better && backward.has(better.node) ? better : tensor];
    }),
  );
  const wanted = [...Object.values(results), ...gradients];
  const nodes = neededNodes(graph, new Set(wanted));
  const compiler = new Compiler(target, nodes, wanted);
  compiler.placeSources(graph, nodes);
  compiler.placeGradients(request);
  compiler.placeResults(results);
  await compiler.lower();
  return compiler.finish(graph);
}

/** Nodes that the wanted tensors depend on, in order. */
function neededNodes(graph: Graph, wanted: ReadonlySet<Tensor>): Node[] {
  const needed = new Set<Node>();
  const stack = [...wanted].map((t) => t.node);
  while (stack.length > 0) {
    const node = stack.pop()!;
    if (needed.has(node)) continue;
    needed.add(node);
    stack.push(...node.inputs.map((t) => t.node));
  }
  return graph.nodes.filter((n) => needed.has(n));
}

class Compiler {
  #persistent = new Map<number, Persistent>();
  #storages = new Map<Tensor, Storage>();
  #calls: PlanCall<Storage>[] = [];
  #values = 0;
  #bytes = new Map<number, number>();
  /** Sums folded into the kernel that makes their second operand: producer of b → tensor a. */
  #foldedSums = new Map<Node, Tensor>();
  /** The sum nodes that need no kernel because of that. */
  #folded = new Set<Node>();
  /** Gradients that are added to what the arena holds. */
  #accumulating = new Set<number>();
  #afterwards: (() => void)[] = [];

  /** How often each tensor is read. */
  #uses = new Map<Tensor, number>();

  constructor(
    readonly target: Target,
    readonly nodes: readonly Node[],
    wanted: readonly Tensor[],
  ) {
    const read = (t: Tensor) => this.#uses.set(t, (this.#uses.get(t) ?? 0) + 1);
    for (const t of wanted) read(t);
    for (const node of nodes) for (const t of node.inputs) read(t);
    this.#foldSums();
  }

  /**
   * a + b where b comes from a kernel that can add to its output: let it add to a. Only when nobody else reads
   * a or b, and a exists before b is made. This is how several gradients of one parameter meet without extra passes.
   */
  #foldSums(): void {
    const uses = this.#uses;
    for (const node of this.nodes) {
      if (node.operation.name !== "add" || node.inputs.length !== 2) continue;
      const [a, b] = node.inputs;
      const maker = b.node;
      const fits =
        maker.operation.accumulates &&
        b.output === 0 &&
        a.dtype === b.dtype &&
        a.elements === b.elements &&
        a.node.id < maker.id &&
        a.node.inputs.length > 0 &&
        !a.node.operation.view &&
        uses.get(a) === 1 &&
        uses.get(b) === 1 &&
        !this.#foldedSums.has(maker);
      if (!fits) continue;
      this.#foldedSums.set(maker, a);
      this.#folded.add(node);
    }
  }

  #newValue(dtype: DType, elements: number): Storage {
    const value = this.#values++;
    this.#bytes.set(value, GpuBuffer.byteLength(dtype, elements));
    return { value, dtype, offset: 0, elements };
  }

  #place(tensor: Tensor, persistent: Persistent): Storage {
    const storage = { value: this.#values++, dtype: tensor.dtype, offset: 0, elements: tensor.elements };
    this.#persistent.set(storage.value, persistent);
    this.#storages.set(tensor, storage);
    return storage;
  }

  placeSources(graph: Graph, nodes: readonly Node[]): void {
    const needed = new Set(nodes);
    for (const [name, tensor] of graph.inputs) {
      if (!needed.has(tensor.node)) continue;
      this.#place(tensor, { kind: "input", name, dtype: tensor.dtype, elements: tensor.elements });
    }
    for (const [name, { tensor }] of graph.parameters) {
      if (!needed.has(tensor.node)) continue;
      this.#place(tensor, { kind: "parameter", name, dtype: tensor.dtype, elements: tensor.elements });
    }
  }

  /** The tensor whose memory `tensor` is a view of, through views and folded sums. */
  #root(tensor: Tensor): Tensor {
    const { node } = tensor;
    if (node.operation.view) return this.#root(node.inputs[0]);
    if (this.#folded.has(node)) return this.#root(node.inputs[0]);
    if (node.operation.inPlace && tensor.output === 0 && this.#onlyReader(node.inputs[0])) {
      return this.#root(node.inputs[0]);
    }
    return tensor;
  }

  /** Whether the memory of a tensor belongs to this program and has one reader, through views too. */
  #onlyReader(tensor: Tensor): boolean {
    const { node } = tensor;
    if (this.#uses.get(tensor) !== 1 || node.inputs.length === 0) return false;
    return this.#root(tensor) === tensor || this.#onlyReader(node.inputs[0]);
  }

  /** Whether kernels that work in place come between the one that makes a tensor's memory and the tensor. */
  #isChanged(tensor: Tensor): boolean {
    const root = this.#root(tensor);
    for (let t = tensor; t !== root; t = t.node.inputs[0]) if (t.node.operation.inPlace) return true;
    return false;
  }

  placeGradients({ gradients, accumulate }: CompileRequest): void {
    for (const [name, tensor] of gradients ?? []) {
      const persistent: Persistent = { kind: "gradient", name, dtype: "f32", elements: tensor.elements };
      const root = this.#root(tensor);
      /* a gradient that another kernel reads may not lie in the arena that the kernel writes */
      const direct = root.dtype === "f32" && this.#onlyReader(tensor);
      const adds = root.output === 0 && root.node.operation.accumulates && !this.#isChanged(tensor);
      if (direct && (!accumulate || adds)) {
        const storage = this.#place(root, persistent);
        if (accumulate) this.#accumulating.add(storage.value);
        continue;
      }
      const storage: Storage = { value: this.#values++, dtype: "f32", offset: 0, elements: tensor.elements };
      this.#persistent.set(storage.value, persistent);
      this.#afterwards.push(() => {
        const make = accumulate ? addInto : copyInto;
        this.#calls.push(make(this.target, tensor, "f32", { input: this.#storage(tensor), output: storage }));
      });
    }
  }

  placeResults(results: Readonly<Record<string, Tensor>>): void {
    for (const [name, tensor] of Object.entries(results)) {
      const persistent: Persistent = { kind: "result", name, dtype: tensor.dtype, elements: tensor.elements };
      const root = this.#root(tensor);
      if (!this.#storages.has(root)) {
        this.#place(root, persistent);
        continue;
      }
      const storage: Storage = {
        value: this.#values++,
        dtype: tensor.dtype,
        offset: 0,
        elements: tensor.elements,
      };
      this.#persistent.set(storage.value, persistent);
      this.#afterwards.push(() => {
        const b = { input: this.#storage(tensor), output: storage };
        this.#calls.push(copyInto(this.target, tensor, tensor.real, b));
      });
    }
  }

  #storage(tensor: Tensor): Storage {
    const root = this.#root(tensor);
    let storage = this.#storages.get(root);
    if (!storage) {
      storage = this.#newValue(root.dtype, root.elements);
      this.#storages.set(root, storage);
    }
    return storage;
  }

  async lower(): Promise<void> {
    for (const node of this.nodes) {
      if (node.inputs.length === 0 || node.operation.view || this.#folded.has(node)) continue;
      const sumInto = this.#foldedSums.get(node);
      const outputs = node.outputs.map((t, i) =>
        i === 0 && sumInto ? this.#storage(sumInto) : this.#storage(t),
      );
      const accumulate = sumInto !== undefined || this.#accumulating.has(outputs[0].value);
      await node.operation.lower({
        node,
        target: this.target,
        inputs: node.inputs.map((t) => this.#storage(t)),
        outputs,
        accumulate,
        scratch: (dtype, elements) => this.#newValue(dtype, elements),
        emit: (...calls) => this.#calls.push(...calls.map((c) => named(node, c))),
      });
    }
    for (const emit of this.#afterwards) emit();
  }

  finish(graph: Graph): Program {
    const lifetimes = new Map<number, { first: number; last: number }>();
    for (const [position, call] of this.#calls.entries()) {
      const touched = "kernel" in call ? Object.values(call.bindings) : [call.clear];
      for (const storage of touched) {
        if (isUnused(storage) || this.#persistent.has(storage.value)) continue;
        const life = lifetimes.get(storage.value);
        lifetimes.set(storage.value, { first: life?.first ?? position, last: position });
      }
    }
    const list: Lifetime[] = [...lifetimes].map(([value, life]) => ({
      value,
      bytes: this.#bytes.get(value)!,
      ...life,
    }));
    const { bufferOf, buffers } = assignBuffers(list);
    const calls = this.#calls;
    return {
      graph,
      calls,
      persistent: this.#persistent,
      bufferOf,
      bufferBytes: buffers,
      activationBytes: buffers.reduce((sum, bytes) => sum + bytes, 0),
      uniformBytes: (alignment) => Plan.uniformBytes(calls, alignment),
    };
  }
}

function named(node: Node, call: KernelCall<Storage>): KernelCall<Storage> {
  return { ...call, label: `${node.label}: ${call.label}` };
}

function isUnused(storage: Storage | typeof UNUSED): storage is typeof UNUSED {
  return storage === "unused";
}
