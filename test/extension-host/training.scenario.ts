/** A real training run, from the button to its end: the loss moving, reload in mid-run, stop, resume, delete. */
import assert from "node:assert/strict";
import { cpSync, existsSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, afterEach, before, test } from "node:test";
import { RUN_FILES } from "../../specialization/training/run-folder.js";
import { metricsOf, slmIn, stateOf, writeConfig } from "../cli/tiny-run.js";
import { Editor, eventually } from "./editor.js";
import { Workspace } from "./workspace.js";

const workspace = new Workspace();
const long = workspace.path("runs", "long");
let editor: Editor;
before(async () => {
  writeConfig(workspace.folder, "long", {
    data: { train: "corpus.jsonl", validation: { news: "news.jsonl" } },
    training: { batch: 4, learningRate: 0.003, budget: { steps: 20_000 } },
    evaluation: { every: 50 },
    checkpoints: { every: 100 },
    samples: { every: 100, prompts: ["the small model"], tokens: 16 },
  });
  writeConfig(workspace.folder, "short", {
    training: { batch: 4, learningRate: 0.01, budget: { steps: 300 } },
  });
  editor = await Editor.start();
  await editor.open(workspace.folder);
  await editor.container("slm-forge");
});
after(async () => {
  if (existsSync(long)) await slmIn(workspace.folder, "runs", "stop", "long");
  await editor?.close();
  workspace.remove();
});
afterEach((context) => editor.keepPicture(context));

function row(name: string) {
  return editor.rows("Runs").filter({ hasText: name }).first();
}

/** Waits until the row of a run says what is expected. */
function until(name: string, expected: RegExp): Promise<string> {
  return eventually(`${name}: ${expected}`, async () => {
    const text = (await row(name).textContent()) ?? "";
    return expected.test(text) ? text : undefined;
  });
}

async function stepOf(name: string): Promise<number> {
  return Number(/(\d+)\/20000/.exec(await until(name, /\d+\/20000/))?.[1]);
}

function beyond(name: string, step: number): Promise<true> {
  return eventually(
    `${name} goes on after step ${step}`,
    async () => (await stepOf(name)) > step || undefined,
  );
}

async function dashboard() {
  const frame = await editor.webview(".page-dashboard");
  await frame.getByRole("heading", { name: "Training loss" }).waitFor();
  const loss = frame.locator("section.card", { has: frame.getByRole("heading", { name: "Training loss" }) });
  return { loss, label: () => loss.locator("canvas").last().getAttribute("aria-label") };
}

test("the welcome view starts a run, and its loss moves in list, chart and status bar", async () => {
  await editor.view("Runs").getByText("Train by a Configuration").click();
  await editor.pick("long.yaml");
  await until("long", /left · .*tok\/s · loss \d+\.\d+ · [1-9]\d*\/20000/);
  const spoken = await row("long").getAttribute("aria-label");
  assert.match(spoken ?? "", /step \d+ of 20000, loss .*tokens\/s, .* left/);
  /* a row that is drawn anew between press and release takes no click */
  await eventually("the dashboard opens", async () => {
    await row("long").click();
    const tab = editor.page.locator(".tab", { hasText: "Training Runs" }).first();
    return tab.waitFor({ timeout: 3000 }).then(
      () => true,
      () => undefined,
    );
  });
  const { label } = await dashboard();
  const first = await stepOf("long");
  const before = await eventually(
    "the loss is drawn",
    async () => /long \d.*/.exec((await label()) ?? "")?.[0],
  );
  await eventually("the loss moves", async () => !(await label())?.includes(before) || undefined);
  await beyond("long", first);
  await editor.page.locator('.statusbar-item[id="slm-forge.slm-forge.slmForge.running"]').waitFor();
  await editor.page.locator(".part.activitybar .badge", { hasText: "1" }).first().waitFor();
  await editor.screenshot("vscode-dashboard");
});

test("a reload of the window in mid-run loses nothing", async () => {
  const before = await stepOf("long");
  await editor.reload();
  await editor.container("slm-forge");
  await beyond("long", before);
  const { loss, label } = await dashboard();
  await eventually("the loss is drawn", async () => /long \d/.test((await label()) ?? "") || undefined);
  /* the page has every step since the first, those during the reload too */
  await loss.locator("summary", { hasText: "Values" }).click();
  const [first] = metricsOf(long);
  await loss
    .locator("td", { hasText: String(Number(first.loss.toPrecision(4))) })
    .first()
    .waitFor();
  const steps = metricsOf(long).filter(({ kind }) => kind === "step");
  assert.deepEqual(
    steps.map(({ step }) => step),
    steps.map((_, at) => at + 1),
  );
});

