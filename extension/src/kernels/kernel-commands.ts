/** Check, Benchmark and Compare with last, of the WGSL file at hand. */
import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { mkdir, writeFile } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import * as vscode from "vscode";
import { messageOf } from "../../host-data/slm-command.js";
import {
  describeResult,
  faultsOfResult,
  type KernelResult,
  nameOfResult,
  type ReportedDiagnostic,
  resultsByEntryPoint,
} from "../../language/kernels.js";
import { CliError } from "../cli/cli-error.js";
import type { SlmCli } from "../cli/slm-cli.js";
import { inForeground, registerCommand, saveForSlm } from "../editor/commands.js";
import type { KernelCatalog } from "./kernel-catalog.js";
import type { KernelResults } from "./kernel-results.js";
import type { ShaderDiagnostics } from "./shader-diagnostics.js";

interface Report {
  readonly results?: readonly KernelResult[];
  /** What the adapter cannot run, and what does not say what it is run on. */
  readonly compiledOnly?: readonly Pick<KernelResult, "entryPoint" | "variant" | "real">[];
  readonly diagnostics?: readonly (ReportedDiagnostic & { readonly file: string })[];
  readonly message?: string;
}

/** A file as slm reads it. */
interface Saved {
  readonly document: vscode.TextDocument;
  /** Of the text that was saved. */
  readonly version: number;
}

export class KernelCommands {
  constructor(
    private readonly cli: SlmCli,
    private readonly catalog: KernelCatalog,
    private readonly results: KernelResults,
    private readonly diagnostics: ShaderDiagnostics,
    /** Keeps the texts that were timed last. */
    private readonly storage: vscode.Uri,
  ) {}

  register(): vscode.Disposable {
    const command = (id: string, action: (saved: Saved) => Promise<void>) =>
      registerCommand(id, async (given?: vscode.Uri) => action(await this.#savedOf(given)));
    return vscode.Disposable.from(
      command("slmForge.kernels.check", (saved) => this.#check(saved)),
      command("slmForge.kernels.benchmark", (saved) => this.#benchmark(saved)),
      command("slmForge.kernels.compare", (saved) => this.#compare(saved)),
    );
  }

  async #check(saved: Saved): Promise<void> {
    const { document } = saved;
    const file = document.uri.fsPath;
    if (await this.catalog.canRun(document)) return this.#watch(saved, "Checking", ["--no-bench"]);
    const report = await this.#run(saved, "Compiling", ["kernels", "compile", "--json", "--", file]);
    if (report === undefined) return;
    this.diagnostics.show(document, report.diagnostics ?? []);
    const isBroken = report.diagnostics?.some(({ severity }) => severity === "error") ?? false;
    vscode.window.setStatusBarMessage(
      isBroken ? `${basename(file)} does not compile` : `${basename(file)} compiles`,
      5000,
    );
  }

  async #benchmark(saved: Saved): Promise<void> {
    const { document } = saved;
    const text = document.getText();
    await this.#watch(saved, "Timing", []);
    if (this.results.of(document.uri) === undefined) return;
    const last = this.#lastOf(document);
    await mkdir(dirname(last), { recursive: true });
    await writeFile(last, text);
  }

  async #compare(saved: Saved): Promise<void> {
    const { document } = saved;
    const last = this.#lastOf(document);
    if (!existsSync(last))
      throw new CliError(
        `${basename(document.uri.fsPath)} was not timed before. Press Benchmark, change it, then compare.`,
      );
    await this.#watch(saved, "Comparing", ["--against", last]);
  }

  /** Where the text that was timed last is kept. */
  #lastOf({ uri }: vscode.TextDocument): string {
    const name = createHash("sha256").update(uri.toString()).digest("hex").slice(0, 16);
    return join(this.storage.fsPath, "kernels", name, basename(uri.fsPath));
  }

  async #watch(saved: Saved, doing: string, more: readonly string[]): Promise<void> {
    const { document } = saved;
    const file = document.uri.fsPath;
    const report = await this.#run(saved, doing, [
      "kernels",
      "watch",
      "--once",
      "--json",
      ...more,
      "--",
      file,
    ]);
    if (report === undefined) return;
    const { results, compiledOnly = [], diagnostics = [], message } = report;
    if (results === undefined) {
      /* what is wrong with the file that it is compared with has no place in this one */
      const here = diagnostics.filter((each) => each.file === file);
      this.diagnostics.show(document, here);
      if (here.length === 0) throw new CliError(message ?? `${basename(file)} could not be checked.`);
      return;
    }
    const wrong = [...resultsByEntryPoint(document.getText(), results)].flatMap(([{ line }, found]) =>
      found
        .filter(({ passed }) => !passed)
        .flatMap(faultsOfResult)
        .map((message) => ({
          severity: "error" as const,
          line: line + 1,
          column: document.lineAt(line).firstNonWhitespaceCharacterIndex + 1,
          message,
        })),
    );
    this.diagnostics.show(document, wrong);
    this.results.show(document, results);
    /* what is drawn after the entry point is no text, so this is what screen readers hear */
    const summary = [
      ...results.map(describeResult),
      ...compiledOnly.map((one) => `${nameOfResult(one)}: compiles, but was not run`),
    ].join("; ");
    vscode.window.setStatusBarMessage(`${basename(file)}: ${summary}`, 20_000);
  }

  /**
   * Runs a command that prints a report, whether it ends well or not; undefined when it was stopped, or when the report
   * is of another text than the editor's by now, which is said.
   */
  async #run(
    { document, version }: Saved,
    doing: string,
    args: readonly string[],
  ): Promise<Report | undefined> {
    const file = document.uri.fsPath;
    const outcome = await inForeground(`${doing} ${basename(file)}`, async (signal) => {
      const ended = await this.cli.run(args, { cwd: dirname(file), signal });
      return signal.aborted ? undefined : ended;
    });
    if (outcome === undefined) return undefined;
    const { code, stdout, stderr } = outcome;
    try {
      const report = JSON.parse(stdout) as Report;
      if (document.version === version) return report;
      void vscode.window.showWarningMessage(
        `${basename(file)} was changed meanwhile, so what was found of its old text is not shown. Start it again.`,
      );
      return undefined;
    } catch {
      throw new CliError(
        messageOf(stderr) || `slm ${args.slice(0, 2).join(" ")} ended with exit code ${code}.`,
      );
    }
  }

  async #savedOf(given: vscode.Uri | undefined): Promise<Saved> {
    const uri = given ?? vscode.window.activeTextEditor?.document.uri;
    const document = uri && (await vscode.workspace.openTextDocument(uri));
    if (document?.languageId !== "wgsl" || document.uri.scheme !== "file")
      throw new CliError("Open a .wgsl file first.");
    await saveForSlm(document);
    return { document, version: document.version };
  }
}
