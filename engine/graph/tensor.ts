/**
 * Symbolic tensors. An operation checks shapes when it is applied and appends a node to its graph; nothing runs
 * until the graph is compiled. Nodes stay in the order in which they were made, which is also the order of execution.
 */
import type { DType, HostArray, KernelCall } from "../gpu/index.js";
import type { Real, Target } from "../kernels/index.js";
import { callerLocation, elementsOf, GraphError, type Shape, ShapeError } from "./shape.js";

export class Tensor {
  constructor(
    readonly node: Node,
    /** Which output of the node. */
    readonly output: number,
    readonly shape: Shape,
    readonly dtype: DType,
  ) {}

  get graph(): Graph {
    return this.node.graph;
  }

  get elements(): number {
    return elementsOf(this.shape);
  }

  /** The name of an input or parameter; otherwise that of its operation. */
  get name(): string {
    return this.node.name ?? "";
  }

  /** The storage type where it is one that kernels compute in. */
  get real(): Real {
    if (this.dtype !== "f32" && this.dtype !== "f16") {
      throw new GraphError(
        `${this.node.label}: expected f32 or f16 values, this tensor holds ${this.dtype}.`,
      );
    }
    return this.dtype;
  }
}

export interface TensorType {
  readonly shape: Shape;
  readonly dtype: DType;
}

/** Where a tensor's values will be: a part of a buffer that the compiler chooses. */
export interface Storage {
  /** Number of the value in the compiled graph; storages with the same value share memory. */
  readonly value: number;
  readonly dtype: DType;
  /** First value of the part that is meant; parts begin at multiples of 256 bytes. */
  readonly offset: number;
  readonly elements: number;
}

/** `elements` values of a storage from `start`. */
export function slice(storage: Storage, start: number, elements: number): Storage {
  return { ...storage, offset: storage.offset + start, elements };
}

/** What an operation sees while it turns a node into kernel calls. */
export interface Lowering {
  readonly node: Node;
  readonly target: Target;
  readonly inputs: readonly Storage[];
  readonly outputs: readonly Storage[];
  /** Output 0 holds a value that the result is to be added to. Only operations with `accumulates` see true. */
  readonly accumulate: boolean;
  /** Memory that lives only for this node's calls. */
  scratch(dtype: DType, elements: number): Storage;
  emit(...calls: KernelCall<Storage>[]): void;
}

export interface GradientContext<A> {
  readonly node: Node<A>;
  readonly inputs: readonly Tensor[];
  readonly outputs: readonly Tensor[];
  /** Gradient of each output; undefined where the loss does not depend on it. */
  readonly gradients: readonly (Tensor | undefined)[];
  /** Which inputs need a gradient. */
  readonly needed: readonly boolean[];
}

/** A kind of node: shape rule, gradient and lowering side by side. */
export interface Operation<A = unknown> {
  readonly name: string;
  /** Types of the outputs. Throws through `fail` when the inputs do not fit. */
  infer(inputs: readonly Tensor[], attributes: A, fail: (problem: string) => never): TensorType[];
  /** One gradient per input, undefined for those not needed. Absent where the operation has none. */
  gradient?(context: GradientContext<A>): (Tensor | undefined)[];
  lower(context: Lowering & { node: Node<A> }): void | Promise<void>;
  /** The single output is the same memory as input 0 under another shape. */
  readonly view?: boolean;
  /** `lower` can add to output 0 instead of replacing it. */
  readonly accumulates?: boolean;
  /** Output 0 may take the memory of input 0 when nobody else reads it; `lower` copies first where they differ. */
  readonly inPlace?: boolean;
}

/** Nodes whose values are computed again for the backward pass instead of being kept. */
export class Segment {
  constructor(readonly label: string) {}
}

export class Node<A = unknown> {
  readonly outputs: readonly Tensor[];
  readonly #trace: Error;

  constructor(
    readonly graph: Graph,
    readonly id: number,
    readonly operation: Operation<A>,
    readonly inputs: readonly Tensor[],
    readonly attributes: A,
    types: readonly TensorType[],
    readonly segment: Segment | undefined,
    readonly scope: string,
    trace: Error,
    readonly name?: string,
  ) {
    this.outputs = types.map((t, i) => new Tensor(this as Node, i, t.shape, t.dtype));
    this.#trace = trace;
  }

