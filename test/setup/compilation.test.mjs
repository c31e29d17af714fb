// When the sources are compiled again: the stamp follows contents, not times, and outputs must exist.

import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, test } from "node:test";
import { compilationIsCurrent, sourceHash, typescriptSources } from "../../setup/compilation.mjs";

let root;

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "slm-compilation-test-"));
  mkdirSync(join(root, "engine/gpu"), { recursive: true });
  mkdirSync(join(root, "dist/engine/gpu"), { recursive: true });
  writeFileSync(join(root, "tsconfig.json"), JSON.stringify({ include: ["engine", "absent"] }));
  writeFileSync(join(root, "package-lock.json"), "{}");
  writeFileSync(join(root, "engine/gpu/a.ts"), "export const a = 1;\n");
  writeFileSync(join(root, "engine/b.d.ts"), "export declare const b: number;\n");
  writeFileSync(join(root, "engine/note.md"), "not a source\n");
  mkdirSync(join(root, "engine/node_modules/package"), { recursive: true });
  writeFileSync(join(root, "engine/node_modules/package/index.d.ts"), "export {};\n");
  writeFileSync(join(root, "dist/engine/gpu/a.js"), "export const a = 1;\n");
  writeFileSync(join(root, "dist/.compiled"), sourceHash(root));
});
afterEach(() => rmSync(root, { recursive: true }));

test("the sources are the TypeScript files under the included folders", () => {
  assert.deepEqual(typescriptSources(root), ["engine/b.d.ts", "engine/gpu/a.ts"]);
});

test("an untouched tree is current, and so is one whose files only have other times", () => {
  assert.equal(compilationIsCurrent(root), true);
  utimesSync(join(root, "engine/gpu/a.ts"), new Date(0), new Date());
  assert.equal(compilationIsCurrent(root), true);
});

test("changed, new and deleted sources, other packages and other options ask for a compilation", () => {
  const changes = {
    "engine/gpu/a.ts": "export const a = 2;\n",
    "engine/new.d.ts": "export declare const c: number;\n",
    "package-lock.json": "{ }",
    "tsconfig.json": JSON.stringify({ include: ["engine"], strict: true }),
  };
  for (const [path, text] of Object.entries(changes)) {
    writeFileSync(join(root, path), text);
    assert.equal(compilationIsCurrent(root), false, path);
    writeFileSync(join(root, "dist/.compiled"), sourceHash(root));
    assert.equal(compilationIsCurrent(root), true, path);
  }
  rmSync(join(root, "engine/new.d.ts"));
  assert.equal(compilationIsCurrent(root), false);
});

test("a missing output or stamp asks for a compilation", () => {
  rmSync(join(root, "dist/engine/gpu/a.js"));
  assert.equal(compilationIsCurrent(root), false);
  rmSync(join(root, "dist"), { recursive: true });
  assert.equal(compilationIsCurrent(root), false);
});
