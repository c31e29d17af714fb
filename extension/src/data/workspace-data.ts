/** The store of the open folders, with VS Code's events; made anew when folders are added or removed. */
import * as vscode from "vscode";
import { DataStore } from "../../host-data/data-store.js";

export class WorkspaceData implements vscode.Disposable {
  readonly #runs = new vscode.EventEmitter<void>();
  readonly #reports = new vscode.EventEmitter<void>();
  readonly #clusterings = new vscode.EventEmitter<void>();
  readonly #files = new vscode.EventEmitter<void>();
  readonly #replaced = new vscode.EventEmitter<void>();
  readonly #folders: vscode.Disposable;
  #store = new DataStore([]);

  readonly onDidChangeRuns = this.#runs.event;
  readonly onDidChangeReports = this.#reports.event;
  readonly onDidChangeClusterings = this.#clusterings.event;
  /** Configurations or exported models came, changed or went. */
  readonly onDidChangeFiles = this.#files.event;
  /** The store is another one: whoever listens to the old hears nothing any more. */
  readonly onDidReplace = this.#replaced.event;

  constructor() {
    this.#begin();
    this.#folders = vscode.workspace.onDidChangeWorkspaceFolders(() => this.#begin());
  }

  get store(): DataStore {
    return this.#store;
  }

  dispose(): void {
    this.#folders.dispose();
    this.#store.close();
    for (const each of [this.#runs, this.#reports, this.#clusterings, this.#files, this.#replaced])
      each.dispose();
  }

  #begin(): void {
    this.#store.close();
    const folders = (vscode.workspace.workspaceFolders ?? [])
      .filter(({ uri }) => uri.scheme === "file")
      .map(({ uri }) => uri.fsPath);
    this.#store = new DataStore(folders);
    this.#store.listen({
      onRuns: () => this.#runs.fire(),
      onReports: () => this.#reports.fire(),
      onClusterings: () => this.#clusterings.fire(),
      onFiles: () => this.#files.fire(),
    });
    void this.#store.start();
    this.#replaced.fire();
  }
}
