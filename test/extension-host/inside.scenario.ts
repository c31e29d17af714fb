/** The mocha tests in the extension host, the way VS Code's own integration tests run. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { after, test } from "node:test";
import { format } from "node:util";
import { packageRoot } from "../../cli/version.js";
import { writeConfig } from "../cli/tiny-run.js";
import { Editor } from "./editor.js";
import { Workspace } from "./workspace.js";

/** First line of inside/index.ts. */
const BEGIN = "tests in the extension host";
const workspace = new Workspace();
let editor: Editor | undefined;
after(async () => {
  await editor?.close();
  workspace.remove();
});

test("the tests in the extension host pass", async () => {
  writeConfig(workspace.folder, "by-task", {
    training: { batch: 4, learningRate: 0.01, budget: { steps: 3 } },
  });
  editor = await Editor.start({ integration: true });
  const page = await editor.newPage();
  const ended = new Promise<number>((done) => void page.exposeFunction("codeAutomationExit", done));
  let hasBegun = false;
  await page.exposeFunction("codeAutomationLog", (_kind: string, parts: unknown[]) => {
    /* the workbench's own remarks come here as well: before, and styled or in brackets */
    const text = format(...parts);
    hasBegun ||= text === BEGIN;
    if (hasBegun && typeof parts[0] === "string" && !/^(%c|\[)|spdlog/.test(text)) console.log(text);
  });
  const tests = join(packageRoot(), "dist", "vscode-tests");
  const payload = JSON.stringify([
    ["extensionDevelopmentPath", editor.remote(tests)],
    ["extensionTestsPath", editor.remote(join(tests, "index.cjs"))],
    ["skipWelcome", "true"],
  ]);
  await editor.goto(workspace.folder, { payload });
  assert.equal(await ended, 0);
});
