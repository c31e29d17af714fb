/** Looking at what has been made: clusters, comparison, models, in every theme and in a folder that is not trusted. */
import assert from "node:assert/strict";
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, afterEach, before, test } from "node:test";
import { slmIn, writeConfig } from "../cli/tiny-run.js";
import { checkAccess } from "../extension/access.js";
import { makeClusters, writeReport } from "../extension/example-job.js";
import { TopicCorpus } from "../specialization/clusters/topics.js";
import { Editor, eventually } from "./editor.js";
import { Workspace } from "./workspace.js";

const workspace = new Workspace();
const forge =
  "# the job\nname: example\ncorpus:\n  train: corpus.jsonl # generic\ndomains:\n  news:\n    train: news.jsonl\n";
let corpus: TopicCorpus;
let editor: Editor;
before(async () => {
  for (const learningRate of [0.001, 0.01]) {
    const config = writeConfig(workspace.folder, `rate-${learningRate}`, {
      data: { train: "corpus.jsonl", validation: { news: "news.jsonl" } },
      training: { batch: 4, learningRate, budget: { steps: 60 } },
      evaluation: { every: 20 },
      checkpoints: { every: 30 },
    });
    const { code, stderr } = await slmIn(workspace.folder, "train", config);
    assert.equal(code, 0, stderr);
  }
  corpus = await TopicCorpus.create();
  mkdirSync(workspace.path("example", "stages"), { recursive: true });
  await makeClusters(corpus, workspace.path("example", "stages", "clusters"), 600, 8);
  await writeReport(workspace.path("example"), "stages/clusters");
  writeFileSync(workspace.path("forge.yaml"), forge);
  editor = await Editor.start();
  await editor.open(workspace.folder);
  await editor.container("slm-forge");
});
after(async () => {
  await editor?.close();
  await corpus?.remove();
  workspace.remove();
});
afterEach((context) => editor.keepPicture(context));

test("the cluster explorer opens from the view, reads documents, opens their source and writes the choice", async () => {
  const corpora = editor.rows("Corpora and Clusters");
  await corpora
    .filter({ hasText: "stages/clusters" })
    .filter({ hasText: "8 clusters · 600 documents" })
    .click();
  const page = await editor.webview(".page-clusters .cluster-table tbody button");
  await page.getByLabel("Domain").selectOption("medicine");
  await page.locator(".cluster-table tbody button").first().click();
  await page.getByRole("heading", { name: /^Cluster \d+$/ }).waitFor();
  await page.locator(".details .document").first().click();
  await page.getByRole("heading", { name: /^Document \d+$/ }).waitFor();
  const text = ((await page.locator(".details .text").textContent()) ?? "").trim();
  await page.getByRole("button", { name: "Open in editor" }).click();
  await editor.page.locator('.tab.active[data-resource-name="topics.jsonl"]').waitFor();
  const lines = readFileSync(corpus.path("topics.jsonl"), "utf8").split("\n");
  const line = 1 + lines.findIndex((each) => each.startsWith(JSON.stringify({ text }).slice(0, -2)));
  assert.ok(line > 1, "another document than the first");
  await editor.page.locator('[id="status.editor.selection"]', { hasText: `Ln ${line}, Col 1` }).waitFor();
  await editor.page.keyboard.press("Control+w");
  await page.getByLabel("Search").fill(text.split(/\s+/)[0]);
  await page.getByLabel("Search").press("Enter");
  await page.getByText(/\d+ found in/).waitFor();
  await page.getByLabel("Search").fill("");
  await page.getByLabel("Train on cluster 3").uncheck();
  await page.getByRole("button", { name: "Write to forge.yaml" }).click();
  await page.getByText(/Written to/).waitFor();
  assert.equal(readFileSync(workspace.path("forge.yaml"), "utf8"), `${forge}clusters:\n  exclude: [ 3 ]\n`);
  await editor.screenshot("vscode-clusters");
});

