// Runs the tests that drive the pages in headless Chromium, which is installed first where it is missing.
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { dirname } from "node:path";
import { fileURLToPath } from "node:url";

const root = dirname(dirname(fileURLToPath(import.meta.url)));

function run(program, parameters) {
  const { status, error } = spawnSync(program, parameters, { cwd: root, stdio: "inherit" });
  if (error) throw error;
  if (status !== 0) process.exit(status ?? 1);
}

if (!existsSync(process.env.CHROMIUM ?? "/usr/bin/chromium")) {
  console.log("installing chromium by apt-get; CHROMIUM=/path/of/chromium uses another");
  run("apt-get", ["update", "-qq"]);
  run("apt-get", ["install", "-y", "-qq", "--no-install-recommends", "chromium"]);
}
run(process.execPath, [
  "--test",
  "--enable-source-maps",
  "--test-reporter=spec",
  "dist/test/extension/pages.browser.js",
]);