test("a run is stopped and resumed from its row, and stopped from the palette", async () => {
  await editor.rowAction("Runs", "long", "Stop Run");
  await until("long", /stopped/);
  assert.equal(stateOf(long).state, "stopped");
  const { step } = stateOf(long);
  await editor.rowAction("Runs", "long", "Resume Run");
  await until("long", /tok\/s/);
  await beyond("long", step);
  await editor.command("slm-forge: Stop Run");
  await editor.page.locator(".quick-input-widget:visible").getByText("Stop which run?").waitFor();
  await editor.page.locator(".quick-input-widget:visible .quick-input-list .monaco-list-row").first().click();
  await editor.page.keyboard.press("Enter");
  await until("long", /stopped/);
});

test("an end that no window saw is told by the next one", async () => {
  const resumed = slmIn(workspace.folder, "runs", "resume", "long");
  await until("long", /tok\/s/);
  await editor.page.goto("about:blank");
  process.kill(stateOf(long).pid, "SIGKILL");
  await resumed;
  await editor.goto(workspace.folder);
  await editor.toast("long ended at step").getByRole("button", { name: "Resume" }).waitFor();
  assert.equal(await editor.toast("long ended at step").count(), 1);
  await editor.container("slm-forge");
});

test("a run started in a terminal appears, and its end is told once with what can be done next", async () => {
  const ended = slmIn(workspace.folder, "train", "short.yaml");
  await editor.toast("short finished at step 300").getByRole("button", { name: "Show" }).waitFor();
  assert.equal((await ended).code, 0);
  assert.equal(await editor.toast("short finished").count(), 1);
  await until("short", /finished/);
});

test("a run of another host, in a folder that is shared, appears, moves and is asked to stop", async () => {
  const far = workspace.path("runs", "far");
  cpSync(workspace.path("runs", "short"), far, { recursive: true });
  const status = join(far, "run.json");
  const tell = (change: object) => {
    writeFileSync(`${status}.new`, JSON.stringify({ ...stateOf(far), ...change }));
    renameSync(`${status}.new`, status);
  };
  tell({ state: "running", host: "a-gpu-server", pid: 1, step: 120, loss: 3.25, tokensPerSecond: 9000 });
  await until("far", /tok\/s · loss 3\.25.* · 120\/300/);
  assert.match((await row("far").getAttribute("aria-label")) ?? "", /running/);
  tell({ step: 150, loss: 3.5 });
  await until("far", /loss 3\.5.* · 150\/300/);
  await editor.rowAction("Runs", "far", "Stop Run");
  await eventually("the request", async () => existsSync(join(far, RUN_FILES.control)) || undefined);
  tell({ state: "stopped" });
  await until("far", /stopped/);
});

test("a run is shown among the files", async () => {
  await editor.rowMenu(row("short"), "Reveal in Explorer");
  await editor.page
    .locator(".explorer-folders-view .monaco-list-row.selected", { hasText: "short" })
    .waitFor();
  await editor.container("slm-forge");
});

test("a run is deleted only after a yes", async () => {
  await editor.rowMenu(row("short"), "Delete Run");
  await editor.page.locator(".monaco-dialog-box").getByText("Delete short?").waitFor();
  await editor.page.locator(".monaco-dialog-box").getByRole("button", { name: "Cancel" }).click();
  assert.ok(existsSync(workspace.path("runs", "short")));
  await editor.rowMenu(row("short"), "Delete Run");
  await editor.page.locator(".monaco-dialog-box").getByRole("button", { name: "Delete" }).click();
  await eventually(
    "the folder is gone",
    async () => !existsSync(workspace.path("runs", "short")) || undefined,
  );
  await row("short").waitFor({ state: "detached" });
});

test("a job that cannot run says why, in its own words", async () => {
  writeFileSync(
    workspace.path("forge.yaml"),
    "corpus: { train: missing.jsonl }\ndomains: { news: { train: news.jsonl } }\n",
  );
  await editor.command("slm-forge: Train by a Configuration");
  await editor.pick("forge.yaml");
  await editor.toast("missing.jsonl").waitFor();
});
