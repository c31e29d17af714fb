/** Tells how runs go without being asked: badge, status bar, and one notice when a run has ended. */
import * as vscode from "vscode";
import { describeEnd, describeProgress, describeRun } from "../../shared/run-text.js";
import { isActive, isResumable, type RunSummary } from "../../shared/runs.js";
import type { WorkspaceData } from "../data/workspace-data.js";
import type { RunNode, RunsTree } from "./runs-tree.js";
import { UnderWay } from "./under-way.js";

export class RunWatch implements vscode.Disposable {
  readonly #status = vscode.window.createStatusBarItem(
    "slmForge.running",
    vscode.StatusBarAlignment.Left,
    10,
  );
  /** So that old ends are not told again. */
  readonly #underWay: UnderWay;

  constructor(
    private readonly data: WorkspaceData,
    private readonly tree: RunsTree,
    private readonly view: vscode.TreeView<RunNode>,
    private readonly log: vscode.LogOutputChannel,
    state: vscode.Memento,
  ) {
    this.#underWay = new UnderWay(state, "runsUnderWay");
    this.#status.name = "slm-forge: running";
    this.#status.command = "slmForge.openDashboard";
  }

  dispose(): void {
    this.#status.dispose();
  }

  /** Takes the runs as they are now. */
  update(): void {
    const { runs } = this.data.store;
    const active = runs.filter(({ state }) => isActive(state));
    this.tree.refresh();
    const value = active.length;
    this.view.badge = value === 0 ? undefined : { value, tooltip: value === 1 ? "1 run" : `${value} runs` };
    this.#showStatus(active);
    for (const run of runs) {
      const isTraining = isActive(run.state);
      if (this.#underWay.note(run.id, isTraining) === isTraining) continue;
      this.log.info(
        isTraining ? `${run.name}: running, ${run.id}` : `${run.name}: ${run.state} at step ${run.step}`,
      );
      if (!isTraining) void this.#tellEnd(run);
    }
  }

  #showStatus(active: readonly RunSummary[]): void {
    if (active.length === 0) {
      this.#status.hide();
      return;
    }
    const [first] = active;
    const name = active.length === 1 ? first.name : `${active.length} runs`;
    const loss = active.length > 1 || first.loss === null ? "" : ` · loss ${first.loss.toFixed(3)}`;
    this.#status.text = `$(sync~spin) ${name} ${describeProgress(first)}${loss}`;
    const tooltip = new vscode.MarkdownString();
    for (const run of active)
      tooltip
        .appendMarkdown(`**`)
        .appendText(run.name)
        .appendMarkdown("** ")
        .appendText(`${describeRun(run)}\n\n`);
    this.#status.tooltip = tooltip;
    this.#status.accessibilityInformation = { label: `${name}, ${describeRun(first)}` };
    this.#status.show();
  }

  async #tellEnd(run: RunSummary): Promise<void> {
    const end = describeEnd(run);
    const notify = vscode.workspace.getConfiguration("slmForge").get<string>("notify", "all");
    /* a job trains many runs, and its own end is told once */
    if (end !== undefined && !end.isFailure && run.job !== null) return;
    if (end === undefined || notify === "none" || (notify === "failures" && !end.isFailure)) return;
    const show = "Show";
    const second = end.isFailure ? (isResumable(run) ? "Resume" : "Messages") : "Generate Text";
    const answer = await (end.isFailure
      ? vscode.window.showErrorMessage(end.text, show, second)
      : vscode.window.showInformationMessage(end.text, show, second));
    const commands: Readonly<Record<string, string>> = {
      Show: "slmForge.showRun",
      Resume: "slmForge.resumeRun",
      Messages: "slmForge.showRunMessages",
      "Generate Text": "slmForge.generate",
    };
    if (answer !== undefined) await vscode.commands.executeCommand(commands[answer], { run });
  }
}
