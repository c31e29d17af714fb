/** The `slm` of the open workspace: settings, folders and trust put together. */
import * as vscode from "vscode";
import type { SlmCommand } from "../../host-data/slm-command.js";
import { CliError } from "./cli-error.js";
import { findCli } from "./find-cli.js";
import { type FoundNode, findNode, nodeSources } from "./find-node.js";
import { cleanEnvironment, SlmCli } from "./slm-cli.js";

/** Makes the command line of this window. Nothing is run before something is asked of it. */
export function workspaceCli(log: vscode.LogOutputChannel): SlmCli {
  let node: { readonly setting: string; readonly found: Promise<FoundNode> } | undefined;
  return new SlmCli({
    log: (line) => log.info(line),
    locate: async (): Promise<SlmCommand> => {
      if (!vscode.workspace.isTrusted)
        throw new CliError("This folder is not trusted, so nothing of it is run. Trust it first.");
      const settings = vscode.workspace.getConfiguration("slmForge");
      const setting = settings.get("nodePath", "");
      /* asking a program for its version takes a moment: only once */
      if (node?.setting !== setting) node = { setting, found: findNode(nodeSources(setting)) };
      const folders = (vscode.workspace.workspaceFolders ?? []).map(({ uri }) => uri.fsPath);
      const cli = findCli({ setting: settings.get("cliPath", ""), folders, path: process.env.PATH ?? "" });
      try {
        const { path } = await node.found;
        return { program: path, parameters: [cli.path], env: cleanEnvironment(process.env) };
      } catch (error) {
        node = undefined;
        throw error;
      }
    },
  });
}
