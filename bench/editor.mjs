// A real VS Code with the packaged extension, for what is measured in it; installed where it is missing.
import { packageExtension } from "../extension/package.mjs";
import { ensureChromium } from "../test/chromium.mjs";
import { ensureVsCode } from "../test/extension-host/install.mjs";

/** Path of the packed extension, and the page objects that its tests drive the editor with. */
export async function prepareEditor() {
  const vsix = packageExtension();
  const { node, server } = ensureVsCode();
  Object.assign(process.env, { CHROMIUM: ensureChromium(), VSCODE_NODE: node, VSCODE_SERVER: server });
  const { Editor } = await import("../dist/test/extension-host/editor.js");
  const { Workspace } = await import("../dist/test/extension-host/workspace.js");
  const { describeMachine } = await import("../dist/bench/machine.js");
  return { vsix, Editor, Workspace, machine: describeMachine() };
}
