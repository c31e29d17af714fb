// Runs the tests that drive the pages in headless Chromium, which is installed first where it is missing.
import { spawnSync } from "node:child_process";
import { dirname } from "node:path";
import { fileURLToPath } from "node:url";
import { ensureChromium } from "./chromium.mjs";

ensureChromium();
const { status, error } = spawnSync(
  process.execPath,
  ["--test", "--enable-source-maps", "--test-reporter=spec", "dist/test/extension/pages.browser.js"],
  { cwd: dirname(dirname(fileURLToPath(import.meta.url))), stdio: "inherit" },
);
if (error) throw error;
process.exit(status ?? 1);
