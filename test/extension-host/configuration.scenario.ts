/** Writing a configuration by hand and in the form, and a kernel with an error, as somebody at the editor does it. */
import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { after, afterEach, before, test } from "node:test";
import axe from "axe-core";
import type { Frame } from "playwright-core";
import { parse } from "yaml";
import { shaderPath } from "../../engine/gpu/index.js";
import { entryPointsOf } from "../../extension/language/kernels.js";
import { requestStop } from "../../specialization/training/run-folder.js";
import { stateOf, writeConfig, writeCorpus } from "../cli/tiny-run.js";
import { Editor, eventually } from "./editor.js";
import { Workspace } from "./workspace.js";

const FORGE = `# the job of this test
corpus:
  train: corpus.jsonl # generic
domains:
  news: { train: news.jsonl }

methods: [slm] # the plainest one
pretraining:
  bacth: 2
  budget: { steps: 4 }
`;

const WHOLE_JOB = `name: whole
corpus: { train: much.jsonl }
domains:
  news: { train: news.jsonl }
tokenizer: { vocabulary: 400 }
model: { context: 32, layers: 1, width: 32, heads: 2, hidden: 64 }
embeddings: { dimensions: 8, window: 128 }
clusters: { k: 4 }
methods: [slm-nopt, slm-is]
pretraining: { batch: 2, budget: { steps: 400 } }
fineTuning: { steps: 4, every: 2 }
`;

const workspace = new Workspace();
const file = workspace.path("forge.yaml");
let editor: Editor;
before(async () => {
  writeFileSync(file, FORGE);
  writeFileSync(
    workspace.path("double.wgsl"),
    "@group(0) @binding(0) var<storage, read_write> x: array<f32>;\n@compute @workgroup_size(64)\nfn double(@builtin(global_invocation_id) i: vec3u) {\n  x[i.x] *= factor;\n}\n",
  );
  editor = await Editor.start();
  await editor.open(workspace.folder);
});
after(async () => {
  await editor?.close();
  workspace.remove();
});
afterEach((context) => editor.keepPicture(context));

async function openFile(name: string): Promise<void> {
  await editor.container("Explorer");
  await editor.page.locator(".explorer-folders-view .monaco-list-row", { hasText: name }).first().dblclick();
  await editor.page.locator(`.tab.active[data-resource-name="${name}"]`).waitFor();
}

function lens(text: string) {
  return editor.page.locator(".editor-instance .codelens-decoration a", { hasText: text }).first();
}

function squiggle(kind: "error" | "warning") {
  return editor.page.locator(`.editor-instance .squiggly-${kind}`);
}

/** Puts the cursor at the end of a line. */
async function endOfLine(text: string): Promise<void> {
  await editor.page.locator(".editor-instance .view-line", { hasText: text }).first().click();
  await editor.page.keyboard.press("End");
}

test("a misspelt key is marked, and the light bulb corrects it", async () => {
  await openFile("forge.yaml");
  await squiggle("error").first().waitFor();
  await editor.page.locator(".editor-instance .view-line", { hasText: "bacth" }).first().click();
  await editor.page.keyboard.press("Home");
  const fix = editor.page.locator(".action-widget .monaco-list-row", {
    hasText: 'Change "bacth" to "batch"',
  });
  await eventually("the key is corrected", async () => {
    await editor.page.keyboard.press("Control+.");
    await fix
      .first()
      .click({ timeout: 5000 })
      .catch(() => editor.page.keyboard.press("Escape"));
    return (await editor.page.locator(".editor-instance .view-line", { hasText: "bacth" }).count()) === 0
      ? true
      : undefined;
  });
  await editor.page.locator(".editor-instance .view-line", { hasText: "batch" }).first().waitFor();
  await eventually("nothing is wrong any more", async () =>
    (await squiggle("error").count()) === 0 ? true : undefined,
  );
});

test("keys are proposed with their meaning, and what is chosen is inserted", async () => {
  await endOfLine("budget");
  await editor.page.keyboard.press("Enter");
  await editor.page.keyboard.type("warm");
  const proposal = editor.page.locator(".suggest-widget .monaco-list-row", { hasText: "warmup" }).first();
  await proposal.waitFor();
  await editor.page.keyboard.press("Tab");
  await editor.page.keyboard.type("1");
  await editor.page.keyboard.press("Escape");
  await editor.page.keyboard.press("Control+s");
  await eventually("the file is saved", async () =>
    /\n {2}warmup: 1\n/.test(readFileSync(file, "utf8")) ? true : undefined,
  );
  await editor.screenshot("vscode-configuration");
});

