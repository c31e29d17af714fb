/** What can be done with a trained model: have it write, measure it on a text, hand it to other tools. */
import { basename, dirname } from "node:path";
import * as vscode from "vscode";
import type { SlmCli } from "../cli/slm-cli.js";
import type { WorkspaceData } from "../data/workspace-data.js";
import { inForeground, registerCommand } from "../editor/commands.js";
import { describeModel, type ModelNode, modelNodes } from "./models-tree.js";

interface Exported {
  readonly out: string;
}

export class ModelCommands {
  constructor(
    private readonly context: vscode.ExtensionContext,
    private readonly cli: SlmCli,
    private readonly data: WorkspaceData,
  ) {}

  /** Registers them. */
  register(): void {
    const register = (name: string, act: (node: ModelNode) => Promise<void>) =>
      this.context.subscriptions.push(
        registerCommand(`slmForge.${name}`, async (given?: ModelNode) => {
          const node = given ?? (await this.#choose());
          if (node !== undefined) await act(node);
        }),
      );
    register("generate", (node) => this.#generate(node));
    register("evaluate", (node) => this.#evaluate(node));
    register("exportModel", (node) => this.#export(node));
  }

  async #choose(): Promise<ModelNode | undefined> {
    const nodes = modelNodes(this.data);
    if (nodes.length === 0)
      throw new Error("There is no model in the open folders: no run has saved a checkpoint yet.");
    const items = nodes.map((node) => {
      const { name, remark } = describeModel(node);
      return { label: name, description: remark, node };
    });
    return (await vscode.window.showQuickPick(items, { title: "Which model?", matchOnDescription: true }))
      ?.node;
  }

  /** Writes in a terminal, where text can be seen as it comes, and ended. */
  async #generate(node: ModelNode): Promise<void> {
    const prompt = await vscode.window.showInputBox({
      title: `Generate text with ${describeModel(node).name}`,
      prompt: "The beginning of the text; empty starts a new document.",
      value: this.context.workspaceState.get("prompt", ""),
      ignoreFocusOut: true,
    });
    if (prompt === undefined) return;
    await this.context.workspaceState.update("prompt", prompt);
    await this.#inTerminal("generate", node, ["--prompt", prompt]);
  }

  async #evaluate(node: ModelNode): Promise<void> {
    const chosen = await vscode.window.showOpenDialog({
      title: `Evaluate ${describeModel(node).name} on which text?`,
      openLabel: "Evaluate",
      canSelectMany: true,
      defaultUri: vscode.workspace.workspaceFolders?.[0].uri,
    });
    if (chosen === undefined || chosen.length === 0) return;
    const sets = chosen.flatMap(({ fsPath }) => [
      "--set",
      `${basename(fsPath).replace(/\..*$/, "")}=${fsPath}`,
    ]);
    await this.#inTerminal("eval", node, sets);
  }

  async #export(node: ModelNode): Promise<void> {
    const { name } = describeModel(node);
    const format = await vscode.window.showQuickPick(
      [
        { label: "Hugging Face folder", description: "for transformers, MLX and vLLM", format: "hf" },
        { label: "GGUF file", description: "for llama.cpp and Ollama", format: "gguf" },
      ],
      { title: `Export ${name} as`, ignoreFocusOut: true },
    );
    if (format === undefined) return;
    const root = vscode.workspace.workspaceFolders?.[0].uri ?? vscode.Uri.file(dirname(this.#placeOf(node)));
    const end = format.format === "hf" ? "" : ".gguf";
    const place = await vscode.window.showInputBox({
      title: `Export ${name} to`,
      prompt: "A path; one that is there already is not replaced.",
      /* a terminal that opens meanwhile takes the focus */
      ignoreFocusOut: true,
      value: vscode.Uri.joinPath(root, "exports", `${name}${end}`).fsPath,
    });
    if (!place) return;
    const written = await inForeground(`Exporting ${name}`, (signal) => {
      const args = ["export", ...this.#argumentsOf(node), "--format", format.format, "--out", place];
      return this.cli.json<Exported>(args, { signal });
    });
    await this.data.store.refresh();
    const path = written.out;
    const reveal = "Reveal";
    if ((await vscode.window.showInformationMessage(`${name} is exported to ${path}.`, reveal)) === reveal)
      await vscode.commands.executeCommand("revealInExplorer", vscode.Uri.file(path));
  }

  #placeOf(node: ModelNode): string {
    return "folder" in node ? node.folder : node.run.id;
  }

  #argumentsOf(node: ModelNode): string[] {
    const checkpoint =
      "run" in node && node.checkpoint !== undefined ? ["--checkpoint", `step-${node.checkpoint}`] : [];
    return [this.#placeOf(node), ...checkpoint];
  }

  async #inTerminal(command: string, node: ModelNode, args: readonly string[]): Promise<void> {
    const slm = await this.cli.command();
    const all = [...slm.parameters, command, ...this.#argumentsOf(node), ...args];
    const task = new vscode.Task(
      { type: "slm", command, args: [...this.#argumentsOf(node), ...args] },
      vscode.TaskScope.Workspace,
      `${command} ${describeModel(node).name}`,
      "slm",
      new vscode.ProcessExecution(slm.program, all),
    );
    task.presentationOptions = {
      ...{ reveal: vscode.TaskRevealKind.Always, panel: vscode.TaskPanelKind.Shared },
      ...{ clear: false, showReuseMessage: false },
    };
    await vscode.tasks.executeTask(task);
  }
}
