/** What the lenses above a configuration start: the run itself, in the background, or a look at what it would take. */
import { basename, dirname } from "node:path";
import * as vscode from "vscode";
import { messageOf } from "../../host-data/slm-command.js";
import type { ConfigKind } from "../../language/kind.js";
import { CliError } from "../cli/cli-error.js";
import type { SlmCli } from "../cli/slm-cli.js";
import { inForeground, registerCommand, saveForSlm } from "../editor/commands.js";
import type { RunStarter } from "../training/run-starter.js";
import { kindOf } from "./config-documents.js";
import type { Printouts } from "./printouts.js";

interface Target {
  readonly uri: vscode.Uri;
  readonly kind: ConfigKind;
  readonly folder: string;
  readonly name: string;
}

/** Registers slmForge.run, .plan and .dryRun; each takes the file's address, else the one in the active editor. */
export function registerRunCommands(
  cli: SlmCli,
  starter: RunStarter,
  printouts: Printouts,
): vscode.Disposable {
  const command = (id: string, action: (target: Target) => Promise<void>) =>
    registerCommand(id, async (given?: vscode.Uri) => action(await targetOf(given)));
  const show = async ({ folder, name }: Target, title: string, args: readonly string[]) => {
    const outcome = await inForeground(`${title} of ${name}`, async (signal) => {
      const ended = await cli.run(args, { cwd: folder, signal });
      /* slm ends well when it is stopped */
      return signal.aborted ? undefined : ended;
    });
    if (outcome === undefined) return;
    if (outcome.code !== 0) throw new CliError(messageOf(outcome.stderr) || `${title} of ${name} failed.`);
    await printouts.show(`${title} of ${name}`, outcome.stdout);
  };
  return vscode.Disposable.from(
    command("slmForge.run", async ({ uri, kind }) => {
      await starter.startConfig(uri.fsPath, kind);
      await vscode.commands.executeCommand("slmForge.openDashboard");
    }),
    command("slmForge.plan", (target) =>
      show(
        target,
        "Plan",
        target.kind === "forge" ? ["plan", target.uri.fsPath] : ["train", target.uri.fsPath, "--dry-run"],
      ),
    ),
    command("slmForge.dryRun", (target) =>
      show(target, "Dry run", [target.kind === "forge" ? "run" : "train", target.uri.fsPath, "--dry-run"]),
    ),
  );
}

/** The configuration meant, saved. @throws CliError when there is none */
async function targetOf(given: vscode.Uri | undefined): Promise<Target> {
  const uri = given ?? vscode.window.activeTextEditor?.document.uri;
  if (uri === undefined) throw new CliError("Open a forge.yaml or the configuration of a training first.");
  const document = await vscode.workspace.openTextDocument(uri);
  const kind = kindOf(document);
  if (kind === undefined || uri.scheme !== "file")
    throw new CliError(`${basename(uri.fsPath)} is no configuration of slm-forge. Open a forge.yaml first.`);
  await saveForSlm(document);
  return { uri, kind, folder: dirname(uri.fsPath), name: basename(uri.fsPath) };
}
