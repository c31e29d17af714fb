/** Buffers by lifetime: never two live values in one buffer, never a value in a buffer that is too small. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { assignBuffers, type Lifetime } from "../../../engine/graph/liveness.js";
import { Random } from "../../../engine/random.js";

const seed = Number(process.env.SLM_TEST_SEED ?? Math.floor(Math.random() * 2 ** 31));

function randomLifetimes(random: Random): Lifetime[] {
  const positions = 1 + random.integer(60);
  const sizes = 1 + random.integer(8);
  return Array.from({ length: random.integer(80) }, (_, value) => {
    const first = random.integer(positions);
    const last = Math.min(positions - 1, first + random.integer(1 + random.integer(20)));
    return { value: value * 3, bytes: 16 * (1 + random.integer(sizes) ** 3), first, last };
  });
}

test(`values that live at once never share a buffer (SLM_TEST_SEED=${seed})`, () => {
  const random = new Random(seed);
  for (let round = 0; round < 500; round++) {
    const lifetimes = randomLifetimes(random);
    const { bufferOf, buffers } = assignBuffers(lifetimes);
    assert.deepEqual([...bufferOf.keys()].sort(), lifetimes.map((l) => l.value).sort());
    for (const a of lifetimes) {
      const buffer = bufferOf.get(a.value)!;
      assert.ok(a.bytes <= buffers[buffer], `value ${a.value} does not fit`);
      for (const b of lifetimes) {
        const together = a !== b && a.first <= b.last && b.first <= a.last;
        if (together) assert.notEqual(buffer, bufferOf.get(b.value), `values ${a.value} and ${b.value}`);
      }
    }
    const total = buffers.reduce((sum, bytes) => sum + bytes, 0);
    assert.ok(total <= lifetimes.reduce((sum, l) => sum + l.bytes, 0));
    const live = (at: number) => lifetimes.filter((l) => l.first <= at && at <= l.last);
    for (const { first } of lifetimes) assert.ok(total >= live(first).reduce((sum, l) => sum + l.bytes, 0));
  }
});

test("a chain needs two buffers, however long it is", () => {
  const chain = Array.from({ length: 100 }, (_, i) => ({ value: i, bytes: 64, first: i, last: i + 1 }));
  assert.deepEqual(assignBuffers(chain).buffers, [64, 64]);
});

test("nothing needs no buffer", () => {
  assert.deepEqual(assignBuffers([]).buffers, []);
});
