/** The open documents that are configurations of ours, and their schemas. */
import { readFile } from "node:fs/promises";
import * as vscode from "vscode";
import { type ConfigKind, configKindOf } from "../../language/kind.js";
import type { SchemaNode } from "../../language/schema.js";
import type { SlmCli } from "../cli/slm-cli.js";

/** Where the features are offered; `kindOf` says whether a document is really ours. */
export const SELECTOR: vscode.DocumentSelector = [
  { language: "yaml", scheme: "file" },
  { language: "yaml", scheme: "untitled" },
];

/** The kind of a document; undefined where it is none of ours. */
export function kindOf(document: vscode.TextDocument): ConfigKind | undefined {
  return document.languageId === "yaml" ? configKindOf(document.uri.fsPath, document.getText()) : undefined;
}

/** The keys there are: those of the workspace's `slm`, or those of this release where none can be asked. */
export class ConfigSchemas {
  readonly #known = new Map<ConfigKind, Promise<SchemaNode>>();

  constructor(
    private readonly cli: SlmCli,
    private readonly folder: vscode.Uri,
  ) {}

  of(kind: ConfigKind): Promise<SchemaNode> {
    let known = this.#known.get(kind);
    if (known === undefined) {
      known = this.#ask(kind);
      this.#known.set(kind, known);
    }
    return known;
  }

  /** Asks again: another `slm` may have been chosen. */
  forget(): void {
    this.#known.clear();
  }

  async #ask(kind: ConfigKind): Promise<SchemaNode> {
    try {
      const { code, stdout } = await this.cli.run(["config", "schema", kind]);
      if (code === 0) return JSON.parse(stdout) as SchemaNode;
    } catch {
      /* not installed, or not trusted: the keys of this release do as well */
    }
    const file = vscode.Uri.joinPath(this.folder, "schemas", `${kind}.json`);
    return JSON.parse(await readFile(file.fsPath, "utf8")) as SchemaNode;
  }
}