test("the same file is edited in a form: no comment is lost, and undo is the editor's", async () => {
  const before = readFileSync(file, "utf8");
  await lens("Edit as a form").click();
  const frame = await editor.webview(".page-form");
  const batch = frame.getByRole("textbox", { name: "batch", exact: true }).first();
  await batch.waitFor();
  assert.equal(await batch.inputValue(), "2");
  await batch.fill("16");
  await batch.press("Tab");
  await frame.locator(".form-field.differs", { hasText: "Sequences in a micro-batch" }).first().waitFor();
  await editor.page.keyboard.press("Control+s");
  await eventually("the change is saved", async () =>
    readFileSync(file, "utf8") === before.replace("batch: 2", "batch: 16") ? true : undefined,
  );
  /* a wrong value is told where it was typed */
  await batch.fill("many");
  await batch.press("Tab");
  await frame.locator(".problems .error", { hasText: "expected a whole number" }).first().waitFor();
  await batch.fill("");
  await batch.press("Tab");
  await eventually("the error is gone", async () =>
    (await frame.locator(".problems .error").count()) === 0 ? true : undefined,
  );
  await searchIn(frame);
  await editor.screenshot("vscode-form");
  for (const theme of ["Dark Modern", "Light Modern", "Dark High Contrast"]) {
    await editor.theme(theme);
    const kind = { "Dark Modern": "vscode-dark", "Light Modern": "vscode-light" }[theme];
    await frame.locator(`body.${kind ?? "vscode-high-contrast"}`).waitFor();
    await assertAccessible(frame);
  }
  await editor.theme("Dark Modern");

  await frame.getByRole("button", { name: "Edit as text" }).click();
  await endOfLine("budget");
  await editor.page.keyboard.press("Control+z");
  await editor.page.locator(".editor-instance .view-line", { hasText: "batch: many" }).first().waitFor();
  await editor.page.keyboard.press("Control+z");
  await editor.page.locator(".editor-instance .view-line", { hasText: "batch: 16" }).first().waitFor();
  await editor.page.keyboard.press("Control+s");
});

async function searchIn(frame: Frame): Promise<void> {
  const search = frame.getByRole("searchbox");
  await search.fill("deduplicate");
  await eventually("other keys are left out", async () =>
    (await frame.locator(".form-field:visible").count()) === 1 ? true : undefined,
  );
  await search.fill("");
  await frame.getByRole("checkbox", { name: "Only what differs from the defaults" }).check();
  await eventually("keys with their defaults are left out", async () =>
    (await frame.locator(".form-field:visible").count()) ===
    (await frame.locator(".form-field.differs:visible").count())
      ? true
      : undefined,
  );
  await frame.getByRole("checkbox", { name: "Only what differs from the defaults" }).uncheck();
}

async function assertAccessible(frame: Frame): Promise<void> {
  await frame.evaluate(axe.source);
  const violations = await frame.evaluate(async () => {
    const { axe: run } = globalThis as unknown as { axe: { run(): Promise<axe.AxeResults> } };
    const { violations } = await run.run();
    return violations.map(({ id, impact, nodes }) => `${impact} ${id}: ${nodes[0]?.html.slice(0, 160)}`);
  });
  assert.deepEqual(
    violations.filter((each) => /^(?:serious|critical)/.test(each)),
    [],
  );
}

test("a run that is started in the form trains by what was typed just before", async () => {
  writeConfig(workspace.folder, "formed", {
    training: { batch: 4, learningRate: 0.003, budget: { steps: 3 } },
  });
  await openFile("formed.yaml");
  await lens("Edit as a form").click();
  const frame = await editor.webview(".page-form");
  await frame.locator('[id="training.batch"]').waitFor();
  /* at once, as no hand could */
  await frame.evaluate(`{
    const batch = document.getElementById("training.batch");
    batch.value = "8";
    batch.dispatchEvent(new Event("change"));
    [...document.querySelectorAll("button")].find(({ textContent }) => textContent === "Run").click();
  }`);
  const run = workspace.path("runs", "formed");
  await eventually("the run is finished", async () =>
    existsSync(workspace.path("runs", "formed", "run.json")) && stateOf(run).state === "finished"
      ? true
      : undefined,
  );
  assert.equal(parse(readFileSync(workspace.path("runs", "formed", "run.yaml"), "utf8")).training.batch, 8);
});

test("a dry run is started above the file and shown beside it", async () => {
  await openFile("forge.yaml");
  await lens("Dry run").click();
  /* it times steps of a whole tiny model, which other work may hold up */
  await editor.page
    .locator('.tab[data-resource-name^="Dry run of forge.yaml"]')
    .waitFor({ timeout: 300_000 });
  await editor.page
    .locator(".editor-instance .view-line", { hasText: "Cost of each method" })
    .last()
    .waitFor();
});

