// Tests the extension in a real VS Code, set-up included: builds, packs the VSIX, installs VS Code and Chromium where
// they are missing, and drives them. Plain Node.
// usage: node test/extension-host/run.mjs [part of a scenario's name …]
import { spawn } from "node:child_process";
import { mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import { packageExtension } from "../../extension/package.mjs";
import { ensureChromium } from "../chromium.mjs";
import { ensureVsCode } from "./install.mjs";

const folder = dirname(fileURLToPath(import.meta.url));
const root = join(folder, "..", "..");
const parts = process.argv.slice(2);

packageExtension();
await bundleInside();
const chromium = ensureChromium();
const vscode = ensureVsCode();

const scenarios = readdirSync(folder)
  .filter((name) => name.endsWith(".scenario.ts"))
  .filter((name) => parts.length === 0 || parts.some((part) => name.includes(part)))
  .map((name) => `dist/test/extension-host/${name.replace(/ts$/, "js")}`)
  .sort();
if (scenarios.length === 0) throw new Error(`no scenario has ${parts.join(" or ")} in its name`);
/* two at a time: while one waits for its window, the other has the processor */
const failed = [];
const waiting = [...scenarios];
await Promise.all(
  [1, 2].map(async () => {
    for (let next = waiting.shift(); next !== undefined; next = waiting.shift())
      if (!(await passes(next))) failed.push(next);
  }),
);
/* a browser that loses one click on a busy machine is no fault of the extension; one that is lost twice is */
let isPassed = true;
for (const scenario of failed) {
  console.log(`\nonce more, since a part of it failed: ${scenario}`);
  isPassed = (await passes(scenario)) && isPassed;
}
process.exit(isPassed ? 0 : 1);

/** Whether a scenario passes in a VS Code of its own; what it printed is shown when it ends. */
async function passes(scenario) {
  const options = ["--test", "--enable-source-maps", "--test-reporter=spec"];
  const child = spawn(process.execPath, [...options, scenario], {
    cwd: root,
    env: { ...process.env, CHROMIUM: chromium, VSCODE_SERVER: vscode.server, VSCODE_NODE: vscode.node },
    stdio: ["ignore", "pipe", "pipe"],
  });
  const printed = [];
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (text) => printed.push(text));
  const status = await new Promise((done, fail) => {
    child.on("error", fail);
    child.on("close", done);
  });
  process.stdout.write(Buffer.concat(printed));
  return status === 0;
}

/** The mocha tests as an extension of their own: what they test is the installed one. */
async function bundleInside() {
  const out = join(root, "dist", "vscode-tests");
  mkdirSync(out, { recursive: true });
  const manifest = { name: "inside", publisher: "slm-forge", version: "0.0.0", engines: { vscode: "*" } };
  writeFileSync(join(out, "package.json"), JSON.stringify(manifest));
  await build({
    entryPoints: [join(folder, "inside", "index.ts")],
    outfile: join(out, "index.cjs"),
    bundle: true,
    platform: "node",
    format: "cjs",
    target: "node20",
    external: ["vscode", "mocha"],
    sourcemap: "inline",
    logLevel: "warning",
  });
}
