/** Tensors that do not fit: the error names the operation, the place in the caller's source, and the shapes. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { callerLocation } from "../../../engine/graph/shape.js";
import * as engine from "../../../engine/index.js";

const { Graph, ShapeError } = engine;

const graph = new Graph();
const x = graph.input("x", [6, 8]);
const y = graph.input("y", [6, 7]);
const ids = graph.input("ids", [6], "u32");
const gain = graph.input("gain", [7]);
const heads = { batch: 1, tokens: 6, heads: 2, keyValueHeads: 2, headDimension: 4 };

/** Each builds something that cannot be; the error is to name this line. */
const CASES: Record<string, [build: () => unknown, place: Error, shapes: string[]]> = {
  add: [() => engine.add(x, y), new Error(), ["[6, 8] f32", "[6, 7] f32"]],
  multiply: [() => engine.multiply(x, ids), new Error(), ["[6, 8] f32", "[6] u32"]],
  matmul: [() => engine.matmul(x, y), new Error(), ["[6, 8] f32", "[6, 7] f32"]],
  "matmul bias": [() => engine.matmul(x, x, { transposeB: true, bias: gain }), new Error(), ["[7] f32"]],
  rmsNorm: [() => engine.rmsNorm(x, gain), new Error(), ["[6, 8] f32", "[7] f32"]],
  swiglu: [() => engine.swiglu(y), new Error(), ["[6, 7] f32"]],
  embedding: [() => engine.embedding(ids, ids), new Error(), ["[6] u32"]],
  reshape: [() => engine.reshape(x, [7, 7]), new Error(), ["[6, 8] f32"]],
  attention: [() => engine.attention(x, heads), new Error(), ["[6, 8] f32"]],
  '"empty"': [() => graph.input("empty", [3, 0]), new Error(), []],
};

for (const [name, [build, place, shapes]] of Object.entries(CASES)) {
  test(`${name}: tensors that do not fit`, () => {
    const nodes = graph.nodes.length;
    assert.throws(build, (error: Error) => {
      assert.ok(error instanceof ShapeError, `${error.stack}`);
      assert.equal(error.operation, name.split(" ")[0]);
      const [file, line] = callerLocation(place).split(/:(?=\d+:\d+$)/);
      assert.match(file, /shape\.test\.[jt]s$/);
      const expected = `${error.operation} at ${file}:${line.split(":")[0]}:`;
      assert.ok(error.message.startsWith(expected), `"${error.message}" does not begin with "${expected}"`);
      for (const shape of shapes) assert.ok(error.message.includes(shape), `${shape} in "${error.message}"`);
      return true;
    });
    assert.equal(graph.nodes.length, nodes, "a refused operation left a node");
  });
}

test("what a graph refuses besides shapes is of the engine's own kind", () => {
  const own = new Graph();
  own.input("x", [2]);
  assert.throws(() => own.input("x", [2]), engine.GraphError);
  assert.throws(
    () => own.input("y", [3, -5]),
    /^ShapeError: "y" at .*: the shape is \[3, -5\]; sizes are whole[^(]*$/,
  );
  assert.throws(
    () => engine.gradients(own.parameter("w", [2, 2]), [], own.input("seed", [1])),
    engine.GraphError,
  );
});

test("tensors of different graphs do not mix", () => {
  const other = new Graph().input("other", [6, 8]);
  assert.throws(() => engine.add(x, other), /different graphs/);
});

test("two inputs, or two parameters, of one name", () => {
  assert.throws(() => graph.input("x", [1]), /already has an input named "x"/);
  graph.parameter("w", [1]);
  assert.throws(() => graph.parameter("w", [1]), /already has a parameter named "w"/);
});
