/** Memory planned by liveness changes no value: random graphs against the same graphs with every tensor kept. */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { compile } from "../../../engine/graph/index.js";
import {
  add,
  attention,
  BYTES,
  Executable,
  type Gpu,
  Graph,
  gradients,
  matmul,
  multiply,
  openGpu,
  projectedCrossEntropy,
  Random,
  reshape,
  rmsNorm,
  rope,
  rowMean,
  silu,
  subtract,
  swiglu,
  type Tensor,
  tanh,
  targetOf,
  total,
} from "../../../engine/index.js";
import { relativeError } from "../../../engine/kernels/index.js";
import { ANY_TARGET } from "../../../engine/kernels/target.js";

const seed = Number(process.env.SLM_TEST_SEED ?? Math.floor(Math.random() * 2 ** 31));

const ROWS = 6;
const WIDTH = 8;
const HEADS = { batch: 2, tokens: 3, heads: 2, keyValueHeads: 2, headDimension: 4 };

interface RandomGraph {
  readonly graph: Graph;
  readonly loss: Tensor;
  /** Gradients of the loss with respect to every source that it depends on. */
  readonly gradients: Readonly<Record<string, Tensor>>;
}

/** A graph of [ROWS, WIDTH] tensors, each made from earlier ones, with some parts recomputed; and its gradients. */
function randomGraph(random: Random, operations: number): RandomGraph {
  const graph = new Graph();
  const known: Tensor[] = [graph.input("x", [ROWS, WIDTH]), graph.input("y", [ROWS, WIDTH])];
  const sources = [...known];
  const weight = (shape: number[]) => {
    const same = sources.filter((t) => t.shape.join() === shape.join());
    /* some weights are used more than once */
    if (same.length > 1 && random.uniform() < 0.4) return same[random.integer(same.length)];
    const tensor = graph.input(`w${sources.length}`, shape);
    sources.push(tensor);
    return tensor;
  };
  const pick = () => known[Math.max(0, known.length - 1 - random.integer(4))];
  const makers: (() => Tensor)[] = [
    () => add(pick(), pick()),
    () => subtract(pick(), pick()),
    () => multiply(pick(), tanh(pick())),
    () => add(pick(), rowMean(pick())),
    () => silu(pick()),
    () => matmul(pick(), weight([WIDTH, WIDTH])),
    () => matmul(pick(), weight([WIDTH, WIDTH]), { transposeB: true, residual: pick() }),
    () => rmsNorm(pick(), weight([WIDTH])),
    () => swiglu(matmul(pick(), weight([WIDTH, 2 * WIDTH]))),
    () => reshape(tanh(reshape(pick(), [WIDTH, ROWS])), [ROWS, WIDTH]),
    () => attention(rope(matmul(pick(), weight([WIDTH, 3 * WIDTH])), { ...HEADS, theta: 100 }), HEADS),
  ];
  while (known.length < operations) {
    const make = makers[random.integer(makers.length)];
    known.push(random.uniform() < 0.3 ? graph.recompute(make) : make());
  }
  const loss = total(multiply(known.at(-1)!, known.at(-2)!));
  const found = gradients(
    loss,
    sources,
    graph.constant("seed", [1], "f32", () => [1]),
  );
  const entries = sources.flatMap((t, i) => (found[i] ? [[`gradient of ${t.name}`, found[i]] as const] : []));
  return { graph, loss, gradients: Object.fromEntries(entries) };
}

/** The values of `results` after one run on fixed random input. */
async function evaluate(gpu: Gpu, graph: Graph, results: Record<string, Tensor>) {
  const executable = await Executable.create(gpu, graph, { results });
  const random = new Random(7);
  for (const [name, tensor] of graph.inputs) {
    const values = random.normals(tensor.elements, 0.5);
    if (executable.inputs.has(name) && !graph.constants.has(name)) executable.write(name, values);
  }
  /* twice: the second run finds the first one's values in its memory */
  executable.run();
  executable.run();
  const found = new Map<string, ArrayLike<number>>();
  for (const name of Object.keys(results)) found.set(name, await executable.read(name));
  const { activations } = executable.memory;
  executable.dispose();
  return { found, activations };
}

test("chunks of a cross-entropy begin where every adapter binds, whatever the width and the type", async () => {
  for (const dtype of ["f32", "f16"] as const) {
    const graph = new Graph();
    const hidden = graph.input("hidden", [300, 7], dtype);
    const table = graph.input("table", [11, 7], dtype);
    const { loss } = projectedCrossEntropy(
      hidden,
      table,
      graph.input("targets", [300], "u32"),
      graph.input("weights", [300]),
      { chunk: 64 },
    );
    const [dHidden] = gradients(loss, [hidden, table], graph.input("seed", [1]));
    const { calls } = await compile(graph, ANY_TARGET, { results: { loss, dHidden: dHidden! } });
    const offsets = calls
      .flatMap((call) => ("kernel" in call ? Object.values(call.bindings) : [call.clear]))
      .map((storage) => (storage === "unused" ? 0 : storage.offset * BYTES[storage.dtype]));
    assert.ok(new Set(offsets).size > 2, "there are several chunks");
    for (const offset of offsets) assert.equal(offset % 256, 0, `${dtype}: byte ${offset}`);
  }
});

