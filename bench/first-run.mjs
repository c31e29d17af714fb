// The first minutes with the extension, by mouse: from a folder that is opened to a run with its loss on screen and the
// clusters to look through. Prints when each was there, in seconds from opening the folder.
// usage: node bench/first-run.mjs CORPUS DOMAIN [--json]     folders of text; after npm run build
import { cpSync, mkdirSync } from "node:fs";
import { resolve } from "node:path";
import { prepareEditor } from "./editor.mjs";

/** More than the five minutes that it may take, to be able to say how much it took. */
const GUARD_MS = 900_000;

const [corpus, domain] = process.argv.slice(2).filter((each) => !each.startsWith("--"));
if (domain === undefined) {
  console.error("usage: node bench/first-run.mjs CORPUS DOMAIN [--json]");
  process.exit(2);
}
const { Editor, Workspace, machine } = await prepareEditor();
const workspace = new Workspace();
mkdirSync(workspace.path("own"));
cpSync(resolve(domain), workspace.path("own"), { recursive: true });
const editor = await Editor.start();
const times = {};
try {
  const begin = performance.now();
  const note = (what) => {
    times[what] = (performance.now() - begin) / 1000;
    if (!process.argv.includes("--json")) console.log(`${times[what].toFixed(1).padStart(6)} s  ${what}`);
  };
  await editor.open(workspace.folder);
  const { page } = editor;
  page.setDefaultTimeout(GUARD_MS);
  await editor.container("slm-forge");
  note("the views are there");

  await editor.container("Explorer");
  const folder = page.locator(".explorer-folders-view .monaco-list-row", { hasText: "own" });
  await editor.rowMenu(folder, "Specialise on this Folder");
  await editor.pick("Choose a folder");
  const path = page.locator(".quick-input-widget:visible input.input");
  await path.fill(`${resolve(corpus)}/`);
  await page.locator(".quick-input-widget:visible .monaco-button", { hasText: "Take" }).click();
  await page.locator('.tab.active[data-resource-name="forge.yaml"]').waitFor();
  note("forge.yaml is written and open");

  await page.locator(".editor-instance .codelens-decoration a", { hasText: "Run" }).first().click();
  note("Run is pressed");
  await editor.container("slm-forge");
  const rows = editor.rows("Runs");
  await rows
    .filter({ hasText: /tokenizer|tokens|embeddings|clusters/ })
    .first()
    .waitFor();
  note("the job says what it does");

  const training = rows.filter({ hasText: /loss \d/ }).first();
  await training.waitFor();
  note("a training tells its loss");
  await training.click();
  const dashboard = await editor.webview(".page-dashboard .chart canvas[role=img]");
  const chart = dashboard.locator(".chart canvas[role=img]").first();
  while (!/ \d+\.\d/.test((await chart.getAttribute("aria-label")) ?? "")) await page.waitForTimeout(100);
  note("the loss is drawn");

  await editor
    .rows("Corpora and Clusters")
    .filter({ hasText: /clusters · \d+ documents/ })
    .first()
    .click();
  const clusters = await editor.webview(".page-clusters .cluster-table tbody button");
  await clusters.locator(".cluster-table tbody button").first().waitFor();
  note("the clusters are there to look through");
} finally {
  await editor.close();
  workspace.remove();
}
if (process.argv.includes("--json")) console.log(JSON.stringify({ machine, seconds: times }, null, 2));
else {
  const { processor, cores, revision, load } = machine;
  console.log(`${cores} cores of ${processor}, ${revision}, load ${load.toFixed(1)} at the beginning`);
}