test("clusters are written beside unsaved changes of the configuration, and neither is lost", async () => {
  const path = workspace.path("forge.yaml");
  const before = readFileSync(path, "utf8");
  await editor.page.getByRole("tab", { name: "Clusters" }).click();
  const first = await editor.webview(".page-clusters .cluster-table tbody button");
  await first.locator(".details .document").first().click();
  const title = await first.getByRole("heading", { name: /^Document \d+$/ }).textContent();
  await editor.container("Explorer");
  const file = editor.page.locator(".explorer-folders-view .monaco-list-row", { hasText: "forge.yaml" });
  await file.first().dblclick();
  const tab = editor.page.locator('.tab[data-resource-name="forge.yaml"]');
  await tab.and(editor.page.locator(".active")).waitFor();
  await editor.page.locator(".editor-instance .view-line", { hasText: "the job" }).first().click();
  await editor.page.keyboard.press("End");
  await editor.page.keyboard.type(", mine");
  await tab.and(editor.page.locator(".dirty")).waitFor();
  await editor.page.getByRole("tab", { name: "Clusters" }).click();
  const page = await editor.webview(".page-clusters .cluster-table tbody button");
  /* the page was hidden, which ends it: what it showed is shown again */
  await page.getByRole("heading", { name: title ?? "" }).waitFor();
  await page.getByLabel("Train on cluster 1").uncheck();
  await page.getByRole("button", { name: "Write to forge.yaml" }).click();
  await page.getByText(/has unsaved changes: the choice is in its editor/).waitFor();
  assert.equal(readFileSync(path, "utf8"), before);
  await tab.click();
  await editor.page.locator(".editor-instance .view-line", { hasText: "exclude: [ 1, 3 ]" }).waitFor();
  await editor.page.keyboard.press("Control+s");
  const wanted = before.replace("the job", "the job, mine").replace("[ 3 ]", "[ 1, 3 ]");
  await eventually("both changes are saved", async () => readFileSync(path, "utf8") === wanted || undefined);
  await editor.page.keyboard.press("Control+z");
  await editor.page.locator(".editor-instance .view-line", { hasText: "exclude: [ 3 ]" }).waitFor();
  await editor.page.keyboard.press("Control+s");
  await tab.and(editor.page.locator(":not(.dirty)")).waitFor();
  /* without changes of its own an open file is saved at once */
  await editor.page.getByRole("tab", { name: "Clusters" }).click();
  const again = await editor.webview(".page-clusters .cluster-table tbody button");
  await again.getByRole("button", { name: "Write to forge.yaml" }).click();
  await again.getByText(/Written to/).waitFor();
  assert.equal(readFileSync(path, "utf8"), wanted);
  await tab.click();
  await editor.page.keyboard.press("Control+w");
  await editor.container("slm-forge");
});

test("the comparison opens from the view and sorts", async () => {
  await editor.rows("Corpora and Clusters").filter({ hasText: "comparison" }).click();
  const page = await editor.webview(".page-comparison tbody th");
  await page.getByRole("columnheader", { name: /Macro ↑/ }).waitFor();
  await page.getByRole("button", { name: /Macro/ }).click();
  assert.equal(await page.locator("tbody th").first().textContent(), "slm-nopt");
  await editor.screenshot("vscode-comparison");
});

test("the end of a job is told once, with the way to its comparison", async () => {
  const path = workspace.path("example", "report.json");
  const report = readFileSync(path, "utf8");
  const { done, planned } = JSON.parse(report).progress;
  writeFileSync(path, report.replace(`"done":${done}`, `"done":${done - 1}`));
  const row = editor.rows("Corpora and Clusters").filter({ hasText: "comparison" });
  await row.filter({ hasText: `${done - 1} of ${planned}` }).waitFor();
  writeFileSync(path, report);
  await editor.toast(`example is done: ${done} results`).getByRole("button", { name: "Compare" }).click();
  await editor.webview(".page-comparison tbody th");
});

test("a job that was over before it was seen is told of too, and once", async () => {
  const brief = workspace.path("brief");
  const report = readFileSync(workspace.path("example", "report.json"), "utf8");
  mkdirSync(brief);
  writeFileSync(join(brief, "report.json"), report.replace('"name":"example"', '"name":"brief"'));
  const told = editor.toast("brief is done");
  await told.waitFor();
  await editor.command("Notifications: Clear All Notifications");
  await told.waitFor({ state: "detached" });
  writeFileSync(join(brief, "report.json"), report.replace('"name":"example"', '"name":"brief once more"'));
  await editor.rows("Corpora and Clusters").filter({ hasText: "brief once more" }).waitFor();
  assert.equal(await editor.toast("brief").count(), 0);
  rmSync(brief, { recursive: true });
  await editor
    .rows("Corpora and Clusters")
    .filter({ hasText: "brief once more" })
    .waitFor({ state: "detached" });
});

