/** Which runs a command is about: those of the view it was called from, else asked for, so that keys alone suffice. */
import * as vscode from "vscode";
import { describeRun } from "../../shared/run-text.js";
import { labelsOf, type RunSummary } from "../../shared/runs.js";
import type { WorkspaceData } from "../data/workspace-data.js";
import type { RunNode } from "./runs-tree.js";

export interface RunChoice {
  readonly title: string;
  readonly many?: boolean;
  /** Whether the command can do anything with a run. */
  suits?(run: RunSummary): boolean;
  /** Said when it can do nothing with any. */
  readonly none: string;
}

/** Runs chosen, as they are now; none when the person would rather not. */
export async function chooseRuns(
  data: WorkspaceData,
  { title, many = false, suits = () => true, none }: RunChoice,
  node?: RunNode,
  selection?: readonly RunNode[],
): Promise<readonly RunSummary[]> {
  const { runs } = data.store;
  const isMeant = many && selection !== undefined && selection.length > 0;
  const nodes = isMeant ? selection : node === undefined ? [] : [node];
  const given = nodes.flatMap((each) => ("run" in each ? [each.run.id] : []));
  const wanted = runs.filter((run) => given.includes(run.id) && suits(run));
  if (wanted.length > 0) return wanted;
  const suitable = runs.filter(suits);
  if (suitable.length === 0) {
    await vscode.window.showInformationMessage(none);
    return [];
  }
  const labels = labelsOf(runs);
  const items = suitable.map((run) => ({
    label: labels.get(run.id) as string,
    description: describeRun(run),
    run,
  }));
  if (!many) {
    const picked = await vscode.window.showQuickPick(items, { title, matchOnDescription: true });
    return picked === undefined ? [] : [picked.run];
  }
  const picked = await vscode.window.showQuickPick(items, {
    title,
    matchOnDescription: true,
    canPickMany: true,
  });
  return picked?.map(({ run }) => run) ?? [];
}
