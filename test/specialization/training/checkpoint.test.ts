/** Checkpoints that were damaged or saved by an earlier version are told from whole ones; no device is needed for that. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, beforeEach, describe, test } from "node:test";
import { writeSafetensors } from "../../../specialization/export/safetensors.js";
import { readState, requireChecksum, verifyCheckpoint } from "../../../specialization/training/checkpoint.js";

const folder = mkdtempSync(join(tmpdir(), "slm-checkpoint-"));
after(() => rmSync(folder, { recursive: true }));
const file = join(folder, "state.json");
const MODEL = "model.safetensors";
const OPTIMIZER = "optimizer.safetensors";

const sha256 = (text: string) => createHash("sha256").update(text).digest("hex");

/** Writes a state whose checksum is right, whatever it holds. */
function writeState(state: object): void {
  writeFileSync(file, JSON.stringify({ ...state, sha256: sha256(JSON.stringify(state)) }, null, 2));
}

describe("a checkpoint's state", () => {
  let sound: Record<string, unknown>;

  beforeEach(async () => {
    const entry = { name: "w", dtype: "F32" as const, shape: [2], data: Float32Array.of(1, 2) };
    sound = {
      format: "slm-forge checkpoint",
      version: 2,
      step: 1234,
      tokens: 4567,
      batches: { epoch: 1, next: 12 },
      optimizer: [0.001, 0.25],
      best: { step: 1200, loss: 2.5 },
      files: {
        [MODEL]: await writeSafetensors(join(folder, MODEL), [entry]),
        [OPTIMIZER]: await writeSafetensors(join(folder, OPTIMIZER), [entry]),
      },
    };
    writeState(sound);
  });

  test("that is whole is read", async () => {
    const { sha256: _, ...read } = await verifyCheckpoint(folder);
    assert.deepEqual(read, sound);
  });

  test("is refused with any digit altered, and without its checksum", async () => {
    const text = readFileSync(file, "utf8");
    for (const { index } of text.matchAll(/\d/g)) {
      const other = String((Number(text[index]) + 1) % 10);
      writeFileSync(file, text.slice(0, index) + other + text.slice(index + 1));
      await assert.rejects(verifyCheckpoint(folder), {
        name: "RunError",
        message: /damaged|altered|differs/,
      });
    }
    writeFileSync(file, JSON.stringify(sound));
    assert.throws(() => readState(folder), {
      name: "RunError",
      message: /state\.json: is altered: its checksum differs\. An earlier/,
    });
  });

  test("is refused unless it has the checksums of weights and moments", async () => {
    for (const files of [null, "none", 1]) {
      writeState({ ...sound, files });
      await assert.rejects(verifyCheckpoint(folder), {
        name: "RunError",
        message: /is no checkpoint's state, or damaged/,
      });
    }
    const { [MODEL]: model, [OPTIMIZER]: optimizer } = sound.files as Record<string, unknown>;
    for (const [files, missing] of [
      [{}, MODEL],
      [{ [MODEL]: model }, OPTIMIZER],
      [{ [MODEL]: null, [OPTIMIZER]: optimizer }, MODEL],
    ] as const) {
      writeState({ ...sound, files });
      await assert.rejects(verifyCheckpoint(folder), {
        name: "RunError",
        message: new RegExp(`state\\.json: has no checksum of ${missing}`),
      });
    }
  });

  test("of an earlier version is read, but not trained on from", async () => {
    writeFileSync(file, JSON.stringify({ ...sound, version: 1 }));
    const state = await verifyCheckpoint(folder);
    assert.equal(state.step, 1234);
    assert.throws(() => requireChecksum(folder, state), {
      name: "RunError",
      message: /earlier version of slm-forge.* or begin a new run with model\.from/,
    });
    writeState({ ...sound, version: 1 });
    assert.throws(() => readState(folder), { name: "RunError", message: /altered/ });
  });
});
