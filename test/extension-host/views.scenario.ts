/** What somebody sees who installs the VSIX and opens a folder: views, welcomes, commands. */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
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

test("the activity bar has the views, and the set-up is told on request", async () => {
  await editor.open(workspace.folder);
  await editor.container("slm-forge");
  for (const name of ["Runs", "Corpora and Clusters", "Models"]) await editor.view(name).waitFor();
  await editor.command("slm-forge: Check the Set-up");
  const text = await editor.toast("node_modules/slm-forge").textContent();
  assert.match(text ?? "", /slm \d+\.\d+\.\d+ at .*node_modules\/slm-forge\/dist\/cli\/main\.js/);
});

test("without slm-forge it is said what to install, with a way to the settings", async () => {
  const bare = new Workspace({ install: false });
  try {
    await editor.open(bare.folder);
    await editor.container("slm-forge");
    await editor.command("slm-forge: Check the Set-up");
    await editor.toast("npm install slm-forge").getByRole("button", { name: "Open settings" }).click();
    await editor.page.locator(".settings-editor .setting-item-label", { hasText: "Cli Path" }).waitFor();
  } finally {
    bare.remove();
  }
});