test("runs chosen in the view, and no others, are compared", async () => {
  const rows = editor.rows("Runs");
  await rows.filter({ hasText: "rate-0.001" }).click();
  const page = await editor.webview(".page-dashboard .runs input");
  await page.getByRole("checkbox", { name: /rate-0\.001/ }).uncheck();
  await page.getByRole("checkbox", { name: /rate-0\.01\b/ }).uncheck();
  await rows.filter({ hasText: "rate-0.01" }).click({ modifiers: ["ControlOrMeta"] });
  await editor.rowMenu(rows.filter({ hasText: "rate-0.001" }), "Compare Runs");
  await page.locator(".runs input:checked").nth(1).waitFor();
  await page.getByRole("heading", { name: "Loss · news" }).waitFor();
});

test("every page is readable in dark, light and both high contrasts", async () => {
  const tabs = ["Training Runs", "Clusters", "Comparison"];
  const frames = [".page-dashboard", ".page-clusters .details h2", ".page-comparison tbody"];
  for (const [theme, kind] of [
    ["Light Modern", "vscode-light"],
    ["Dark High Contrast", "vscode-high-contrast"],
    ["Light High Contrast", "vscode-high-contrast-light"],
    ["Dark Modern", "vscode-dark"],
  ]) {
    await editor.theme(theme);
    for (const [at, tab] of tabs.entries()) {
      await editor.page.getByRole("tab", { name: tab }).click();
      const page = await editor.webview(`body.${kind}${frames[at]}`);
      await checkAccess(page);
      if (kind === "vscode-dark" || kind === "vscode-high-contrast-light") continue;
      await editor.screenshot(`vscode-${["dashboard", "clusters", "comparison"][at]}-${kind.slice(7)}`);
    }
  }
});

test("a model writes text in a terminal and is exported", async () => {
  await editor.rowAction("Models", "rate-0.01", "Generate Text");
  const input = editor.page.locator(".quick-input-widget:visible input.input");
  await input.fill("the small model");
  await input.press("Enter");
  await editor.page.locator(".terminal-wrapper.active").waitFor();
  await editor.rowAction("Models", "rate-0.01", "Export Model");
  await editor.pick("Hugging Face folder");
  await input.fill(workspace.path("exports", "plain"));
  await input.press("Enter");
  await editor.toast("is exported to").waitFor();
  assert.ok(existsSync(workspace.path("exports", "plain", "model.safetensors")));
  await editor.rows("Models").filter({ hasText: "plain" }).waitFor();
  await editor.screenshot("vscode-models");
});

test("a model is evaluated on a text that is chosen, in a terminal", async () => {
  await editor.rowMenu(editor.rows("Models").filter({ hasText: "rate-0.01" }).first(), "Evaluate on a Text");
  const input = editor.page.locator(".quick-input-widget:visible input.input");
  await input.fill(workspace.path("news.jsonl"));
  await input.press("Enter");
  await editor.page.locator(".terminal-wrapper.active .xterm-rows", { hasText: /perplexity/ }).waitFor();
});

test("a folder that is not trusted is shown, and nothing in it is run", async () => {
  const careful = await Editor.start({
    trust: false,
    settings: { "security.workspace.trust.startupPrompt": "never" },
  });
  try {
    await careful.open(workspace.folder);
    await careful.container("slm-forge");
    await careful.page.locator(".statusbar-item", { hasText: "Restricted Mode" }).waitFor();
    const row = careful.rows("Runs").filter({ hasText: "rate-0.001" });
    await row.click();
    const page = await careful.webview(".page-dashboard .runs li");
    await page.getByRole("heading", { name: "Training loss" }).waitFor();
    assert.equal(await page.getByRole("button", { name: /^(Stop|Resume) / }).count(), 0);
    await row.hover();
    const isOff = await eventually("the menu", async () => {
      await row.click({ button: "right" });
      const item = careful.page.locator(".monaco-menu .action-item", { hasText: "Delete Run" }).first();
      return (await item.count()) > 0 ? ((await item.getAttribute("class")) ?? "") : undefined;
    });
    assert.match(isOff, /disabled/);
    await careful.page.keyboard.press("Escape");
    await careful.screenshot("vscode-restricted");
  } catch (error) {
    await careful.keepPicture({ name: "restricted", passed: false });
    throw error;
  } finally {
    await careful.close();
  }
});
