/** Starts what outlives the window, and remembers where its messages go. */
import { mkdirSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import * as vscode from "vscode";
import type { ConfigKind } from "../../language/kind.js";
import type { ConfigFile } from "../../shared/protocol.js";
import type { SlmCli } from "../cli/slm-cli.js";
import type { WorkspaceData } from "../data/workspace-data.js";

const LOGS = "run logs";
const MOST_LOGS = 100;

export class RunStarter {
  constructor(
    private readonly context: vscode.ExtensionContext,
    private readonly cli: SlmCli,
    private readonly data: WorkspaceData,
  ) {}

  /** Starts `slm ...args`, and waits only until it would have failed at once. @throws CliError with its message */
  async start(title: string, args: readonly string[], cwd: string): Promise<void> {
    const log = this.#newLog();
    const location = vscode.ProgressLocation.Window;
    const started = vscode.window.withProgress({ location, title }, () =>
      this.cli.startDetached(args, {
        cwd,
        log,
        onFailure: async (message) => this.#tellFailure(args, await started, message, log),
      }),
    );
    const pid = await started;
    /* found again by the process, also after a reload of the window */
    const kept = Object.entries(this.#logs).slice(-MOST_LOGS);
    await this.context.workspaceState.update(LOGS, Object.fromEntries([...kept, [`pid ${pid}`, log]]));
    await this.data.store.refresh();
  }

  /** Starts what a configuration describes: a whole job, or one training. */
  startConfig(path: string, kind: ConfigFile["kind"] | ConfigKind): Promise<void> {
    const command = kind === "forge" ? "run" : "train";
    return this.start(`Starting ${basename(path)}`, [command, path], dirname(path));
  }

  /** File with the messages of a process that was started from this folder's windows. */
  messagesOf(pid: number): string | undefined {
    return this.#logs[`pid ${pid}`];
  }

  /** A run that failed is told of by who watches runs; this is for what failed without one, such as a job. */
  async #tellFailure(args: readonly string[], pid: number, message: string, log: string): Promise<void> {
    await this.data.store.refresh();
    if (this.data.store.runs.some((run) => run.pid === pid && run.state === "failed")) return;
    const messages = "Messages";
    const text = `slm ${args[0]} ${basename(args[1] ?? "")}: ${message}`;
    if ((await vscode.window.showErrorMessage(text, messages)) === messages)
      await vscode.window.showTextDocument(vscode.Uri.file(log), { preview: true });
  }

  get #logs(): Readonly<Record<string, string>> {
    return this.context.workspaceState.get(LOGS, {});
  }

  #newLog(): string {
    const folder = this.context.logUri.fsPath;
    mkdirSync(folder, { recursive: true });
    return join(folder, `run-${new Date().toISOString().replaceAll(":", "-")}.log`);
  }
}
