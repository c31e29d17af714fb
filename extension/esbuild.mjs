// Bundles the pages that VS Code and `slm board` show: dist/pages/{dashboard,clusters,comparison}.{js,css}.
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const folder = dirname(fileURLToPath(import.meta.url));

/** Writes the bundles into dist/pages at the root. */
export async function buildPages() {
  const pages = ["dashboard", "clusters", "comparison"];
  await build({
    entryPoints: pages.map((name) => join(folder, "webview", name, `${name}.ts`)),
    entryNames: "[name]",
    outdir: join(folder, "..", "dist", "pages"),
    bundle: true,
    minify: true,
    format: "iife",
    target: "es2022",
    legalComments: "none",
    logLevel: "warning",
  });
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await buildPages();
