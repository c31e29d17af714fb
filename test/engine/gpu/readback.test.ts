/** Readback: values as they were at their point of the queue, several reads under way, no allocation after construction. */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { type Gpu, type GpuBuffer, openGpu, Readback } from "../../../engine/index.js";

let gpu: Gpu;
let first: GpuBuffer;
let second: GpuBuffer;
before(async () => {
  gpu = await openGpu({});
  first = await gpu.createBuffer("first", "f32", 5);
  second = await gpu.createBuffer("second", "f32", 3);
});
after(() => gpu.dispose());

const part = (buffer: GpuBuffer, offset: number, values: number) => ({
  buffer: buffer.raw,
  offset: offset * 4,
  bytes: values * 4,
});

test("gives each read the values of its moment, though all are under way together", async () => {
  const readback = new Readback(gpu, [part(first, 1, 3), part(second, 2, 1)], 4);
  const before = gpu.counters.buffers;
  const reads: Promise<Float32Array[]>[] = [];
  for (let i = 0; i < 4; i++) {
    first.write([i, i + 0.25, i + 0.5, i + 0.75, 9]);
    second.write([7, 7, 100 - i]);
    reads.push(readback.read());
  }
  assert.equal(readback.available, 0);
  for (const [i, read] of reads.entries()) {
    const [a, b] = await read;
    assert.deepEqual([...a], [i + 0.25, i + 0.5, i + 0.75]);
    assert.deepEqual([...b], [100 - i]);
  }
  assert.equal(readback.available, 4);
  assert.equal(gpu.counters.buffers, before);
  readback.dispose();
});

test("what was read stays when the slot serves again", async () => {
  const readback = new Readback(gpu, [part(second, 0, 3)], 1);
  second.write([1, 2, 3]);
  const [earlier] = await readback.read();
  second.write([4, 5, 6]);
  const [later] = await readback.read();
  assert.deepEqual([...earlier, ...later], [1, 2, 3, 4, 5, 6]);
  readback.dispose();
});

test("refuses more reads than it has slots, and serves again afterwards", async () => {
  const readback = new Readback(gpu, [part(first, 0, 5)], 2);
  const reads = [readback.read(), readback.read()];
  await assert.rejects(readback.read(), /Every slot of this readback is under way/);
  await Promise.all(reads);
  assert.equal((await readback.read())[0].length, 5);
  readback.dispose();
});

test("disposed with a read under way, the read fails by name", async () => {
  const readback = new Readback(gpu, [part(first, 0, 5)], 1);
  const read = readback.read();
  readback.dispose();
  await assert.rejects(read, { name: "GpuError", message: /Reading values back failed/ });
  gpu.check();
});

test("a range outside of its buffer is refused by the device", async () => {
  const small = await openGpu({});
  const buffer = await small.createBuffer("small", "f32", 4);
  const readback = new Readback(small, [{ buffer: buffer.raw, offset: 8, bytes: 64 }], 1);
  await assert.rejects(
    readback.read().then(() => small.check()),
    { name: "ValidationError" },
  );
  readback.dispose();
  small.dispose();
});
