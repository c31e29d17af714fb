/** Checks and benchmarks take the tile that training takes: the one that was measured to be fastest. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { find } from "../../cli/commands/kernels-selection.js";
import { tilesOf as attentionTiles } from "../../engine/kernels/attention-tiles.js";
import { assignTileName, assignTiles } from "../../engine/kernels/kmeans-assign.js";
import { tilesOf as matmulTiles } from "../../engine/kernels/matmul-tiles.js";
import { Preferences } from "../../engine/kernels/preferences.js";
import { ANY_TARGET, type Target } from "../../engine/kernels/target.js";
import { Random } from "../../engine/random.js";

describe("the tile of a problem", () => {
  /** Knows nothing: no adapter is named so. */
  const preferences = Preferences.load({ name: "an adapter of the tests", driver: "none" });
  const target: Target = { ...ANY_TARGET, software: true, tensorCores: undefined, preferences };
  const named = {
    matmul: matmulTiles("tiled", target).map(({ name }) => name),
    attention: attentionTiles("tiled", target).map(({ name }) => name),
    "kmeans-assign": assignTiles(target, "tiled").map(assignTileName),
  };

  for (const [name, tiles] of Object.entries(named)) {
    test(`${name}: the best guess, then the one that was measured to be fastest`, () => {
      const [definition] = find(name);
      const context = () => ({ target, random: new Random(1), variant: "tiled", real: "f32" as const });
      preferences.takeMisses();
      assert.equal(definition.benchmark(context()).tile, tiles[0]);
      const [miss] = preferences.takeMisses();
      preferences.prefer(miss, tiles[1]);
      assert.equal(definition.benchmark(context()).tile, tiles[1]);
      const checked = new Set(definition.cases(context()).map(({ tile }) => tile));
      assert.ok(checked.has(tiles[1]), [...checked].join());
    });
  }

  test("a variant that training would not take here keeps its best guess", () => {
    const [matmul] = find("matmul");
    preferences.takeMisses();
    const problem = matmul.benchmark({ target, random: new Random(1), variant: "tensor", real: "f16" });
    assert.equal(problem.tile, matmulTiles("tensor", target)[0].name);
    assert.deepEqual(preferences.takeMisses(), []);
  });
});
