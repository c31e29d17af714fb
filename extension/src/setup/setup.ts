/** Tells whether `slm` can be run here, for welcome views, and shows what was found to whoever asks. */
import * as vscode from "vscode";
import type { SlmCli } from "../cli/slm-cli.js";

/** Registers the commands on the installation and keeps the context key `slmForge.ready`. */
export function registerSetup(
  context: vscode.ExtensionContext,
  cli: SlmCli,
  log: vscode.LogOutputChannel,
): void {
  const check = async () => {
    const ready = await cli.command().then(
      () => true,
      () => false,
    );
    await vscode.commands.executeCommand("setContext", "slmForge.ready", ready);
  };
  context.subscriptions.push(
    /* packages are installed in a terminal, or elsewhere; nobody is told of what changes in node_modules */
    vscode.window.onDidChangeWindowState(({ focused }) => focused && check()),
    vscode.window.onDidChangeActiveTerminal(check),
    vscode.window.onDidEndTerminalShellExecution(check),
    vscode.workspace.onDidChangeConfiguration((change) => change.affectsConfiguration("slmForge") && check()),
    vscode.workspace.onDidChangeWorkspaceFolders(check),
    vscode.workspace.onDidGrantWorkspaceTrust(check),
    vscode.commands.registerCommand("slmForge.openWalkthrough", () =>
      vscode.commands.executeCommand("workbench.action.openWalkthrough", `${context.extension.id}#start`),
    ),
    vscode.commands.registerCommand("slmForge.showLog", () => log.show()),
    vscode.commands.registerCommand("slmForge.checkSetup", async () => {
      await check();
      try {
        const { program, parameters } = await cli.command();
        const { code, stdout, stderr } = await cli.run(["--version"]);
        if (code !== 0) throw new Error(stderr);
        await vscode.window.showInformationMessage(
          `slm ${stdout.trim()} at ${parameters[0]}, run by ${program}.`,
        );
      } catch (error) {
        const settings = "Open settings";
        if ((await vscode.window.showErrorMessage((error as Error).message, settings)) === settings)
          await openSettings();
      }
    }),
  );
  void check();
}

/** Paths belong to the machine that the extension runs on: over SSH and the like its settings have a tab of their own. */
async function openSettings(): Promise<void> {
  const tab = vscode.env.remoteName === undefined ? "openSettings" : "openRemoteSettings";
  await vscode.commands.executeCommand(`workbench.action.${tab}`, { query: "@ext:slm-forge.slm-forge" });
}
