/** What somebody sees who installs the VSIX and opens a folder: views, welcomes, commands. */
import assert from "node:assert/strict";
import { copyFileSync, mkdirSync, readFileSync } from "node:fs";
import { after, afterEach, before, test } from "node:test";
import { Editor } from "./editor.js";
import { Workspace } from "./workspace.js";

const workspace = new Workspace();
let editor: Editor;
before(async () => {
  editor = await Editor.start();
});
after(async () => {
  await editor?.close();
  workspace.remove();
});

afterEach((context) => editor.keepPicture(context));

test("the activity bar has the views, and the set-up is told on request", async () => {
  await editor.open(workspace.folder);
  await editor.container("slm-forge");
  for (const name of ["Runs", "Corpora and Clusters", "Models", "Kernels"]) await editor.view(name).waitFor();
  await editor.view("Runs").getByText("No runs yet").waitFor();
  await editor.command("slm-forge: Check the Set-up");
  const text = await editor.toast("node_modules/slm-forge").textContent();
  assert.match(text ?? "", /slm \d+\.\d+\.\d+ at .*node_modules\/slm-forge\/dist\/bundle\/slm\.js/);
});

test("without slm-forge it is said what to install, with a way to the settings", async () => {
  const bare = new Workspace({ install: false });
  try {
    await editor.open(bare.folder);
    await editor.container("slm-forge");
    await editor.view("Runs").getByText("slm-forge is not installed here").waitFor();
    await editor.view("Runs").getByText("Check the Set-up").click();
    await editor
      .toast("npm install --global . in its checkout")
      .getByRole("button", { name: "Open settings" })
      .click();
    await editor.page.locator(".settings-editor .setting-item-label", { hasText: "Cli Path" }).waitFor();
  } finally {
    bare.remove();
  }
});

test("Specialise on this Folder, in the explorer's menu, writes a configuration and opens it", async () => {
  mkdirSync(workspace.path("notes"));
  copyFileSync(workspace.path("news.jsonl"), workspace.path("notes", "news.jsonl"));
  await editor.open(workspace.folder);
  /* menus are the extension's once its views are there */
  await editor.container("slm-forge");
  await editor.container("Explorer");
  const folder = editor.page.locator(".explorer-folders-view .monaco-list-row", { hasText: "notes" });
  await editor.rowMenu(folder, "Specialise on this Folder");
  await editor.pick("Fill it in later");
  await editor.page.getByRole("tab", { name: "forge.yaml" }).waitFor();
  assert.match(
    readFileSync(workspace.path("forge.yaml"), "utf8"),
    /^ {2}notes:.*\n {4}train: notes\/\*\.jsonl$/m,
  );
  await editor.container("slm-forge");
  await editor.rows("Corpora and Clusters").filter({ hasText: "forge.yaml" }).waitFor();
  await editor.screenshot("vscode-specialise");
});
