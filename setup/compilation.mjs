// Compilation: tsc from the sources into dist/, and the bundles of slm and of the pages, only when a source changed
// since the last complete run.
// The stamp is a hash of contents, not of times: a checkout of another revision changes times at will.

import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { runCommand } from "./command.mjs";
import { SetupError, say } from "./report.mjs";

const stampPath = (root) => join(root, "dist", ".compiled");

/** TypeScript sources under the folders that tsconfig.json includes, as sorted paths relative to `root`. */
export function typescriptSources(root) {
  const { include } = JSON.parse(readFileSync(join(root, "tsconfig.json"), "utf8"));
  return include.flatMap((folder) => sourcesBelow(root, folder)).sort();
}

/** Like tsc, leaves node_modules out: a folder below may have packages of its own. */
function sourcesBelow(root, folder, kind = /\.[mc]?ts$/) {
  if (!existsSync(join(root, folder))) return [];
  return readdirSync(join(root, folder), { withFileTypes: true }).flatMap((entry) => {
    const path = `${folder}/${entry.name}`;
    if (entry.isDirectory()) return entry.name === "node_modules" ? [] : sourcesBelow(root, path, kind);
    return kind.test(entry.name) ? [path] : [];
  });
}

/** What is bundled, the pages and VS Code's extension; absent where a checkout has none. */
function pageSources(root) {
  return sourcesBelow(root, "extension", /\.(ts|css|json|mjs|md|svg|png)$/).sort();
}

/** What bundles `slm`; absent where a checkout has none. */
function cliBundler(root) {
  return existsSync(join(root, "cli", "bundle.mjs")) ? ["cli/bundle.mjs"] : [];
}

/** SHA-256 over the compiler's options, the packages and every source. */
export function sourceHash(root) {
  const hash = createHash("sha256");
  for (const path of [
    "tsconfig.json",
    "package-lock.json",
    ...typescriptSources(root),
    ...cliBundler(root),
    ...pageSources(root),
  ]) {
    const text = readFileSync(join(root, path));
    hash.update(`${path}\n${text.length}\n`).update(text);
  }
  return hash.digest("hex");
}

/** True where dist/ is the complete result of the present sources. */
export function compilationIsCurrent(root) {
  const stamp = stampPath(root);
  if (!existsSync(stamp) || readFileSync(stamp, "utf8").trim() !== sourceHash(root)) return false;
  return missingOutputs(root).length === 0;
}

function missingOutputs(root) {
  const compiled = typescriptSources(root)
    .filter((path) => !path.endsWith(".d.ts"))
    .map((path) => join(root, "dist", path.replace(/ts$/, "js")));
  const pages = pageSources(root).length > 0 ? [join(root, "dist", "pages", "dashboard.js")] : [];
  const slm = cliBundler(root).map(() => join(root, "dist", "bundle", "slm.js"));
  return [...compiled, ...slm, ...pages].filter((path) => !existsSync(path));
}

/** Runs tsc in `root`. Throws SetupError when there are compile errors, which tsc has then printed. */
export async function compile(root) {
  say("compiling (tsc)");
  // An output was deleted: without its record of the last build tsc writes every output again.
  if (missingOutputs(root).length > 0) rmSync(join(root, "dist", ".tsbuildinfo"), { force: true });
  const hash = sourceHash(root);
  const tsc = join(root, "node_modules", "typescript", "bin", "tsc");
  const status = await runCommand(process.execPath, [tsc, "-p", "tsconfig.json"], { cwd: root });
  if (status !== 0) throw new SetupError("the project does not compile; the errors are above.");
  for (const bundler of cliBundler(root)) {
    const bundled = await runCommand(process.execPath, [bundler], { cwd: root });
    if (bundled !== 0) throw new SetupError("slm cannot be bundled; the errors are above.");
  }
  if (pageSources(root).length > 0) {
    const bundled = await runCommand(process.execPath, [join("extension", "esbuild.mjs")], { cwd: root });
    if (bundled !== 0) throw new SetupError("the pages cannot be bundled; the errors are above.");
  }
  writeFileSync(stampPath(root), `${hash}\n`);
}
