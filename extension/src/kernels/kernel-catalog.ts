/** The kernels of the workspace's engine, and which files can be run. */
import { readFile } from "node:fs/promises";
import { basename, resolve } from "node:path";
import * as vscode from "vscode";
import { isAnnotated } from "../../../engine/kernels/bench-annotations.js";
import { entryPointsOf, type ListedKernel } from "../../language/kernels.js";
import type { SlmCli } from "../cli/slm-cli.js";

export class KernelCatalog implements vscode.Disposable {
  readonly #changed = new vscode.EventEmitter<void>();
  /** Told when another `slm` may answer. */
  readonly onDidChange = this.#changed.event;
  #kernels: Promise<readonly ListedKernel[]> | undefined;

  constructor(private readonly cli: SlmCli) {}

  /** Every kernel, with absolute paths. @throws CliError */
  kernels(): Promise<readonly ListedKernel[]> {
    this.#kernels ??= this.#list().catch((error: Error) => {
      this.#kernels = undefined;
      throw error;
    });
    return this.#kernels;
  }

  /**
   * Whether there is a problem to run a document on: it states one, or it is a kernel of the engine or a copy that is
   * being changed.
   */
  async canRun(document: vscode.TextDocument): Promise<boolean> {
    if (!vscode.workspace.isTrusted) return false;
    if (isAnnotated(document.getText())) return true;
    try {
      const { fsPath } = document.uri;
      const files = (await this.kernels()).flatMap(({ variants }) => variants.flatMap(({ files }) => files));
      if (files.includes(fsPath)) return true;
      const original = files.find((file) => basename(file) === basename(fsPath));
      if (original === undefined) return false;
      /* a file of somebody else may bear the same name */
      const names = (text: string) =>
        entryPointsOf(text)
          .map(({ name }) => name)
          .join();
      return names(await readFile(original, "utf8")) === names(document.getText());
    } catch {
      /* no slm, no adapter: the view says so */
      return false;
    }
  }

  refresh(): void {
    this.#kernels = undefined;
    this.#changed.fire();
  }

  async #list(): Promise<readonly ListedKernel[]> {
    const folder = vscode.workspace.workspaceFolders?.[0]?.uri.fsPath ?? process.cwd();
    const kernels = await this.cli.json<ListedKernel[]>(["kernels", "list"], { cwd: folder });
    const absolute = (file: string) => resolve(folder, file);
    return kernels.map((kernel) => ({
      ...kernel,
      variants: kernel.variants.map((variant) => ({
        ...variant,
        file: absolute(variant.file),
        files: variant.files.map(absolute),
      })),
    }));
  }

  dispose(): void {
    this.#changed.dispose();
  }
}
