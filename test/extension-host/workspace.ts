/** Folders to open in the editor: text, configurations, and this slm-forge installed as npm would. */
import { mkdirSync, mkdtempSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { packageRoot } from "../../cli/version.js";
import { writeCorpus } from "../cli/tiny-run.js";

export class Workspace {
  readonly folder = mkdtempSync(join(tmpdir(), "slm-workspace-"));

  constructor({ install = true }: { readonly install?: boolean } = {}) {
    writeCorpus(this.path("corpus.jsonl"), 120);
    writeCorpus(this.path("news.jsonl"), 15, 2);
    if (!install) return;
    mkdirSync(this.path("node_modules"));
    symlinkSync(packageRoot(), this.path("node_modules", "slm-forge"));
  }

  path(...parts: string[]): string {
    return join(this.folder, ...parts);
  }

  remove(): void {
    rmSync(this.folder, { recursive: true, force: true, maxRetries: 10 });
  }
}
