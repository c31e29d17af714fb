/** Start, stop, resume, delete, reveal: what can be done with runs. Runs outlive the window. */
import { dirname } from "node:path";
import * as vscode from "vscode";
import { resumptionOf } from "../../host-data/resume-run.js";
import type { ConfigFile } from "../../shared/protocol.js";
import { isActive, isResumable } from "../../shared/runs.js";
import type { SlmCli } from "../cli/slm-cli.js";
import type { WorkspaceData } from "../data/workspace-data.js";
import { registerCommand, saveForSlm } from "../editor/commands.js";
import { chooseRuns } from "./choose-run.js";
import type { RunStarter } from "./run-starter.js";
import type { RunNode } from "./runs-tree.js";

export class RunCommands {
  constructor(
    private readonly context: vscode.ExtensionContext,
    private readonly cli: SlmCli,
    private readonly data: WorkspaceData,
    private readonly starter: RunStarter,
  ) {}

  /** Registers them. */
  register(): void {
    const register = (name: string, act: (node?: RunNode, selection?: readonly RunNode[]) => Promise<void>) =>
      this.context.subscriptions.push(registerCommand(`slmForge.${name}`, act));
    register("startRun", (given) => this.#start(given as unknown as vscode.Uri | undefined));
    register("stopRun", (node, selection) => this.#stop(node, selection));
    register("resumeRun", (node, selection) => this.#resume(node, selection));
    register("deleteRun", (node, selection) => this.#delete(node, selection));
    register("revealRun", (node) => this.#reveal(node));
    register("showRunMessages", (node) => this.#showMessages(node));
    register("refreshRuns", () => this.data.store.refresh());
  }

  async #start(uri?: vscode.Uri): Promise<void> {
    const config = await this.#chooseConfig(uri);
    if (config === undefined) return;
    await saveConfig(config.path);
    await this.starter.startConfig(config.path, config.kind);
    await vscode.commands.executeCommand("slmForge.runs.focus");
  }

  /** The file that is meant, else the one in the editor, else asked for. */
  async #chooseConfig(uri?: vscode.Uri): Promise<ConfigFile | undefined> {
    await this.data.store.refresh();
    const { configs } = this.data.store;
    const meant = uri instanceof vscode.Uri ? uri : vscode.window.activeTextEditor?.document.uri;
    const open = configs.find(({ path }) => path === meant?.fsPath);
    if (open !== undefined) return open;
    if (uri instanceof vscode.Uri)
      throw new Error(
        `${uri.fsPath}: is no configuration of a run or job: it names no data, corpus or domains.`,
      );
    if (configs.length === 0)
      throw new Error(
        "There is no configuration in the open folders. Write a forge.yaml, or choose Specialise on this Folder.",
      );
    const items = configs.map((config) => ({
      label: vscode.workspace.asRelativePath(config.path),
      description: config.kind === "forge" ? "a whole job" : "one training",
      config,
    }));
    return (await vscode.window.showQuickPick(items, { title: "Train by which configuration?" }))?.config;
  }

  async #stop(node?: RunNode, selection?: readonly RunNode[]): Promise<void> {
    const runs = await chooseRuns(
      this.data,
      {
        title: "Stop which run?",
        many: true,
        suits: ({ state }) => isActive(state),
        none: "No run is running.",
      },
      node,
      selection,
    );
    await Promise.all(
      runs.map(({ id, name }) =>
        vscode.window.withProgress(
          {
            location: vscode.ProgressLocation.Window,
            title: `Stopping ${name}: everything so far is saved first`,
          },
          () => this.cli.json(["runs", "stop", name, "--runs", dirname(id)]),
        ),
      ),
    );
    await this.data.store.refresh();
  }

  async #resume(node?: RunNode, selection?: readonly RunNode[]): Promise<void> {
    const runs = await chooseRuns(
      this.data,
      {
        ...{ title: "Resume which runs?", many: true, suits: isResumable },
        none: "There is no run to resume: those that stopped have no checkpoint, or are parts of a job, which goes on with slm run and its forge.yaml.",
      },
      node,
      selection,
    );
    const asked = new Set<string>();
    for (const run of runs) {
      const { args, folder } = resumptionOf(run, this.data.store.reports);
      /* a job goes on with all of its runs */
      const command = JSON.stringify(args);
      if (asked.has(command)) continue;
      asked.add(command);
      if (run.job !== null && run.job.config !== null) await saveConfig(run.job.config);
      await this.starter.start(`Resuming ${run.name}`, args, folder);
    }
  }

  async #delete(node?: RunNode, selection?: readonly RunNode[]): Promise<void> {
    const runs = await chooseRuns(
      this.data,
      {
        ...{ title: "Delete which runs?", many: true },
        suits: ({ kind, state }) => kind === "run" && !isActive(state),
        none: "There is no run to delete; one that is running must be stopped first.",
      },
      node,
      selection,
    );
    if (runs.length === 0) return;
    const names = runs.map(({ name }) => name).join(", ");
    const count = runs.reduce((sum, { checkpoints }) => sum + checkpoints.length, 0);
    const answer = await vscode.window.showWarningMessage(
      runs.length === 1 ? `Delete ${names}?` : `Delete ${runs.length} runs?`,
      { modal: true, detail: `${names}: metrics and ${count} checkpoints are gone for good.` },
      "Delete",
    );
    if (answer !== "Delete") return;
    for (const { id, name } of runs)
      await this.cli.json(["runs", "rm", name, "--runs", dirname(id), "--yes"]);
    await this.data.store.refresh();
  }

  async #reveal(node?: RunNode): Promise<void> {
    const [run] = await chooseRuns(this.data, { title: "Reveal which run?", none: NO_RUNS }, node);
    if (run !== undefined) await vscode.commands.executeCommand("revealInExplorer", vscode.Uri.file(run.id));
  }

  async #showMessages(node?: RunNode): Promise<void> {
    const [run] = await chooseRuns(this.data, { title: "Messages of which run?", none: NO_RUNS }, node);
    if (run === undefined) return;
    const log = this.starter.messagesOf(run.pid);
    if (log === undefined)
      throw new Error(`${run.name} was not started from here: its messages are where it was started.`);
    await vscode.window.showTextDocument(vscode.Uri.file(log), { preview: true });
  }
}

/** Saves a configuration that is open: slm reads the file. */
async function saveConfig(path: string): Promise<void> {
  const open = vscode.workspace.textDocuments.find(({ uri }) => uri.fsPath === path);
  if (open !== undefined) await saveForSlm(open);
}

const NO_RUNS = "There are no runs in the open folders.";