test("a whole job goes from the file over a stop to its models and its report, and says once that it is done", async () => {
  writeFileSync(workspace.path("whole.forge.yaml"), WHOLE_JOB);
  /* so much that it is seen being read */
  writeCorpus(workspace.path("much.jsonl"), 10_000, 5);
  await openFile("whole.forge.yaml");
  await lens("Run").click();
  await editor.container("slm-forge");
  /* before there is a run to show, the job itself tells what it does */
  const stage = /whole\s*(tokenizer|tokens|leakage|embeddings|clusters)/;
  await editor.rows("Runs").filter({ hasText: stage }).waitFor();
  const runs = workspace.path("whole", "runs");
  const run = await eventually("the long training of the job", async () => {
    const names = existsSync(runs) ? readdirSync(runs) : [];
    const name = names.find((each) => each.startsWith("slm-is-news-"));
    if (name === undefined || !existsSync(workspace.path("whole", "runs", name, "run.json")))
      return undefined;
    return stateOf(workspace.path("whole", "runs", name)).state === "running" ? name : undefined;
  });
  /* a person is too slow for a training so short */
  requestStop(workspace.path("whole", "runs", run));
  await editor.rows("Runs").filter({ hasText: run }).filter({ hasText: "stopped" }).waitFor();
  await editor.rowAction("Runs", run, "Resume Run");
  await editor.toast("whole is done: 2 results").getByRole("button", { name: "Compare" }).click();
  const page = await editor.webview(".page-comparison tbody th");
  await page.getByRole("rowheader", { name: "slm-is" }).first().waitFor();
  const { results } = JSON.parse(readFileSync(workspace.path("whole", "report.json"), "utf8"));
  assert.equal(results.length, 2);
  assert.ok(existsSync(workspace.path("whole", "models", "slm-is-news", "model.safetensors")));
});

test("an error in somebody's own WGSL is marked, and the check says what is wrong", async () => {
  await openFile("double.wgsl");
  await squiggle("error").first().waitFor();
  await lens("Check").click();
  await editor.page.locator(".part.statusbar", { hasText: "double.wgsl does not compile" }).waitFor();
  await editor.page.locator('[id="status.problems"] a').click();
  await editor.page
    .locator(".markers-panel .monaco-list-row", { hasText: "unresolved value 'factor'" })
    .first()
    .waitFor();
});

test("the view of kernels opens a file of a ladder", async () => {
  await editor.container("slm-forge");
  await editor.view("Kernels").locator(".pane-header").click();
  /* away from the row that it explains when it is pointed at */
  await editor.page.mouse.move(700, 300);
  await editor.rows("Kernels").first().click({ force: true });
  /* a list goes to the row whose name is typed */
  await editor.page.keyboard.type("softmax");
  const row = editor.view("Kernels").locator('.monaco-list-row.focused[aria-label^="softmax, 1 variants"]');
  await row.waitFor();
  /* opens the row, then goes to its first one */
  await eventually("the variant has the focus", async () => {
    await editor.page.keyboard.press("ArrowRight");
    const variant = editor.view("Kernels").locator('.monaco-list-row.focused[aria-label^="rows, "]');
    return (await variant.count()) > 0 ? true : undefined;
  });
  await editor.page.keyboard.press("Enter");
  await editor.page.locator('.tab.active[data-resource-name="softmax.wgsl"]').waitFor();
  await editor.page.locator('.tab.active[data-resource-name="softmax.wgsl"]').click();
  /* room for the result beside a long line */
  await editor.command("View: Close Editors in Other Groups");
  await editor.command("View: Hide Panel");
  const [{ line }] = entryPointsOf(readFileSync(shaderPath("softmax.wgsl"), "utf8"));
  await editor.page.keyboard.press("Control+g");
  await editor.page.locator(".quick-input-widget:visible input.input").fill(`:${line + 1}`);
  await editor.page.keyboard.press("Enter");
  await lens("Check").click();
  await editor.page.locator(".part.statusbar", { hasText: "softmax.wgsl: rows f32: worst error" }).waitFor();
  /* drawn by a style sheet, so no text of the page */
  const drawn = await editor.page.evaluate<string[]>(
    '[...document.querySelectorAll(".view-line span")].map((each) => getComputedStyle(each, "::after").content)',
  );
  assert.ok(
    drawn.some((each) => each.includes("worst error")),
    drawn.join(""),
  );
  await editor.screenshot("vscode-kernel");
});

test("the walkthrough begins with the set-up, and ticks off what was done", async () => {
  await editor.container("slm-forge");
  await editor.command("slm-forge: Get Started");
  const step = (name: string) => editor.page.locator(`[data-step-id="slm-forge.slm-forge#start#${name}"]`);
  for (const name of ["setup", "specialise", "run", "export"]) await step(name).first().waitFor();
  await step("setup").getByRole("button", { name: "Check the Set-up" }).click();
  await editor.page
    .locator('[data-done-step-id="slm-forge.slm-forge#start#setup"][aria-checked="true"]')
    .first()
    .waitFor();
  await editor.screenshot("vscode-walkthrough");
});