describe(`compiled graphs (SLM_TEST_SEED=${seed})`, () => {
  let gpu: Gpu;
  before(async () => {
    gpu = await openGpu();
  });
  after(() => gpu.dispose());

  test("give with shared memory what they give with every tensor kept", async () => {
    const random = new Random(seed);
    for (let round = 0; round < 5; round++) {
      const { graph, loss, gradients } = randomGraph(random, 6 + random.integer(8));
      const wanted = { loss, ...gradients };
      const shared = await evaluate(gpu, graph, wanted);
      const kept: Record<string, Tensor> = { ...wanted };
      for (const node of graph.nodes) {
        for (const t of node.outputs) if (node.inputs.length > 0) kept[`${node.id}.${t.output}`] = t;
      }
      const all = await evaluate(gpu, graph, kept);
      for (const name of Object.keys(wanted)) {
        const expected = all.found.get(name)!;
        assert.ok(Array.from(expected).every(Number.isFinite), `round ${round}: ${name} is not finite`);
        const error = relativeError(shared.found.get(name)!, expected);
        assert.ok(error < 1e-4, `round ${round}: ${name} is off by ${error}`);
      }
    }
  });

  test("never use a buffer for two values that live at once", async () => {
    const random = new Random(seed + 1);
    for (let round = 0; round < 10; round++) {
      const { graph, loss, gradients } = randomGraph(random, 4 + random.integer(30));
      const program = await compile(graph, targetOf(gpu), { results: { loss, ...gradients } });
      /* Writers of each buffer in order: a value may be touched only between its own first and last call. */
      const owner = new Map<number, number>();
      const finished = new Set<number>();
      for (const call of program.calls) {
        const touched = "kernel" in call ? Object.values(call.bindings) : [call.clear];
        for (const storage of touched) {
          if (storage === "unused" || program.persistent.has(storage.value)) continue;
          assert.ok(
            !finished.has(storage.value),
            `value ${storage.value} is touched after its buffer went to another`,
          );
          const buffer = program.bufferOf.get(storage.value)!;
          const before = owner.get(buffer);
          if (before !== undefined && before !== storage.value) finished.add(before);
          owner.set(buffer, storage.value);
        }
      }
    }
  });

  test("of a long chain take the memory of its widest place, not of its length", async () => {
    const deep = (layers: number) => {
      const graph = new Graph();
      let x = graph.input("x", [ROWS, WIDTH]);
      for (let i = 0; i < layers; i++)
        x = silu(
          matmul(
            x,
            graph.constant("w", [WIDTH, WIDTH], "f32", () => new Float32Array(WIDTH * WIDTH)),
          ),
        );
      return compile(graph, targetOf(gpu), { results: { x } });
    };
    assert.equal((await deep(50)).activationBytes, (await deep(5)).activationBytes);
  });

  test("recompute segments in less memory", async () => {
    const bytes = async (recompute: boolean) => {
      const graph = new Graph();
      const x = graph.input("x", [64, 64]);
      let y = x;
      for (let i = 0; i < 8; i++) {
        const inner = y;
        const layer = () => add(inner, tanh(silu(tanh(silu(inner)))));
        y = recompute ? graph.recompute(layer) : layer();
      }
      const [dx] = gradients(total(y), [x], graph.input("seed", [1]));
      return (await compile(graph, targetOf(gpu), { results: { dx: dx! } })).activationBytes;
    };
    assert.ok((await bytes(true)) < (await bytes(false)) / 2);
  });

  test("give inputs, views of them, one tensor under two names, and tensors that others read", async () => {
    const graph = new Graph();
    const x = graph.input("x", [2, 3]);
    const y = silu(x);
    const z = tanh(y);
    const executable = await Executable.create(gpu, graph, {
      results: { x, view: reshape(x, [3, 2]), y, again: y, flat: reshape(y, [6]), z },
    });
    const values = [1, 2, 3, 4, 5, 6];
    executable.write("x", values);
    executable.run();
    const silus = values.map((v) => v / (1 + Math.exp(-v)));
    for (const [name, expected] of Object.entries({
      x: values,
      view: values,
      y: silus,
      again: silus,
      flat: silus,
      z: silus.map(Math.tanh),
    })) {
      const error = relativeError(await executable.read(name), expected);
      assert.ok(error < 1e-6, `${name} is off by ${error}`);
    }
    executable.dispose();
  });

  test("leave out what no result needs", async () => {
    const graph = new Graph();
    const x = graph.input("x", [4]);
    const y = silu(x);
    tanh(graph.input("unused", [4]));
    const program = await compile(graph, targetOf(gpu), { results: { y } });
    assert.equal(program.calls.length, 1);
    assert.deepEqual([...program.persistent.values()].map((p) => p.name).sort(), ["x", "y"]);
  });
});
