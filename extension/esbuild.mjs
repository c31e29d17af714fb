// Bundles the pages that VS Code and `slm board` show: dist/pages/{dashboard,clusters,comparison,form}.{js,css},
// and the extension around them as VS Code loads it: the folder dist/vscode, which package.mjs packs.
import { cpSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { build } from "esbuild";

const folder = dirname(fileURLToPath(import.meta.url));
const dist = join(folder, "..", "dist");

/** Writes the bundles into dist/pages at the root. */
export async function buildPages() {
  const pages = ["dashboard", "clusters", "comparison", "form"];
  await build({
    entryPoints: pages.map((name) => join(folder, "webview", name, `${name}.ts`)),
    entryNames: "[name]",
    outdir: join(dist, "pages"),
    bundle: true,
    minify: true,
    format: "iife",
    target: "es2022",
    legalComments: "none",
    logLevel: "warning",
  });
}

/** Pictures of the walkthrough: the ones that the editor's tests take for the documentation. */
function copyPictures(out) {
  const { contributes } = JSON.parse(readFileSync(join(folder, "package.json"), "utf8"));
  for (const { media } of contributes.walkthroughs.flatMap(({ steps }) => steps)) {
    if (media.image === undefined) continue;
    const taken = join(folder, "..", "docs", "images", `vscode-${basename(media.image)}`);
    cpSync(taken, join(out, media.image));
  }
}

/** Writes the keys of configurations, for where no `slm` can be asked; of what tsc has made before. */
async function writeSchemas(out) {
  const built = (path) => import(pathToFileURL(join(dist, "specialization", path)).href);
  const { RUN_REFERENCE } = await built("training/run-reference.js");
  const { FORGE_REFERENCE } = await built("stages/forge-config.js");
  mkdirSync(out);
  for (const [name, reference] of Object.entries({ train: RUN_REFERENCE, forge: FORGE_REFERENCE }))
    writeFileSync(join(out, `${name}.json`), JSON.stringify(reference.jsonSchema()));
}

/** Writes dist/vscode: manifest, one bundle, schemas, pages, media, licence. */
export async function buildExtension() {
  const out = join(dist, "vscode");
  rmSync(out, { recursive: true, force: true });
  mkdirSync(out, { recursive: true });
  for (const name of ["package.json", "README.md", "media"])
    cpSync(join(folder, name), join(out, name), { recursive: true });
  cpSync(join(folder, "..", "LICENSE"), join(out, "LICENSE"));
  cpSync(join(dist, "pages"), join(out, "pages"), { recursive: true });
  await writeSchemas(join(out, "schemas"));
  copyPictures(out);
  await build({
    entryPoints: [join(folder, "src", "extension.ts")],
    outfile: join(out, "extension.cjs"),
    bundle: true,
    minify: true,
    /* stack traces in the log name what failed */
    keepNames: true,
    platform: "node",
    format: "cjs",
    /* the Node of the oldest VS Code that the manifest names */
    target: "node20",
    external: ["vscode"],
    legalComments: "none",
    logLevel: "warning",
  });
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  await buildPages();
  await buildExtension();
}
