// Runs the tests: the compiled files of test/**/*.test.ts and the plain test/**/*.test.mjs, two files at a time.
// Files are named one by one, because releases of Node differ in how they search a folder.
// usage: node test/run.mjs [part of a path …]     only the files whose path contains one of the parts

import { spawnSync } from "node:child_process";
import { existsSync, readdirSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const parts = process.argv.slice(2);

// Listed by source, so that what a deleted test left in dist/ is not run.
const files = readdirSync(join(root, "test"), { recursive: true })
  .map((name) => `test/${name.replaceAll("\\", "/")}`)
  .filter((path) => /\.test\.(ts|mjs)$/.test(path))
  .filter((path) => parts.length === 0 || parts.some((part) => path.includes(part)))
  .map((path) => (path.endsWith(".ts") ? `dist/${path.replace(/ts$/, "js")}` : path))
  .sort();

if (files.length === 0) {
  console.error(`no test file has ${parts.join(" or ") || ".test."} in its path`);
  process.exit(1);
}
const missing = files.filter((path) => !existsSync(join(root, path)));
if (missing.length > 0) {
  console.error(`not compiled (run npm run setup): ${missing.join(", ")}`);
  process.exit(1);
}

// Two files at a time: while one waits for its device, another has the processor. More would want more memory than
// small machines have.
const options = ["--enable-source-maps", "--test", "--test-concurrency=2", "--test-reporter=spec"];
const { status, signal, error } = spawnSync(process.execPath, [...options, ...files], {
  cwd: root,
  stdio: "inherit",
});
if (error) throw error;
if (signal) console.error(`the test runner was ended by ${signal}`);
process.exit(status ?? 1);
