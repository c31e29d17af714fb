// Bundles `slm`: dist/bundle/slm.js and the tokenizer's worker beside it. Node would load six hundred single modules for
// every command, which takes more than twice as long (docs/benchmarks.md). Run by `npm run build` and by the set-up.
import { readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const root = join(dirname(fileURLToPath(import.meta.url)), "..");
const out = join(root, "dist", "bundle");

/** Native code, and what is installed only by who wants it. */
const EXTERNAL = ["webgpu", "tokenizers", "@huggingface/transformers"];

rmSync(out, { recursive: true, force: true });
const { metafile } = await build({
  absWorkingDir: root,
  entryPoints: { slm: "cli/main.ts", worker: "specialization/tokenizer/worker.ts" },
  outdir: out,
  bundle: true,
  platform: "node",
  format: "esm",
  target: "node20",
  external: EXTERNAL,
  sourcemap: true,
  metafile: true,
  legalComments: "none",
  logLevel: "warning",
  /* some packages are CommonJS, and ask for modules of Node by require */
  banner: {
    js: 'import { createRequire as requireOf } from "node:module"; const require = requireOf(import.meta.url);',
  },
});
writeFileSync(join(out, "LICENSES.txt"), licences(Object.keys(metafile.inputs)));

/** The licences of the packages that the bundle has in it. */
function licences(inputs) {
  const names = inputs
    .map((path) => /node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(path)?.[1])
    .filter((name) => name !== undefined);
  return [...new Set(names)]
    .sort()
    .map((name) => {
      const folder = join(root, "node_modules", name);
      const { version, license } = JSON.parse(readFileSync(join(folder, "package.json"), "utf8"));
      const file = readdirSync(folder).find((each) => /^licen[cs]e/i.test(each));
      const text = file === undefined ? "" : readFileSync(join(folder, file), "utf8").trim();
      return `${name} ${version} (${license})\n\n${text}\n`;
    })
    .join(`\n${"-".repeat(80)}\n\n`);
}
