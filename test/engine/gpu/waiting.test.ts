// Waiting with naps: waits that follow one another must not nap more and more often.
import assert from "node:assert/strict";
import { test } from "node:test";
import { waitWithNaps } from "../../../engine/gpu/waiting.js";

const TURNS = 4;

/** A promise that is kept after some turns of the event loop, as Dawn's are. */
function afterTurns(turns: number): Promise<void> {
  return new Promise((resolve) => {
    const turn = () => (turns-- > 0 ? setImmediate(turn) : resolve());
    turn();
  });
}

test("waits in a row nap at most once a turn of the event loop", async (context) => {
  const naps = context.mock.method(Atomics, "wait");
  const waits = 25;
  for (let i = 0; i < waits; i++) await waitWithNaps(afterTurns(TURNS));
  const counted = naps.mock.callCount();
  assert.ok(counted > 0, "no nap at all");
  assert.ok(counted <= waits * (TURNS + 1), `${counted} naps in ${waits} waits of ${TURNS} turns`);
});

test("waits at the same time share their naps, and a wait that fails ends them", async (context) => {
  const naps = context.mock.method(Atomics, "wait");
  const failing = waitWithNaps(afterTurns(TURNS).then(() => Promise.reject(new Error("lost"))));
  await Promise.all([waitWithNaps(afterTurns(TURNS)), assert.rejects(failing, /lost/)]);
  await afterTurns(2);
  const counted = naps.mock.callCount();
  assert.ok(counted > 0 && counted <= TURNS + 2, `${counted} naps in ${TURNS} turns`);
  await afterTurns(5);
  assert.equal(naps.mock.callCount(), counted, "naps after the last wait");
});
