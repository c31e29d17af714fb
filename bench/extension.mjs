// How long the extension takes to activate, as VS Code itself says (Developer: Show Running Extensions), and its size.
// usage: node bench/extension.mjs [--json]     after npm run build
import { statSync } from "node:fs";
import { prepareEditor } from "./editor.mjs";

const WINDOWS = 7;

const { vsix, Editor, Workspace, machine } = await prepareEditor();
const workspace = new Workspace();
const editor = await Editor.start();
const times = [];
try {
  for (let window = 0; window < WINDOWS; window++) {
    await editor.open(workspace.folder);
    await editor.container("slm-forge");
    await editor.view("Runs").getByText("No runs yet").waitFor();
    await editor.command("Developer: Show Running Extensions");
    const row = editor.page.locator(".runtime-extensions-editor .monaco-list-row", { hasText: "slm-forge" });
    const said = (await row.locator(".activation-time").textContent()) ?? "";
    const time = Number(/(\d+)\s*ms/.exec(said)?.[1]);
    if (!Number.isFinite(time)) throw new Error(`VS Code says no activation time but: ${said}`);
    times.push(time);
    await editor.page.context().close();
  }
} finally {
  await editor.close();
  workspace.remove();
}
times.sort((a, b) => a - b);
const result = {
  activation: { median: times[WINDOWS >> 1], most: times.at(-1) },
  bytes: statSync(vsix).size,
};
if (process.argv.includes("--json")) console.log(JSON.stringify({ machine, ...result }, null, 2));
else {
  const { processor, cores, revision, load } = machine;
  console.log(`${cores} cores of ${processor}, ${revision}, load ${load.toFixed(1)}`);
  console.log(
    `activation: median ${result.activation.median} ms of ${WINDOWS}, at most ${result.activation.most} ms`,
  );
  console.log(`VSIX: ${(result.bytes / 1024).toFixed(0)} KiB`);
}
