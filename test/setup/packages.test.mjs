// Whether node_modules is what package-lock.json asks for.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { missingPackages } from "../../setup/packages.mjs";

const HOST = { platform: "linux", architecture: "x64" };
const LOCK = {
  packages: {
    "": { name: "project" },
    "node_modules/plain": { version: "1.0.0", integrity: "sha512-a" },
    "node_modules/native-linux-x64": {
      version: "2.0.0",
      integrity: "sha512-b",
      optional: true,
      os: ["linux"],
      cpu: ["x64"],
    },
    "node_modules/native-darwin-arm64": { version: "2.0.0", optional: true, os: ["darwin"], cpu: ["arm64"] },
    "node_modules/native-linux-arm64": { version: "2.0.0", optional: true, os: ["linux"], cpu: ["arm64"] },
    "node_modules/native-linux-x64-musl": {
      version: "2.0.0",
      optional: true,
      os: ["linux"],
      cpu: ["x64"],
      libc: ["musl"],
    },
    "node_modules/not-on-windows": { version: "3.0.0", optional: true, os: ["!win32"] },
  },
};

/** node_modules/.package-lock.json with everything that belongs on HOST, then changed. */
function installed(changes = {}) {
  const packages = {
    "node_modules/plain": LOCK.packages["node_modules/plain"],
    "node_modules/native-linux-x64": LOCK.packages["node_modules/native-linux-x64"],
    "node_modules/not-on-windows": LOCK.packages["node_modules/not-on-windows"],
    ...changes,
  };
  return {
    packages: Object.fromEntries(Object.entries(packages).filter(([, value]) => value !== undefined)),
  };
}

test("a complete installation misses nothing, whatever other platforms would need", () => {
  assert.deepEqual(missingPackages(LOCK, installed(), HOST), []);
  assert.deepEqual(
    missingPackages(LOCK, installed({ "node_modules/extra": { version: "9.9.9" } }), HOST),
    [],
  );
});

test("an absent package, another version and another integrity are each missed", () => {
  for (const stale of [
    undefined,
    { version: "0.9.0", integrity: "sha512-a" },
    { version: "1.0.0", integrity: "sha512-x" },
  ]) {
    assert.deepEqual(missingPackages(LOCK, installed({ "node_modules/plain": stale }), HOST), [
      "node_modules/plain",
    ]);
  }
});

test("an optional package for this platform is missed, also after a move from another platform", () => {
  assert.deepEqual(missingPackages(LOCK, installed(), { platform: "darwin", architecture: "arm64" }), [
    "node_modules/native-darwin-arm64",
  ]);
  assert.deepEqual(missingPackages(LOCK, installed({ "node_modules/not-on-windows": undefined }), HOST), [
    "node_modules/not-on-windows",
  ]);
});

test("an optional package for any platform may be absent: npm leaves it out where its own build fails", () => {
  const lock = {
    packages: { ...LOCK.packages, "node_modules/keychain": { version: "1.0.0", optional: true } },
  };
  assert.deepEqual(missingPackages(lock, installed(), HOST), []);
});

test("an empty installation misses all that belongs here", () => {
  assert.equal(missingPackages(LOCK, {}, HOST).length, 3);
});

// npm 11 refuses a lock file that lacks the optional packages of other platforms, and a registry that lacks them
// leaves them out of the lock file without a word.
test("package-lock.json has an entry for every package that its packages depend on", () => {
  const { packages } = JSON.parse(readFileSync(new URL("../../package-lock.json", import.meta.url), "utf8"));
  const absent = Object.entries(packages).flatMap(([path, entry]) =>
    Object.keys({ ...entry.dependencies, ...entry.optionalDependencies })
      .filter(
        (name) => !(`node_modules/${name}` in packages) && !(`${path}/node_modules/${name}` in packages),
      )
      .map((name) => `${path} -> ${name}`),
  );
  assert.deepEqual(absent, []);
});
