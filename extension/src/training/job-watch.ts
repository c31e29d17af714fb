/** Tells once that a whole job is done, whoever started it: its report then holds all that was planned. */
import { statSync } from "node:fs";
import { join } from "node:path";
import * as vscode from "vscode";
import type { WorkspaceData } from "../data/workspace-data.js";
import { UnderWay } from "./under-way.js";

export class JobWatch {
  /** So that old ends are not told again. */
  readonly #underWay: UnderWay;
  /** Jobs seen at their end. */
  readonly #done = new Set<string>();
  readonly #begun = Date.now();

  constructor(
    private readonly data: WorkspaceData,
    state: vscode.Memento,
  ) {
    this.#underWay = new UnderWay(state, "jobsUnderWay");
  }

  /** Takes the reports as they are now. */
  update(): void {
    for (const { id, report } of this.data.store.reports) {
      const { done, planned } = report.progress;
      const wasUnderWay = this.#underWay.note(id, done < planned);
      if (done < planned) continue;
      /* a short job begins and ends between two looks */
      const isNew = !this.#done.has(id) && writtenAt(id) > this.#begun;
      this.#done.add(id);
      if (wasUnderWay || isNew) void this.#tell(id, report.name, done);
    }
  }

  async #tell(id: string, name: string, results: number): Promise<void> {
    if (vscode.workspace.getConfiguration("slmForge").get<string>("notify", "all") !== "all") return;
    const compare = "Compare";
    const text = `${name} is done: ${results} results.`;
    if ((await vscode.window.showInformationMessage(text, compare)) === compare)
      await vscode.commands.executeCommand("slmForge.openComparison", { report: id });
  }
}

/** When the report of a job was written, in milliseconds since 1970; 0 where it is gone. */
function writtenAt(job: string): number {
  return statSync(join(job, "report.json"), { throwIfNoEntry: false })?.mtimeMs ?? 0;
}
