/** Tasks of type `slm`: a run in a terminal, repeatable and chained with others through tasks.json. */
import { basename, dirname } from "node:path";
import * as vscode from "vscode";
import type { SlmCli } from "../cli/slm-cli.js";
import type { WorkspaceData } from "../data/workspace-data.js";

interface SlmTaskDefinition extends vscode.TaskDefinition {
  readonly command: string;
  readonly args?: readonly string[];
}

export class SlmTasks implements vscode.TaskProvider {
  constructor(
    private readonly cli: SlmCli,
    private readonly data: WorkspaceData,
  ) {}

  /** A task for every configuration in the open folders. */
  async provideTasks(): Promise<vscode.Task[]> {
    await this.data.store.refresh();
    const tasks = this.data.store.configs.map(({ path, kind }) => {
      const folder = vscode.workspace.getWorkspaceFolder(vscode.Uri.file(path));
      const given = folder === undefined ? path : vscode.workspace.asRelativePath(path, false);
      const definition = { type: "slm", command: kind === "forge" ? "run" : "train", args: [given] };
      return this.#task(definition, folder, `${definition.command} ${given}`);
    });
    return (await Promise.all(tasks)).filter((task) => task !== undefined);
  }

  async resolveTask(task: vscode.Task): Promise<vscode.Task | undefined> {
    const definition = task.definition as SlmTaskDefinition;
    const scope = typeof task.scope === "object" ? task.scope : vscode.workspace.workspaceFolders?.[0];
    return this.#task(definition, scope, task.name, definition);
  }

  async #task(
    { command, args = [] }: SlmTaskDefinition,
    folder: vscode.WorkspaceFolder | undefined,
    name: string,
    definition: vscode.TaskDefinition = { type: "slm", command, args },
  ): Promise<vscode.Task | undefined> {
    try {
      const slm = await this.cli.command();
      const words = command.split(" ");
      const execution = new vscode.ProcessExecution(slm.program, [...slm.parameters, ...words, ...args], {
        cwd: folder?.uri.fsPath ?? dirname(args[0] ?? "."),
      });
      const task = new vscode.Task(definition, folder ?? vscode.TaskScope.Workspace, name, "slm", execution);
      task.detail = `slm ${command} ${args.map((each) => basename(each)).join(" ")}`;
      task.presentationOptions = {
        reveal: vscode.TaskRevealKind.Always,
        panel: vscode.TaskPanelKind.Dedicated,
      };
      return task;
    } catch {
      /* without slm there are no tasks; the view Runs says what to do */
      return undefined;
    }
  }
}