  get location(): string {
    return callerLocation(this.#trace);
  }

  get label(): string {
    return [this.scope, this.name ?? this.operation.name].filter(Boolean).join(" / ");
  }
}

/** How a parameter is made before training. */
export type Initial =
  | { readonly kind: "normal"; readonly deviation: number; readonly mean?: number }
  | { readonly kind: "constant"; readonly value: number };

export interface ParameterSpec {
  readonly name: string;
  readonly shape: Shape;
  /** Type that kernels read it in; the master copy is always f32. */
  readonly dtype: "f32" | "f16";
  readonly initial: Initial;
  /** Whether weight decay applies (matrices usually, gains not). */
  readonly decay: boolean;
  /** Whether training changes it; a fixed one takes no memory for a gradient and moments. */
  readonly trainable: boolean;
}

const source: Operation<null> = {
  name: "source",
  infer: () => [],
  lower: () => undefined,
};

export class Graph {
  readonly nodes: Node[] = [];
  readonly inputs = new Map<string, Tensor>();
  /** Inputs whose values are known when the graph is built. */
  readonly constants = new Map<string, HostArray>();
  /** Tensors that a later node also computes, on the way to a gradient: use that one when it runs anyway. */
  readonly superseded = new Map<Tensor, Tensor>();
  readonly parameters = new Map<string, { spec: ParameterSpec; tensor: Tensor }>();
  #segment: Segment | undefined;
  #scopes: string[] = [];

  /** A tensor that the host writes before each run. */
  input(name: string, shape: Shape, dtype: DType = "f32"): Tensor {
    if (this.inputs.has(name)) throw new GraphError(`The graph already has an input named "${name}".`);
    const tensor = this.#source(name, shape, dtype);
    this.inputs.set(name, tensor);
    return tensor;
  }

  /** A tensor of fixed values; one per name, made on first use. */
  constant(name: string, shape: Shape, dtype: DType, values: () => HostArray): Tensor {
    const known = this.inputs.get(name);
    if (known) return known;
    this.constants.set(name, values());
    return this.input(name, shape, dtype);
  }

  /** A tensor that training changes, unless it is fixed. Its gradient is f32 whatever its own type. */
  parameter(
    name: string,
    shape: Shape,
    options: { initial?: Initial; decay?: boolean; dtype?: "f32" | "f16"; trainable?: boolean } = {},
  ): Tensor {
    if (this.parameters.has(name)) throw new GraphError(`The graph already has a parameter named "${name}".`);
    const fanIn = shape.length > 1 ? shape[shape.length - 1] : 1;
    const spec: ParameterSpec = {
      name,
      shape,
      dtype: options.dtype ?? "f32",
      initial: options.initial ?? { kind: "normal", deviation: 1 / Math.sqrt(fanIn) },
      decay: options.decay ?? shape.length > 1,
      trainable: options.trainable ?? true,
    };
    const tensor = this.#source(name, shape, spec.dtype);
    this.parameters.set(name, { spec, tensor });
    return tensor;
  }

  isParameter(tensor: Tensor): boolean {
    return this.parameters.get(tensor.name)?.tensor === tensor;
  }

  /** Applies an operation: checks it and appends a node. @throws ShapeError */
  apply<A>(operation: Operation<A>, inputs: readonly Tensor[], attributes: A): readonly Tensor[] {
    const trace = new Error();
    const fail = (problem: string): never => {
      throw new ShapeError(operation.name, problem, inputs, callerLocation(trace));
    };
    for (const input of inputs) {
      if (input.graph !== this) fail("its inputs belong to different graphs");
    }
    const types = operation.infer(inputs, attributes, fail);
    return this.#append(operation, inputs, attributes, types, this.#segment, trace).outputs;
  }

  /** Repeats a node with other inputs, outside any segment (recomputation). */
  repeat(node: Node, inputs: readonly Tensor[]): Node {
    const types = node.outputs.map(({ shape, dtype }) => ({ shape, dtype }));
    return this.#append(
      node.operation,
      inputs,
      node.attributes,
      types,
      undefined,
      new Error(),
      `${node.scope} (again)`,
    );
  }

  /** Names the nodes made in `body`, for profiles and errors. */
  scope<T>(name: string, body: () => T): T {
    this.#scopes.push(name);
    try {
      return body();
    } finally {
      this.#scopes.pop();
    }
  }

  /**
   * Trades time for memory: values made in `body` are not kept for the backward pass but computed again
   * from what entered it (selective recomputation, Chen et al. 2016).
   */
  recompute<T>(body: () => T): T {
    const outer = this.#segment;
    this.#segment = new Segment(this.#scopes.join(" / "));
    try {
      return body();
    } finally {
      this.#segment = outer;
    }
  }

  #source(name: string, shape: Shape, dtype: DType): Tensor {
    if (shape.some((size) => !Number.isInteger(size) || size < 1)) {
      throw new ShapeError(
        `"${name}"`,
        `the shape is [${shape.join(", ")}]; sizes are whole and at least 1`,
        [],
        callerLocation(new Error()),
      );
    }
    return this.#append(source, [], null, [{ shape, dtype }], undefined, new Error(), "", name).outputs[0];
  }

  #append<A>(
    operation: Operation<A>,
    inputs: readonly Tensor[],
    attributes: A,
    types: readonly TensorType[],
    segment: Segment | undefined,
    trace: Error,
    scope = this.#scopes.join(" / "),
    name?: string,
  ): Node<A> {
    const node = new Node(
      this,
      this.nodes.length,
      operation,
      inputs,
      attributes,
      types,
      segment,
      scope,
      trace,
      name,
    );
    this.nodes.push(node as Node);
    return node;
  }
}
